"""Scores by question id, and what resampling the ids does to their means over language pairs.

In: scored examples. Out: their scores as a table, means of the sample and of its resamples.

The pairs of one question are not independent of each other: an id is drawn with all its pairs, and
the means over pairs are taken anew. I question ids, P language pairs, G groups of pairs, R
resamples.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd

from xmrc.data.examples import LanguagePair
from xmrc.scoring.predictions import KEY, PAIR

_RESAMPLES_AT_ONCE = 1000


def by_question(scored: pd.DataFrame, score: str) -> np.ndarray:
    """A score of each id in each pair, both sorted: (I, P), NaN where an id lacks a pair."""
    value_IP = scored.groupby(KEY)[score].first().unstack(PAIR)
    return value_IP.sort_index(axis=1).to_numpy()


def restricted(value_IP: np.ndarray, keep_P: np.ndarray) -> np.ndarray:
    """These pairs alone, and the ids that have one of them."""
    kept_IP = value_IP[:, keep_P]
    return kept_IP[~np.isnan(kept_IP).all(axis=1)]


def members(pairs: Iterable[LanguagePair], groups: Sequence[Sequence[LanguagePair]]) -> np.ndarray:
    """Which pairs make up each group: (P, G), 1.0 or 0.0."""
    return np.array([[float(pair in group) for group in groups] for pair in pairs])


def group_means(value_IP: np.ndarray, member_PG: np.ndarray) -> np.ndarray:
    """For each group the mean of its pairs' means: (G,)."""
    sum_IP, count_IP = _sums(value_IP)
    mean_P = sum_IP.sum(axis=0) / count_IP.sum(axis=0)
    return mean_P @ member_PG / member_PG.sum(axis=0)


def bootstrap(
    value_IP: np.ndarray, member_PG: np.ndarray, *, resamples: int, seed: int
) -> np.ndarray:
    """The means of the groups over resampled ids: (R, G).

    Draws as many ids as there are, with replacement. A pair of which nothing is drawn is left out
    of its group's mean; a group of which nothing is drawn is NaN.
    """
    generator = np.random.default_rng(seed)
    sum_IP, count_IP = _sums(value_IP)
    parts = []
    for drawn_RI in _draws(generator, len(value_IP), resamples):
        count_RP = drawn_RI @ count_IP
        there_RP = count_RP > 0
        mean_RP = drawn_RI @ sum_IP / np.where(there_RP, count_RP, 1)
        with np.errstate(invalid="ignore"):  # 0 / 0: nothing drawn
            parts.append(mean_RP @ member_PG / (there_RP @ member_PG))
    return np.concatenate(parts)


def _draws(generator: np.random.Generator, ids: int, resamples: int) -> Iterator[np.ndarray]:
    """How often each resample draws each id: (R, I) float, some resamples at a time."""
    for done in range(0, resamples, _RESAMPLES_AT_ONCE):
        rows = min(_RESAMPLES_AT_ONCE, resamples - done)
        drawn = generator.integers(0, ids, (rows, ids)) + ids * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * ids)
        yield counts.reshape(rows, ids).astype(float)


def influences(value_IP: np.ndarray, member_P: np.ndarray) -> np.ndarray:
    """One value for each id that a group has, their mean being the group's: (ids of the group,).

    The influence of each id on the mean over pairs, to first order (the linearisation of a ratio
    estimator): ids are independent, so tests of independent values hold for these. For a group of
    one pair they are the values of its examples.
    """
    sum_IP, count_IP = _sums(restricted(value_IP, member_P > 0))
    count_P = count_IP.sum(axis=0)
    mean_P = sum_IP.sum(axis=0) / count_P
    influence_I = ((sum_IP - mean_P * count_IP) / count_P).mean(axis=1)
    return mean_P.mean() + len(sum_IP) * influence_I


def _sums(value_IP: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values with 0 for NaN, and 1.0 or 0.0 for whether they are there."""
    absent_IP = np.isnan(value_IP)
    return np.where(absent_IP, 0.0, value_IP), (~absent_IP).astype(float)
