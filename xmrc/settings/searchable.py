"""Does a searched key change trials? In: a `Study`. Out: nothing, or an error that names the key.

Trials of one study are compared on the same questions and start from the same reader, so some keys
are the study's own; others change nothing unless another key has a certain value.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Any

from xmrc.settings.domains import Domain
from xmrc.settings.objective import Need, needs_of_terms
from xmrc.settings.schema import Study
from xmrc.settings.values import BrokenRuleError
from xmrc.settings.wording import Problem, written_value

_READ_ONCE = "corpora are read once, for all trials"
_FIXED = {  # keys, or sections, that are the same for every trial
    "encoder": "every trial starts from the same encoder",
    "encoder_config": "every trial starts from the same encoder",
    "base": "every trial starts from the same base",
    "start_from_base": "every trial starts from the same reader",
    "data.root": _READ_ONCE,
    "data.train": _READ_ONCE,
    "data.select": "trials are compared on the same questions",
    "data.limit": _READ_ONCE,
    "data.scored_limit": _READ_ONCE,
    "data.strict": _READ_ONCE,
    "data.allow_overlap": _READ_ONCE,
}


_NEEDS = (
    Need(
        ("data.languages", "data.source_language", "data.ntl"),
        "data.sampling",
        lambda sampling: sampling == "pairs",
        "pairs",
    ),
    Need(
        ("data.languages", "data.source_language", "data.sampling"),
        "data.ntl",
        lambda ntl: ntl > 0,
        "above 0",
    ),
)


def reach(study: Study, key: str) -> Sequence[Any]:
    """The values of a settings key that trials can have; the ends, of a range."""
    own, domain = reduce(getattr, key.split("."), study.settings), study.space.get(key)
    if domain is None:
        return [own]
    return [*domain.values, *([own] if domain.when else [])]


def check_not_fixed(key: str, domain: Domain) -> None:
    """Raise `BrokenRuleError` where all trials have the same value of `key`, whatever is drawn."""
    for fixed, reason in _FIXED.items():
        if _within(key, fixed):
            _refuse(key, f"must be left out: {reason}, got {domain}")


def check_changes(study: Study) -> None:
    """Raise `BrokenRuleError` where a key of the space changes no trial, or reads what is not."""
    for key, domain in study.space.items():
        for need in (*needs_of_terms(), *_NEEDS):
            if any(_within(key, each) for each in need.keys):
                _check_need(study, key, domain, need)
    _check_languages(study)


def _check_need(study: Study, key: str, domain: Domain, need: Need) -> None:
    if not any(need.wanted(value) for value in reach(study, need.of)):
        _refuse(key, f"changes nothing unless {need.of} can be {need.words}, got {domain}")


def _check_languages(study: Study) -> None:
    read = study.settings.data.languages
    for languages in reach(study, "data.languages"):
        if not set(languages) <= set(read):
            text = (
                f"must be among settings.data.languages {written_value(list(read))}, which are read"
            )
            _refuse("data.languages", f"{text}, got {written_value(list(languages))}")


def _within(key: str, section: str) -> bool:
    return key == section or key.startswith(f"{section}.")


def _refuse(key: str, rule: str) -> None:
    raise BrokenRuleError([Problem(("space", key), rule)])
