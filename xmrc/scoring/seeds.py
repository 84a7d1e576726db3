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
import pandas as pd
import scipy

from xmrc.scoring.statistics import LEVEL, corrected, welch

_Interval = tuple[float, float]  # low, high; 95 %


@dataclass(frozen=True, slots=True)
class Spread:
    """Seeds of one group: how many, their mean, the sample's standard deviation and the mean's 95 %
    t interval, in the unit of the scores. The last two are None for a single seed."""

    seeds: int
    mean: float
    deviation: float | None
    interval: _Interval | None


def spread(sample: Sequence[float]) -> Spread:
    """What a group of at least one seed says of its setting."""
    if len(sample) == 1:
        return Spread(1, sample[0], None, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of seeds that are all equal
        interval = scipy.stats.ttest_1samp(sample, 0).confidence_interval(LEVEL)
    low, high = map(float, interval)
    return Spread(len(sample), fmean(sample), stdev(sample), (low, high))


def group_differences(groups: Mapping[str, Sequence[float]]) -> pd.DataFrame:
    """Every two groups, by name, in their order: a row each.

    difference: the mean of the group `first` less that of `second`, and its 95 % interval from
    `low` to `high`. p: of Welch's two-sided test. p_holm, significant: after Holm's correction for
    all that were tested together. Interval and p are NaN where a group is a single seed.
    """
    rows = [
        {"first": one, "second": other, **_difference(groups[one], groups[other])}
        for one, other in combinations(groups, 2)
    ]
    frame = pd.DataFrame(rows, columns=["first", "second", "difference", "low", "high", "p"])
    return corrected(frame, [])


def _difference(sample: Sequence[float], other: Sequence[float]) -> dict[str, float]:
    difference = {"difference": fmean(sample) - fmean(other)}
    if min(len(sample), len(other)) == 1:
        return difference
    low_G, high_G, p_G = welch(np.array(sample)[:, None], np.array(other)[:, None])
    return difference | {"low": float(low_G[0]), "high": float(high_G[0]), "p": float(p_G[0])}
