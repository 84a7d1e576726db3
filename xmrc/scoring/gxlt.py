"""Predictions to the G-XLT table. In: examples with gold answers, predictions. Out: pairs, means.

G-XLT (generalised cross-lingual transfer) asks in one language about a context in another: its
table has a row for each language of the questions and a column for each of the contexts; XLT is its
diagonal (Lewis et al. 2020, arXiv 1910.07475). Scores are 0 to 100.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from xmrc.data.examples import Example
from xmrc.scoring.predictions import ExampleScore, Prediction, score_examples

TOP_K = (1, 3, 5, 10)  # of Chen et al. 2022, table 2

_Pairs = Mapping[tuple[str, str], Sequence[ExampleScore]]


@dataclass(frozen=True, slots=True)
class PairScore:
    """Means over the n examples of one language pair, 0 to 100."""

    f1: float
    em: float
    n: int


class Matrix(NamedTuple):
    """A score for each question language (row) and context language (column); None: no pair."""

    question_languages: tuple[str, ...]
    context_languages: tuple[str, ...]
    values: list[list[float | None]]

    @property
    def row_means(self) -> list[float | None]:
        """The mean of each question language over the contexts it has."""
        return [_mean_of_cells(row) for row in self.values]

    @property
    def column_means(self) -> list[float | None]:
        """The mean of each context language over the questions it has."""
        return [_mean_of_cells(column) for column in zip(*self.values, strict=True)]

    @property
    def mean(self) -> float | None:
        """The mean of all pairs, as in `gxlt_f1` and `gxlt_em`."""
        return _mean_of_cells([cell for row in self.values for cell in row])


@dataclass(frozen=True)
class Scores:
    """`pairs` by "question-context", `metrics` by name, both 0 to 100.

    Metrics that the corpus has no pairs for (xlt_* without a diagonal, gxlt_cross_* without
    anything else) are absent.
    """

    question_languages: tuple[str, ...]
    context_languages: tuple[str, ...]
    pairs: Mapping[str, PairScore]
    metrics: Mapping[str, float]

    def matrix(self, metric: str) -> Matrix:
        """The table of `metric`, "f1" or "em"."""
        values = [
            [self._cell(question, context, metric) for context in self.context_languages]
            for question in self.question_languages
        ]
        return Matrix(self.question_languages, self.context_languages, values)

    def _cell(self, question_language: str, context_language: str, metric: str) -> float | None:
        pair = self.pairs.get(f"{question_language}-{context_language}")
        return None if pair is None else {"f1": pair.f1, "em": pair.em}[metric]


def score(examples: Sequence[Example], predictions: Iterable[Prediction]) -> Scores:
    """Score predictions, in any order, against their examples. Errors as in `score_examples`."""
    return summarise(score_examples(examples, predictions))


def summarise(example_scores: Sequence[ExampleScore]) -> Scores:
    """Pair means, and the means of those. No result depends on the order of the examples."""
    by_pair: dict[tuple[str, str], list[ExampleScore]] = {}
    for one in example_scores:
        by_pair.setdefault((one.question_language, one.context_language), []).append(one)
    return Scores(*languages_of(by_pair), _pairs(by_pair), _metrics(by_pair))


def languages_of(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Question and context languages of some pairs: the rows and columns of their table."""
    questions, contexts = (tuple(dict.fromkeys(side)) for side in zip(*pairs, strict=True))
    # Columns in the order of the rows, so that the diagonal is one.
    shared = [language for language in questions if language in contexts]
    return questions, tuple(dict.fromkeys([*shared, *contexts]))


def _pairs(by_pair: _Pairs) -> dict[str, PairScore]:
    return {
        f"{question}-{context}": PairScore(_mean(group, "f1"), _mean(group, "em"), len(group))
        for (question, context), group in by_pair.items()
    }


def _metrics(by_pair: _Pairs) -> dict[str, float]:
    pairs = list(by_pair.values())
    diagonal = [group for (question, context), group in by_pair.items() if question == context]
    cross = [group for (question, context), group in by_pair.items() if question != context]
    examples = [one for group in pairs for one in group]
    means = {
        f"{name}_{value}": math.fsum(_mean(group, value) for group in groups) / len(groups)
        for name, groups, values in (
            ("gxlt", pairs, ("f1", "em", "squad_f1", "squad_em")),
            ("gxlt_cross", cross, ("f1", "em")),
            ("gxlt_micro", [examples], ("f1", "em")),
            ("xlt", diagonal, ("f1", "em", "squad_f1", "squad_em")),
        )
        if groups
        for value in values
    }
    return means | {f"topk_em_{k}": _share_within(examples, k) for k in TOP_K}


def _mean_of_cells(cells: Sequence[float | None]) -> float | None:
    there = [cell for cell in cells if cell is not None]
    return math.fsum(there) / len(there) if there else None


def _mean(group: Sequence[ExampleScore], value: str) -> float:
    return 100 * math.fsum(getattr(one, value) for one in group) / len(group)


def _share_within(examples: Sequence[ExampleScore], k: int) -> float:
    right = sum(one.right_rank is not None and one.right_rank <= k for one in examples)
    return 100 * right / len(examples)
