"""What a paper prints, to stand beside ours. In: plain values. Out: frozen models.

    expected: {gxlt_f1: 59.1, xlt_f1: 64.1}                    of one system: beside the best trial

    expected:
      base: {gxlt_f1: 49.7, gxlt_em: 33.6}                     what the trials start from
      CE:                                                      the best of the trials with
        where: {objective.distill.coefficient: 0.0}            these values, searched or fixed
        gxlt_f1: {mean: 57.5, en: 66.7, es: 63.6}              `mean` is the metric itself
        xlt_em: {mean: 44.8, en: 62.4}                         the others are languages
        final: {mlqa/test: {gxlt_f1: 56.3}}                    on the corpora of search.final
        ranks: {en: [1773, 460], es: [720, 215]}               right answers at rank 1, 2, ...
        note: table 2

A language is that of the contexts in gxlt_*, and of both texts in xlt_* and topk_em_*.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from xmrc.settings.fields import Section, Text
from xmrc.settings.wording import broken, rule

BASE_SYSTEM = "base"  # the system that the trials start from
MEAN = "mean"
_UNNAMED = "paper"  # the system of an `expected` that names none

_BY_LANGUAGE = (
    *(f"{mean}_{score}" for mean in ("gxlt", "xlt") for score in ("f1", "em")),
    *(f"{mean}_{score}" for mean in ("gxlt", "xlt") for score in ("squad_f1", "squad_em")),
    *(f"topk_em_{k}" for k in (1, 3, 5, 10)),
)
PRINTED_METRICS = (
    *_BY_LANGUAGE,
    *(f"gxlt_{mean}_{score}" for mean in ("cross", "micro") for score in ("f1", "em")),
)

_Printed = Annotated[
    float | Mapping[Text, float],
    rule("must be a number, or numbers by language"),
]
_Ranks = Annotated[
    tuple[Annotated[int, Field(ge=0)], ...],
    Field(strict=False, min_length=1, max_length=10),
    rule("must be a list of at most 10 whole numbers, the right answers at rank 1, 2, ..."),
]


class ExpectedSystem(Section):
    """The numbers of one system, 0 to 100, and which of our trials it is."""

    where: Mapping[Text, Any] = {}
    """Settings keys and the values that our trials of this system have; {}: every trial."""
    scores: Mapping[str, _Printed] = {}
    """Metrics on settings.data.select; they may stand beside the other keys."""
    final: Mapping[Text, Mapping[str, _Printed]] = {}
    """Metrics on other corpora, by corpus."""
    ranks: Mapping[Text, _Ranks] = {}
    """Right answers at rank 1, 2, ..., by question language."""
    note: Text | None = None
    """Where the numbers are from, or how they differ."""


def _sorted_out(system: Any) -> Any:
    """Metrics stand beside the other keys in the file, and in `scores` here."""
    if not isinstance(system, dict):
        return system
    fields = {key: value for key, value in system.items() if key in ExpectedSystem.model_fields}
    metrics = {key: value for key, value in system.items() if key not in fields}
    _check_metrics("", metrics)
    for name in ("scores", "final"):
        for prefix, nested in _metrics_of(name, fields.get(name)):
            _check_metrics(prefix, nested)
    if not metrics:
        return fields
    return {**fields, "scores": {**(fields.get("scores") or {}), **metrics}}


def _metrics_of(name: str, value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The mappings of metrics below a field, with their places; what is none is refused later."""
    if isinstance(value, dict):
        nested = {f"{name}.": value}
        if name == "final":
            nested = {f"{name}.{corpus}.": scores for corpus, scores in value.items()}
        yield from ((place, scores) for place, scores in nested.items() if isinstance(scores, dict))


def _check_metrics(place: str, scores: Mapping[str, Any]) -> None:
    for metric, printed in scores.items():
        key = f"{place}{metric}"
        if metric not in PRINTED_METRICS:
            raise broken(key, f"must be a metric ({', '.join(PRINTED_METRICS)})", printed)
        if isinstance(printed, dict) and metric not in _BY_LANGUAGE:
            raise broken(key, "must be a number: there is none by language", printed)


def by_system(expected: Any) -> Any:
    """`expected: {gxlt_f1: 59.1}` is of a system without a name; null: nothing is expected."""
    if not isinstance(expected, dict):
        return {} if expected is None else expected
    unnamed = any(
        key in PRINTED_METRICS or isinstance(expected[key], int | float) for key in expected
    )
    if not unnamed:
        return expected
    _check_metrics("", expected)
    return {_UNNAMED: expected}


System = Annotated[ExpectedSystem, BeforeValidator(_sorted_out)]
