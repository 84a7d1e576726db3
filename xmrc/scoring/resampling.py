"""Scores of examples by question id, and what resampling the ids does to their means.

In: a value for each example. Out: means over language pairs, of the sample and of its resamples.

The pairs of one question are not independent of each other: an id is drawn with all its pairs, and
the means over pairs are taken anew. I question ids, P language pairs, G groups of pairs, R
resamples.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from xmrc.data.examples import LanguagePair

_RESAMPLES_AT_ONCE = 1000


@dataclass(frozen=True)
class Sums:
    """A value of each example, summed by question id and language pair, and how many there are."""

    pairs: tuple[LanguagePair, ...]
    sum_IP: np.ndarray
    count_IP: np.ndarray

    @classmethod
    def of(cls, keys: Sequence[tuple[str, LanguagePair]], values: np.ndarray) -> "Sums":
        """From one value for each (id, pair), in any order: it does not change the sums."""
        ids = {id: row for row, id in enumerate(sorted({id for id, _ in keys}))}
        pairs = {pair: column for column, pair in enumerate(sorted({pair for _, pair in keys}))}
        cells = np.array([ids[id] * len(pairs) + pairs[pair] for id, pair in keys])
        shape, size = (len(ids), len(pairs)), len(ids) * len(pairs)
        sum_IP = np.bincount(cells, values, minlength=size).reshape(shape)
        count_IP = np.bincount(cells, minlength=size).reshape(shape).astype(float)
        return cls(tuple(pairs), sum_IP, count_IP)

    def restricted(self, pairs: Sequence[LanguagePair]) -> "Sums":
        """These pairs alone, and the ids that have one of them."""
        columns = [self.pairs.index(pair) for pair in pairs]
        rows = self.count_IP[:, columns].any(axis=1)
        count_IP, sum_IP = self.count_IP[rows][:, columns], self.sum_IP[rows][:, columns]
        return replace(self, pairs=tuple(pairs), sum_IP=sum_IP, count_IP=count_IP)

    @property
    def ids(self) -> int:
        return len(self.sum_IP)

    def members(self, groups: Sequence[Sequence[LanguagePair]]) -> np.ndarray:
        """Which pairs make up each group: (P, G), 1.0 or 0.0."""
        return np.array([[float(pair in group) for group in groups] for pair in self.pairs])

    def means(self, member_PG: np.ndarray) -> np.ndarray:
        """For each group the mean of its pairs' means: (G,)."""
        mean_P = self.sum_IP.sum(axis=0) / self.count_IP.sum(axis=0)
        return mean_P @ member_PG / member_PG.sum(axis=0)


def bootstrap(sums: Sums, member_PG: np.ndarray, *, resamples: int, seed: int) -> np.ndarray:
    """The means of the groups over resampled ids: (R, G).

    Draws as many ids as there are, with replacement. A pair of which nothing is drawn is left out
    of its group's mean; a group of which nothing is drawn is NaN.
    """
    generator = np.random.default_rng(seed)
    parts = []
    for drawn_RI in _draws(generator, sums.ids, resamples):
        count_RP = drawn_RI @ sums.count_IP
        there_RP = count_RP > 0
        mean_RP = drawn_RI @ sums.sum_IP / np.where(there_RP, count_RP, 1)
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


def values_of_ids(sums: Sums, member_P: np.ndarray) -> np.ndarray:
    """One value for each id that a group has, their mean being the group's: (ids of the group,).

    The influence of each id on the mean over pairs, to first order (the linearisation of a ratio
    estimator): ids are independent, so tests of independent values hold for these. For a group of
    one pair they are the values of its examples.
    """
    pairs = np.flatnonzero(member_P)
    rows = sums.count_IP[:, pairs].any(axis=1)
    sum_IP, count_IP = sums.sum_IP[rows][:, pairs], sums.count_IP[rows][:, pairs]
    count_P = count_IP.sum(axis=0)
    mean_P = sum_IP.sum(axis=0) / count_P
    influence_I = ((sum_IP - mean_P * count_IP) / count_P).mean(axis=1)
    return mean_P.mean() + rows.sum() * influence_I
