"""The space of a study for Optuna. In: `Domain`s by key. Out: a picklable define-by-run callable.

Optuna's categories are scalars: another choice travels as its YAML text, which `values_of` reads.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import BaseTrial

from xmrc.errors import SettingsError
from xmrc.settings import Domain, Space, Study, dependency_order
from xmrc.settings.yaml_text import one_line

_TRIALS = 40  # of a study that does not say


@dataclass(frozen=True)
class SpaceRow:
    """One searched key for people: `data.ntl`, `int [1, 6]`, and its condition or ""."""

    key: str
    domain: str
    condition: str


class SearchSpace:
    """Draws the keys of a checked space, each behind those of its condition."""

    def __init__(self, space: Space) -> None:
        self._domains = {key: space[key] for key in dependency_order(space)}

    def __call__(self, trial: BaseTrial) -> None:
        """Draw one point. Ray's OptunaSearch and `Study.optimize` read it off the trial."""
        drawn: dict[str, Any] = {}
        for key, domain in self._domains.items():
            if domain.applies(drawn):
                drawn[key] = _decode(domain, _suggest(trial, key, domain))

    def values_of(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The settings, by dotted key, that a trial's parameters stand for."""
        domains = self._domains.items()
        return {key: _decode(domain, params[key]) for key, domain in domains if key in params}

    def points(self, start_from: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """For `enqueue_trial` or `points_to_evaluate`; keys left out of a point are drawn."""
        return [
            {key: _encode(self._domains[key], value) for key, value in point.items()}
            for point in start_from
        ]

    def grid(self) -> list[dict[str, Any]]:
        """Every point of a space of choices and whole numbers, as `points` gives them.

        Errors: SettingsError for a domain of uncountably many values.
        """
        points: list[dict[str, Any]] = [{}]
        for key, domain in self._domains.items():
            values = _countable(key, domain)
            points = [
                {**point, key: value} if domain.applies(point) else point
                for point in points
                for value in (values if domain.applies(point) else [None])
            ]
        return self.points(points)

    def describe(self) -> list[SpaceRow]:
        """What is searched, in the order in which it is drawn."""
        rows = []
        for key, domain in self._domains.items():
            conditions = domain.as_written().get("when", {}).items()
            condition = ", ".join(f"{parent}: {one_line(value)}" for parent, value in conditions)
            rows.append(SpaceRow(key, str(domain), condition))
        return rows


def trial_count(study: Study) -> int:
    """How many trials a study has: those it asks for, else 40, or every point of its grid."""
    asked = study.search.trials
    if study.search.sampler != "grid":
        return _TRIALS if asked is None else asked
    points = len(SearchSpace(study.space).grid())
    return points if asked is None else min(asked, points)


def _suggest(trial: BaseTrial, key: str, domain: Domain) -> Any:
    if domain.kind == "choice":
        return trial.suggest_categorical(key, [_category(choice) for choice in domain.values])
    suggest = trial.suggest_int if domain.kind.endswith("int") else trial.suggest_float
    low, high = domain.values
    return suggest(key, low, high, log=domain.kind.startswith("log_"))


def _countable(key: str, domain: Domain) -> Sequence[Any]:
    if domain.kind == "choice":
        return domain.values
    if domain.kind.endswith("int"):
        low, high = domain.values
        return range(low, high + 1)
    raise SettingsError(
        f"space.{key}: must be a choice or an int where search.sampler is grid, got {domain}"
    )


def _category(choice: Any) -> Any:
    scalar = choice is None or isinstance(choice, str | bool | int | float)
    return choice if scalar else one_line(choice)


def _encode(domain: Domain, value: Any) -> Any:
    """As Optuna holds it: the choice that equals `value`, a number of the range's type."""
    if domain.kind == "choice":
        return _category(domain.values[domain.values.index(value)])
    return int(value) if domain.kind.endswith("int") else float(value)


def _decode(domain: Domain, param: Any) -> Any:
    if domain.kind != "choice":
        return param
    return next(choice for choice in domain.values if _category(choice) == param)
