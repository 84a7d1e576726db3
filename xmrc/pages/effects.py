"""What each searched setting does to the scores. In: trials and their space. Out: what is drawn.

A trial counts with its best evaluation. Where trials of the same value have run to their end, the
mean is over those; over the trials that were stopped early only where there are no others.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd

from xmrc.pages.charts import Axis, Curve, Panel
from xmrc.pages.heatmaps import Heatmap
from xmrc.search.ledger import FINISHED, TrialRecord, best_evaluation
from xmrc.search.progress import short_names
from xmrc.settings import Domain, Space
from xmrc.settings.yaml_text import one_line

_FEW = 12  # values of whole numbers that are told apart
_WIDE = 20  # highest over lowest of a choice that is shown on a log scale
_SCORES = {"f1": "F1", "em": "EM"}
_MEANS = {"gxlt": "G-XLT", "xlt": "XLT", "gxlt_cross": "G-XLT across", "gxlt_micro": "G-XLT micro"}


@dataclass(frozen=True)
class _Effect:
    """What one setting does, or two do: what a picture shows, and what its curves are named by."""

    keys: tuple[str, ...]
    x: Axis
    panels: list[Panel]
    names: str = ""


@dataclass(frozen=True)
class _CellEffect:
    """What two settings do where both have few values."""

    keys: tuple[str, str]
    panels: list[Heatmap]


def measures(metric: str) -> dict[str, str]:
    """The metric as F1 and as EM, and XLT beside it, as names and as people read them."""
    mean = metric.rpartition("_")[0]
    return {
        f"{name}_{score}": f"{_MEANS[name]} {shown}"
        for name in dict.fromkeys((mean, "xlt"))
        for score, shown in _SCORES.items()
    }


def curve_effects(records: Sequence[TrialRecord], space: Space, metric: str) -> list[_Effect]:
    """One for each searched setting that has taken two values, a panel for each measure."""
    return [
        _Effect((key,), _axis(key, space), _curve_panels(trials, key, space[key], metric))
        for key in space
        if varied(trials := having(records, key), key)
    ]


def pair_effects(
    records: Sequence[TrialRecord], space: Space, metric: str, pairs: Sequence[tuple[str, str]]
) -> tuple[list[_Effect], list[_CellEffect], list[tuple[str, str]]]:
    """For each two settings: a curve for each choice, or cells, or neither (drawn as contours)."""
    curves, cells, contours = [], [], []
    for pair in pairs:
        named, numeric = sorted(pair, key=lambda key: not is_named(space[key]))
        if is_named(space[named]) and not is_named(space[numeric]):
            trials = having(records, named)  # those that lack the other are drawn level
            curves.append(_curves_by_choice(trials, numeric, named, space, metric))
        elif all(_few(space[key]) for key in pair):
            cells.append(_cell_effect(having(records, *pair), pair, space, metric))
        else:
            contours.append(pair)
    return curves, cells, contours


def having(records: Sequence[TrialRecord], *keys: str) -> list[TrialRecord]:
    """The trials that have reported and have a value of each of these settings."""
    return [one for one in records if one.history and all(key in one.values for key in keys)]


def varied(trials: Sequence[TrialRecord], key: str) -> bool:
    """Whether a setting that all of them have has taken two values."""
    return len({one_line(one.values[key]) for one in trials}) > 1


def is_named(domain: Domain) -> bool:
    """Whether its values are names, or numbers among names."""
    return domain.kind == "choice" and not all(_is_number(value) for value in domain.values)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _few(domain: Domain) -> bool:
    whole = domain.kind.endswith("int") and domain.values[1] - domain.values[0] < _FEW
    return whole or domain.kind == "choice"


def _axis(key: str, space: Space) -> Axis:
    domain, label = space[key], short_names(list(space))[key]
    if is_named(domain):
        return Axis(label, names=tuple(one_line(value) for value in domain.values))
    low, high = min(domain.values), max(domain.values)
    wide = domain.kind == "choice" and low > 0 and high / low >= _WIDE
    marks = _values(domain) if _few(domain) else ()
    return Axis(label, log=wide or domain.kind.startswith("log"), marks=marks)


def _values(domain: Domain) -> tuple[Any, ...]:
    """Every value of a domain that has few."""
    if domain.kind == "choice":
        return domain.values
    return tuple(range(domain.values[0], domain.values[1] + 1))


def _place(domain: Domain, value: Any) -> float:
    """Where a value stands on its axis."""
    if not is_named(domain):
        return float(value)
    return [one_line(choice) for choice in domain.values].index(one_line(value))


def _curve_panels(
    trials: Sequence[TrialRecord], key: str, domain: Domain, metric: str
) -> list[Panel]:
    named = measures(metric)
    return [
        Panel(named[name], [_curve("", trials, key, domain, name, metric)])
        for name in _present(named, trials)
    ]


def _curves_by_choice(
    trials: Sequence[TrialRecord], key: str, by: str, space: Space, metric: str
) -> _Effect:
    """A choice under which the setting has no meaning is level: a baseline for the others."""
    named, domain = measures(metric), space[key]
    groups: dict[str, list[TrialRecord]] = {one_line(choice): [] for choice in space[by].values}
    for one in trials:
        groups[one_line(one.values[by])].append(one)
    places = [_place(domain, one.values[key]) for one in trials if key in one.values]
    ends = min(places), max(places)

    def curve(choice: str, group: Sequence[TrialRecord], name: str) -> Curve:
        if not having(group, key):
            level = _mean(group, name, metric)
            return Curve(choice, [(end, level) for end in ends], dotted=True)
        return _curve(choice, having(group, key), key, domain, name, metric)

    panels = [
        Panel(
            named[name], [curve(choice, group, name) for choice, group in groups.items() if group]
        )
        for name in _present(named, trials)
    ]
    return _Effect((key, by), _axis(key, space), panels, short_names(list(space))[by])


def _mean(trials: Sequence[TrialRecord], name: str, metric: str) -> float:
    """Over those that ran to their end, if any did."""
    ended = [one for one in trials if one.state == FINISHED] or trials
    return fmean(best_evaluation(one, metric)[name] for one in ended)


def _present(names: Mapping[str, str], trials: Sequence[TrialRecord]) -> list[str]:
    """XLT is measured only where a question and its context share a language."""
    return [name for name in names if all(name in one.history[0] for one in trials)]


def _curve(
    label: str,
    trials: Sequence[TrialRecord],
    key: str,
    domain: Domain,
    name: str,
    metric: str,
) -> Curve:
    points: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for one in trials:
        point = _place(domain, one.values[key]), best_evaluation(one, metric)[name]
        points[one.state == FINISHED].append(point)
    line = _means(points) if _few(domain) else _trend(points[True] or points[False], domain)
    return Curve(label, line, points[True], points[False])


def _means(points: Mapping[bool, Sequence[tuple[float, float]]]) -> list[tuple[float, float]]:
    """The mean at each value, over the finished trials where there are any."""
    grouped: dict[float, dict[bool, list[float]]] = {}
    for finished, pairs in points.items():
        for x, y in pairs:
            grouped.setdefault(x, {True: [], False: []})[finished].append(y)
    return [(x, fmean(ys[True] or ys[False])) for x, ys in sorted(grouped.items())]


def _trend(points: Sequence[tuple[float, float]], domain: Domain) -> list[tuple[float, float]]:
    """Means of neighbours, in about as many groups as each has trials; none of fewer than four."""
    if len(points) < 4:
        return []
    groups = np.array_split(np.array(sorted(points)), round(math.sqrt(len(points))))
    log = domain.kind.startswith("log")
    xs = [np.exp(np.log(one[:, 0]).mean()) if log else one[:, 0].mean() for one in groups]
    return [(float(x), float(one[:, 1].mean())) for x, one in zip(xs, groups, strict=True)]


def _cell_effect(
    trials: Sequence[TrialRecord], pair: tuple[str, str], space: Space, metric: str
) -> _CellEffect:
    named, shown = measures(metric), short_names(list(space))
    xs, ys = (_values(space[key]) for key in pair)
    rows, columns = (list(map(one_line, values)) for values in (ys, xs))
    panels = []
    for name in _present(named, trials):
        cells = [[_cell(trials, pair, (x, y), name, metric) for x in xs] for y in ys]
        frame = pd.DataFrame(cells, rows, columns, dtype=float)
        panels.append(Heatmap(named[name], frame, shown[pair[1]], shown[pair[0]]))
    return _CellEffect(pair, panels)


def _cell(
    trials: Sequence[TrialRecord],
    pair: tuple[str, str],
    values: tuple[Any, Any],
    name: str,
    metric: str,
) -> float | None:
    here = [
        one
        for one in trials
        if all(one_line(one.values[k]) == one_line(v) for k, v in zip(pair, values, strict=True))
    ]
    return _mean(here, name, metric) if here else None
