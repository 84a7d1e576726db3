"""Does the space fit the settings? In: a `Study`. Out: nothing, or an error that names the key.

Every value that a trial may get is tried in the settings here, so that no trial fails on one later.
Trials of one study are compared on the same questions and start from the same reader, so some keys
are the study's own; others change nothing unless another key has a certain value.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import combinations
from typing import Any

from xmrc.settings.domains import Domain, Space, active_values, dependency_order, is_in
from xmrc.settings.objective import Need, needs_of_terms, spans_over_candidates
from xmrc.settings.schema import Study
from xmrc.settings.sections import WINDOW_KEYS, RunSettings
from xmrc.settings.values import refuse_off, refuse_unknown, with_values
from xmrc.settings.wording import BrokenRuleError, Problem, keys_of, written_value

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


def check_space(study: Study) -> None:
    """Raise `BrokenRuleError` where the space, a starting point or `expected` does not fit."""
    for key, domain in study.space.items():
        _check_key(study.settings, key)
        _check_not_fixed(key, domain)
    for key, domain in study.space.items():
        _check_conditions(study.space, key, domain)
    _check_order(study.space)
    _check_windows(study)
    for values in _extremes(study):
        _check_values(study, values)
    _check_changes(study)
    for number, point in enumerate(study.search.start_from):
        _check_start(study, number, point)
    for name, system in study.expected.items():
        for key in system.where:
            refuse_unknown(tuple(key.split(".")), ("expected", name, "where"))


def reach(study: Study, key: str) -> Sequence[Any]:
    """The values of a settings key that trials can have; the ends, of a range."""
    own, domain = reduce(getattr, key.split("."), study.settings), study.space.get(key)
    if domain is None:
        return [own]
    return [*domain.values, *([own] if domain.when else [])]


def _refuse(path: tuple[str | int, ...], rule: str) -> None:
    raise BrokenRuleError([Problem(path, rule)])


def _check_key(settings: RunSettings, key: str) -> None:
    path = tuple(key.split("."))
    refuse_unknown(path, ("space",))
    refuse_off(settings.model_dump(mode="json"), path, ("space",))
    if any(other.startswith(f"{key}.") for other in keys_of(RunSettings)):
        _refuse(("space", key), "is a section; search the keys below it")


def _check_not_fixed(key: str, domain: Domain) -> None:
    """All trials must not have the same value of `key`, whatever is drawn."""
    for fixed, reason in _FIXED.items():
        if _within(key, fixed):
            _refuse(("space", key), f"must be left out: {reason}, got {domain}")


def _check_conditions(space: Space, key: str, domain: Domain) -> None:
    for parent, allowed in domain.when.items():
        path = ("space", key, "when", parent)
        if parent not in space:
            _refuse(path, f"must be a key of the space ({', '.join(space)})")
        if space[parent].kind.endswith("float"):
            _refuse(path, f"must be drawn from a choice or whole numbers, not {space[parent]}")
        for value in allowed:
            if not space[parent].holds(value):
                _refuse(path, f"must be in {space[parent]}, got {written_value(value)}")


def _check_order(space: Space) -> None:
    try:
        dependency_order(space)
    except ValueError as error:
        circle = error.args[0]
        _refuse(("space", circle[0], "when"), f"goes round in a circle: {' on '.join(circle)}")
    for key in space:
        for parent, allowed in _requirements(space, [key]).items():
            if not allowed:
                _refuse(("space", key, "when"), f"can never hold: no {parent} fits all of it")


def _check_windows(study: Study) -> None:
    """Candidates are mined before the trials, for each window that one of them can have."""
    spans, mined = set(reach(study, "objective.span")), spans_over_candidates()
    for key in WINDOW_KEYS:
        domain = study.space.get(key)
        if domain is not None and domain.choice is None and spans & set(mined):
            over = ", ".join(mined)
            _refuse(("space", key), f"must be a choice where objective.span is one of {over}")


def _requirements(space: Space, keys: Iterable[str]) -> dict[str, list[Any]]:
    """For each key that `keys` depend on, directly or not, the values that let all be searched."""
    required: dict[str, list[Any]] = {}
    pending = list(keys)
    while pending:
        conditions = space[pending.pop()].when
        pending += conditions
        for parent, allowed in conditions.items():
            known = required.get(parent, allowed)
            required[parent] = [value for value in known if is_in(value, allowed)]
    return required


def _extremes(study: Study) -> Iterator[dict[str, Any]]:
    """Each end or choice of each key, then of each two keys.

    The others stand as in the settings, if a trial may have that, else at their first value.
    """
    space, plain = study.space, _by_key(study.settings)
    usual = {k: plain[k] if d.holds(plain[k]) else d.values[0] for k, d in space.items()}
    single = [{key: value} for key, domain in space.items() for value in domain.values]
    double = [a | b for a, b in combinations(single, 2) if a.keys() != b.keys()]
    for chosen in single + double:
        required = _requirements(space, chosen)
        if all(required.values()):
            met = {key: allowed[0] for key, allowed in required.items()}
            active = active_values(space, usual | met | chosen)
            if chosen.keys() <= active.keys():
                yield chosen | active


def _by_key(settings: RunSettings) -> dict[str, Any]:
    tree: Any = settings.model_dump(mode="json")
    found = {}
    for key in keys_of(RunSettings):
        value = tree
        for part in key.split("."):
            value = value[part] if isinstance(value, dict) else None
        found[key] = value
    return found


def _check_values(study: Study, values: Mapping[str, Any]) -> None:
    """Name the searched key that broke a rule, or else the first of `values`, which was tried."""
    try:
        with_values(study.settings, values)
    except BrokenRuleError as error:
        problem = error.problems[0]
        key = ".".join(part for part in problem.path[1:] if isinstance(part, str))
        if key in study.space:
            raise BrokenRuleError([Problem(("space", key), problem.rule)]) from error
        tried, value = next(iter(values.items()))
        text = f"cannot be {written_value(value)}: {problem}"
        raise BrokenRuleError([Problem(("space", tried), text)]) from error


def _check_changes(study: Study) -> None:
    """A key of the space must change trials, and languages must be among those that are read."""
    for key, domain in study.space.items():
        for need in (*needs_of_terms(), *_NEEDS):
            if any(_within(key, each) for each in need.keys):
                _check_need(study, key, domain, need)
    _check_languages(study)


def _check_need(study: Study, key: str, domain: Domain, need: Need) -> None:
    if not any(need.wanted(value) for value in reach(study, need.of)):
        _refuse(
            ("space", key), f"changes nothing unless {need.of} can be {need.words}, got {domain}"
        )


def _check_languages(study: Study) -> None:
    read = study.settings.data.languages
    for languages in reach(study, "data.languages"):
        if not set(languages) <= set(read):
            text = (
                f"must be among settings.data.languages {written_value(list(read))}, which are read"
            )
            _refuse(("space", "data.languages"), f"{text}, got {written_value(list(languages))}")


def _within(key: str, section: str) -> bool:
    return key == section or key.startswith(f"{section}.")


def _check_start(study: Study, number: int, point: Mapping[str, Any]) -> None:
    path = ("search", "start_from", number)
    for key, value in point.items():
        if key not in study.space:
            _refuse((*path, key), f"must be a key of the space ({', '.join(study.space)})")
        if not study.space[key].holds(value):
            _refuse((*path, key), f"must be in {study.space[key]}, got {written_value(value)}")
    for key in point:
        if key not in active_values(study.space, point):
            conditions = written_value({k: list(v) for k, v in study.space[key].when.items()})
            _refuse((*path, key), f"must stand beside its condition {conditions}")
