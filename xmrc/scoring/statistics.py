"""Which of two readers is better, and how sure that is. In: scores of both. Out: differences.

Where each side is one reader, the question ids are the unit (`compare_examples`); where each is a
group of seeds, the seeds are (`compare_seeds`). A difference is the second side less the first, in
points (0 to 100). All tests are SciPy's.

S seeds, I question ids, P language pairs, G groups of pairs, R resamples.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import scipy  # which imports its parts when they are asked for

from xmrc.data.examples import LanguagePair
from xmrc.errors import DataError
from xmrc.scoring.gxlt import GxltScores
from xmrc.scoring.predictions import PAIR, check_same_examples
from xmrc.scoring.resampling import (
    bootstrap,
    by_question,
    group_means,
    influences,
    members,
    restricted,
)

METRICS = ("f1", "em")
LEVEL = 0.95  # of the intervals
_ALPHA = 0.05  # of what is called significant
RESAMPLES = 10_000
_ROUNDING = 1e-9  # points; values closer together than this are the same

_Alternative = Literal["two-sided", "greater", "less"]


@dataclass(frozen=True, eq=False)
class Comparison:
    """All differences of two sides, a row each. `units`: how many ids, or seeds, each side has.

    metric, scope, name: which score it is, "f1" or "em"; "gxlt" and "xlt" are the macro means,
    "question" and "context" the mean over the pairs with the language `name` on that side, "pair"
    is the pair `name`, "question-context". first, second: the scores, 0 to 100. difference: second
    less first. low, high: its 95 % interval, NaN where there is one question id alone. p:
    two-sided. p_holm: after Holm's correction for all differences of the same metric and scope.
    significant: by p_holm.

    wilcoxon: for each metric the p-value of Wilcoxon's signed-rank test over the pairs' means. A
    description and no more: the test takes pairs for independent, and they share their questions.
    """

    unit: Literal["question ids", "seeds"]
    units: tuple[int, int]
    differences: pd.DataFrame
    wilcoxon: Mapping[str, float]

    def of(self, scope: str, metric: str) -> pd.DataFrame:
        """The differences of one scope, for "f1" or "em"."""
        rows = self.differences
        return rows[(rows["scope"] == scope) & (rows["metric"] == metric)]


class Group(NamedTuple):
    """Pairs whose mean is a score of its own: see `Comparison`."""

    scope: str
    name: str
    pairs: tuple[LanguagePair, ...]


class _Tests(NamedTuple):
    low_G: np.ndarray
    high_G: np.ndarray
    p_G: np.ndarray


def compare_examples(
    first: pd.DataFrame, second: pd.DataFrame, *, resamples: int = RESAMPLES, seed: int = 0
) -> Comparison:
    """Two readers that scored the same examples, which may come in any order.

    Intervals are those of the percentile bootstrap over question ids, XLT's over the ids and pairs
    of the diagonal alone. p-values are those of the t-test over the `influences` of the ids; for a
    single pair that is the paired t-test of its examples.

    Raises DataError: other examples or other gold answers on one side, fewer than two ids.
    """
    check_same_examples({"the first run": first, "the second run": second})
    ids = first["id"].nunique()
    if ids < 2:
        raise DataError(f"a comparison needs at least 2 question ids, got {ids}")
    pairs = sorted(set(_pairs_in(first)))
    groups = _groups_of(pairs)
    samples = [
        [group for group in groups if (group.scope == "xlt") is diagonal]
        for diagonal in (False, True)
    ]
    parts = []
    for metric in METRICS:
        sides = [by_question(side, metric) for side in (first, second)]
        for sample in filter(None, samples):
            member_PG = members(pairs, [group.pairs for group in sample])
            keep_P = np.any(member_PG, axis=1)
            before_IP, after_IP = (restricted(value_IP, keep_P) for value_IP in sides)
            tests = _test_ids(after_IP - before_IP, member_PG[keep_P], resamples, seed)
            means = [group_means(value_IP, member_PG[keep_P]) for value_IP in (before_IP, after_IP)]
            parts.append(_rows(metric, sample, means[0], means[1], tests))
    return _comparison("question ids", (ids, ids), parts)


def compare_seeds(first: Sequence[GxltScores], second: Sequence[GxltScores]) -> Comparison:
    """Two groups of readers that differ in their seeds alone: Welch's t-test over the seeds.

    Raises DataError: fewer than two seeds on a side, scores over other pairs or of more examples.
    """
    for side, scores in (("first", first), ("second", second)):
        if len(scores) < 2:
            raise DataError(f"the {side} group must have at least 2 seeds, got {len(scores)}")
    groups = check_same_pairs([*first, *second])
    parts = []
    for metric in METRICS:
        one_SG, other_SG = (means_of_seeds(side, groups, metric) for side in (first, second))
        tests = _Tests(*welch(other_SG, one_SG))
        parts.append(_rows(metric, groups, one_SG.mean(axis=0), other_SG.mean(axis=0), tests))
    return _comparison("seeds", (len(first), len(second)), parts)


def holm(p_values: Sequence[float] | np.ndarray | pd.Series) -> np.ndarray:
    """p-values after Holm's step-down correction (1979), in their order.

    Of true null hypotheses one or more falls below alpha in at most a share alpha of the cases.
    """
    p = np.asarray(p_values, float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(stepped, 1)
    return corrected


def corrected(rows: pd.DataFrame, family: Sequence[str]) -> pd.DataFrame:
    """Rows with their p-values `p` after Holm's correction, `p_holm`, and whether that is below
    0.05, `significant`. Corrected together are those of equal columns `family` that have one."""
    p_holm = rows.groupby([*family, rows["p"].notna()])["p"].transform(holm)
    return rows.assign(p_holm=p_holm, significant=p_holm < _ALPHA)


def shown_p(p: float) -> str:
    """A p-value with as many digits as mean anything."""
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def welch(
    sample_SG: np.ndarray, other_SG: np.ndarray, alternative: _Alternative = "two-sided"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Welch's t-test of each column: the 95 % interval of `sample` less `other`, low and high, and
    p: each (G,). Where neither side has any spread, p is 1 for equal means and else 0 or 1.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of columns without spread
        test = scipy.stats.ttest_ind(sample_SG, other_SG, equal_var=False, alternative=alternative)
        low_G, high_G = test.confidence_interval(LEVEL)
    return low_G, high_G, np.where(np.isnan(test.pvalue), 1.0, test.pvalue)


def _groups_of(pairs: Iterable[LanguagePair]) -> list[Group]:
    """Every score that has a difference of its own: macro means, languages, single pairs."""
    present = sorted(set(pairs))
    diagonal = tuple(pair for pair in present if pair[0] == pair[1])
    languages = [
        Group(scope, name, tuple(pair for pair in present if pair[side] == name))
        for side, scope in enumerate(("question", "context"))
        for name in sorted({pair[side] for pair in present})
    ]
    return [
        Group("gxlt", "", tuple(present)),
        *([Group("xlt", "", diagonal)] if diagonal else []),
        *languages,
        *(Group("pair", "-".join(pair), (pair,)) for pair in present),
    ]


def _pairs_in(frame: pd.DataFrame) -> list[LanguagePair]:
    return list(zip(*(frame[side] for side in PAIR), strict=True))


def check_same_pairs(seeds: Sequence[GxltScores]) -> list[Group]:
    """The groups of pairs that all of `seeds` have scores for.

    Raises DataError: scores over other pairs, or of another number of examples in a pair.
    """
    expected, *others = (_by_pair(scores, "n") for scores in seeds)
    for other in others:
        if other != expected:
            pair = min(dict(expected.items() ^ other.items()))
            raise DataError(
                f"seeds must be scored on the same examples: of the pair {'-'.join(pair)} one has "
                f"{expected.get(pair, 0)}, another {other.get(pair, 0)}"
            )
    return _groups_of(expected)


def means_of_seeds(seeds: Sequence[GxltScores], groups: Sequence[Group], metric: str) -> np.ndarray:
    """The mean of each group's pairs, for each seed: (S, G), 0 to 100."""
    by_pair = [_by_pair(scores, metric) for scores in seeds]
    return np.array(
        [[np.mean([mean[pair] for pair in group.pairs]) for group in groups] for mean in by_pair]
    )


def _by_pair(scores: GxltScores, column: str) -> dict[LanguagePair, float]:
    return dict(zip(_pairs_in(scores.pairs), scores.pairs[column], strict=True))


def _test_ids(change_IP: np.ndarray, member_PG: np.ndarray, resamples: int, seed: int) -> _Tests:
    resampled_RG = bootstrap(change_IP, member_PG, resamples=resamples, seed=seed)
    values = [influences(change_IP, member_P) for member_P in member_PG.T]
    tail = 100 * (1 - LEVEL) / 2
    low_G, high_G = np.nanpercentile(resampled_RG, [tail, 100 - tail], axis=0)
    alone_G = np.array([len(one) < 2 for one in values])
    low_G[alone_G] = high_G[alone_G] = np.nan
    return _Tests(low_G, high_G, np.array([_p_value(one) for one in values]))


def _p_value(values: np.ndarray) -> float:
    """Of a mean of 0: the t-test; where all values are one, which has no t, the sign test."""
    if np.ptp(values) > _ROUNDING:
        return float(scipy.stats.ttest_1samp(values, 0).pvalue)
    changed = len(values) if abs(values[0]) > _ROUNDING else 0
    return float(scipy.stats.binomtest(changed, changed).pvalue) if changed else 1.0


def _rows(
    metric: str, groups: Sequence[Group], first_G: np.ndarray, second_G: np.ndarray, tests: _Tests
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "metric": metric,
            "scope": [group.scope for group in groups],
            "name": [group.name for group in groups],
            "first": first_G,
            "second": second_G,
            "difference": second_G - first_G,
            "low": tests.low_G,
            "high": tests.high_G,
            "p": tests.p_G,
        }
    )


def _comparison(
    unit: Literal["question ids", "seeds"], units: tuple[int, int], parts: Sequence[pd.DataFrame]
) -> Comparison:
    rows = corrected(pd.concat(parts, ignore_index=True), ["metric", "scope"])
    pairs = rows[rows["scope"] == "pair"].groupby("metric", sort=False)["difference"]
    return Comparison(unit, units, rows, pairs.agg(_wilcoxon).to_dict())


def _wilcoxon(differences: pd.Series) -> float:
    """Without any change 1."""
    changes = differences.where(differences.abs() > _ROUNDING, 0.0)
    return float(scipy.stats.wilcoxon(changes).pvalue) if changes.any() else 1.0
