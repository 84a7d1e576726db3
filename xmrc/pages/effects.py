"""What each searched setting does to the scores. In: trials and their space. Out: what is drawn.

A trial counts with its best evaluation. Where trials of the same value have run to their end, the
mean is over those; over the trials that were stopped early only where there are no others.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
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
class _Curves:
    """What one setting does, or two do, as a panel for each measure.

    `names`: the setting that the curves are of the choices of; "" where there is one curve.
    """

    keys: tuple[str, ...]
    x: Axis
    panels: list[Panel]
    names: str = ""


@dataclass(frozen=True)
class _Cells:
    """What two settings do where both have few values, as a heatmap for each measure."""

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


def positions(records: Sequence[TrialRecord], space: Space) -> pd.DataFrame:
    """A row for each trial that has reported: where each setting stands on its axis, or NaN."""
    rows = [
        {key: _position(space[key], one.values[key]) for key in space if key in one.values}
        for one in records
        if one.history
    ]
    return pd.DataFrame(rows, columns=list(space), dtype=float)


def varied(trials: pd.DataFrame, key: str) -> bool:
    """Whether a setting has taken two values."""
    return trials[key].nunique() > 1


def is_named(domain: Domain) -> bool:
    """Whether its values are names, or numbers among names."""
    return domain.kind == "choice" and not all(_is_number(value) for value in domain.values)


def curve_effects(records: Sequence[TrialRecord], space: Space, metric: str) -> list[_Curves]:
    """One for each searched setting that has taken two values."""
    every = _outcomes(records, space, metric)
    effects = []
    for key in space:
        trials = every.dropna(subset=[key])
        if varied(trials, key):
            panels = [
                Panel(title, [_curve("", trials, key, space[key], name)])
                for name, title in _measured(trials, metric).items()
            ]
            effects.append(_Curves((key,), _axis(key, space), panels))
    return effects


def pair_effects(
    records: Sequence[TrialRecord], space: Space, metric: str, pairs: Sequence[tuple[str, str]]
) -> tuple[list[_Curves], list[_Cells], list[tuple[str, str]]]:
    """For each two settings: a curve for each choice, or cells, or neither (drawn as contours)."""
    every = _outcomes(records, space, metric)
    curves, cells, contours = [], [], []
    for pair in pairs:
        named, numeric = sorted(pair, key=lambda key: not is_named(space[key]))
        if is_named(space[named]) and not is_named(space[numeric]):
            trials = every.dropna(subset=[named])  # those that lack the other are drawn level
            curves.append(_curves_by_choice(trials, numeric, named, space, metric))
        elif all(_few(space[key]) for key in pair):
            cells.append(_cells(every.dropna(subset=list(pair)), pair, space, metric))
        else:
            contours.append(pair)
    return curves, cells, contours


def _outcomes(records: Sequence[TrialRecord], space: Space, metric: str) -> pd.DataFrame:
    """The positions, beside them the scores, and whether the trial ran to its end."""
    reported = [one for one in records if one.history]
    best = [best_evaluation(one, metric) for one in reported]
    scores = pd.DataFrame(best, columns=list(measures(metric)), dtype=float)
    finished = [one.state == FINISHED for one in reported]
    return positions(records, space).join(scores).assign(finished=finished)


def _measured(trials: pd.DataFrame, metric: str) -> dict[str, str]:
    """XLT is measured only where a question and its context share a language."""
    return {name: title for name, title in measures(metric).items() if trials[name].notna().all()}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _few(domain: Domain) -> bool:
    whole = domain.kind.endswith("int") and domain.values[1] - domain.values[0] < _FEW
    return whole or domain.kind == "choice"


def _values(domain: Domain) -> tuple[Any, ...]:
    """Every value of a domain that has few."""
    if domain.kind == "choice":
        return domain.values
    return tuple(range(domain.values[0], domain.values[1] + 1))


def _position(domain: Domain, value: Any) -> float:
    """Where a value stands on its axis."""
    if not is_named(domain):
        return float(value)
    return [one_line(choice) for choice in domain.values].index(one_line(value))


def _axis(key: str, space: Space) -> Axis:
    domain, label = space[key], short_names(space)[key]
    if is_named(domain):
        return Axis(label, names=tuple(one_line(value) for value in domain.values))
    low, high = min(domain.values), max(domain.values)
    wide = domain.kind == "choice" and low > 0 and high / low >= _WIDE
    marks = _values(domain) if _few(domain) else ()
    return Axis(label, log=wide or domain.kind.startswith("log"), marks=marks)


def _counting(trials: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """The finished trials of each group, all of a group that has none."""
    has_finished = trials.groupby(by)["finished"].transform("any")
    return trials[trials["finished"] | ~has_finished]


def _curve(label: str, trials: pd.DataFrame, key: str, domain: Domain, name: str) -> Curve:
    full, hollow = trials[trials["finished"]], trials[~trials["finished"]]
    if _few(domain):
        line = list(_counting(trials, [key]).groupby(key)[name].mean().items())
    else:
        line = _trend((full if len(full) else hollow)[[key, name]].to_numpy(), domain)
    return Curve(label, line, _points(full, key, name), _points(hollow, key, name))


def _points(trials: pd.DataFrame, key: str, name: str) -> list[tuple[float, float]]:
    return list(zip(trials[key], trials[name], strict=True))


def _trend(points: np.ndarray, domain: Domain) -> list[tuple[float, float]]:
    """Means of neighbours, in about as many groups as each has trials; none of fewer than four."""
    if len(points) < 4:
        return []
    ordered = points[np.lexsort((points[:, 1], points[:, 0]))]
    groups = np.array_split(ordered, round(math.sqrt(len(points))))
    log = domain.kind.startswith("log")
    xs = [np.exp(np.log(one[:, 0]).mean()) if log else one[:, 0].mean() for one in groups]
    return [(float(x), float(one[:, 1].mean())) for x, one in zip(xs, groups, strict=True)]


def _curves_by_choice(
    trials: pd.DataFrame, key: str, by: str, space: Space, metric: str
) -> _Curves:
    """A choice under which the setting has no meaning is level: a baseline for the others."""
    ends = trials[key].min(), trials[key].max()
    choices = {place: one_line(choice) for place, choice in enumerate(space[by].values)}

    def curve(place: int, group: pd.DataFrame, name: str) -> Curve:
        having = group.dropna(subset=[key])
        if len(having):
            return _curve(choices[place], having, key, space[key], name)
        level = float(_counting(group, [by])[name].mean())
        return Curve(choices[place], [(end, level) for end in ends], dotted=True)

    panels = [
        Panel(title, [curve(int(place), group, name) for place, group in trials.groupby(by)])
        for name, title in _measured(trials, metric).items()
    ]
    return _Curves((key, by), _axis(key, space), panels, short_names(space)[by])


def _cells(trials: pd.DataFrame, pair: tuple[str, str], space: Space, metric: str) -> _Cells:
    across, down = pair
    short = short_names(space)
    labels = {
        key: {_position(space[key], value): one_line(value) for value in _values(space[key])}
        for key in pair
    }
    heatmaps = []
    for name, title in _measured(trials, metric).items():
        means = _counting(trials, list(pair)).groupby([down, across])[name].mean().unstack()
        frame = means.reindex(index=list(labels[down]), columns=list(labels[across]))
        frame = frame.rename(index=labels[down], columns=labels[across])
        heatmaps.append(Heatmap(title, frame, short[down], short[across]))
    return _Cells(pair, heatmaps)
