"""Groups of seeds: their means, and how every two differ. In: a score of each seed. Out: intervals.

The seeds are the unit of every interval and test, and these are SciPy's. A single seed has a mean
and nothing else.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, stdev

import numpy as np
from scipy import stats

from xmrc.scoring.statistics import ALPHA, LEVEL, holm, welch

Interval = tuple[float, float]  # low, high; 95 %


@dataclass(frozen=True, slots=True)
class Spread:
    """Seeds of one group: how many, their mean, the sample's standard deviation and the mean's 95 %
    t interval, in the unit of the scores. The last two are None for a single seed."""

    seeds: int
    mean: float
    deviation: float | None
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class GroupDifference:
    """The mean of the group `first` less that of `second`, and the 95 % interval of that.

    p: of Welch's two-sided test; p_holm: after Holm's correction for all differences that were
    tested together. They and the interval are None where a group is a single seed.
    """

    first: str
    second: str
    difference: float
    interval: Interval | None = None
    p: float | None = None
    p_holm: float | None = None

    @property
    def significant(self) -> bool:
        return self.p_holm is not None and self.p_holm < ALPHA


def spread(sample: Sequence[float]) -> Spread:
    """What a group of at least one seed says of its setting."""
    if len(sample) == 1:
        return Spread(1, sample[0], None, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of seeds that are all equal
        interval = stats.ttest_1samp(sample, 0).confidence_interval(LEVEL)
    low, high = map(float, interval)
    return Spread(len(sample), fmean(sample), stdev(sample), (low, high))


def group_differences(groups: Mapping[str, Sequence[float]]) -> list[GroupDifference]:
    """Every two groups, by name, in their order."""
    pairs = list(combinations(groups, 2))
    tested = [pair for pair in pairs if all(len(groups[name]) > 1 for name in pair)]
    welched = {pair: _welch(*(groups[name] for name in pair)) for pair in tested}
    corrected = holm([p for _, p in welched.values()]).tolist()
    tests = {
        pair: (interval, p, p_holm)
        for (pair, (interval, p)), p_holm in zip(welched.items(), corrected, strict=True)
    }
    means = {name: fmean(sample) for name, sample in groups.items()}
    return [
        GroupDifference(*pair, means[pair[0]] - means[pair[1]], *tests.get(pair, ()))
        for pair in pairs
    ]


def _welch(sample: Sequence[float], other: Sequence[float]) -> tuple[Interval, float]:
    low_G, high_G, p_G = welch(np.array(sample)[:, None], np.array(other)[:, None])
    return (float(low_G[0]), float(high_G[0])), float(p_G[0])
