"""Means of seeds and differences of groups, against numbers worked by hand and SciPy itself."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t, ttest_ind

from xmrc.scoring.seeds import group_differences, spread

SCORES = st.lists(st.floats(0, 100), min_size=2, max_size=6)


def test_a_spread_by_hand() -> None:
    found = spread([39.0, 41.0, 43.0])
    half = 4.302653 * 2 / 3**0.5  # t of 2 degrees of freedom, sd 2
    assert (found.seeds, found.mean, found.deviation) == (3, 41.0, 2.0)
    assert found.interval == (pytest.approx(41 - half), pytest.approx(41 + half))


@given(SCORES)
def test_the_interval_is_students(sample: list[float]) -> None:
    found = spread(sample)
    assert found.deviation is not None
    assert found.interval is not None
    low, high = found.interval
    half = t.ppf(0.975, len(sample) - 1) * found.deviation / len(sample) ** 0.5
    assert (low, high) == (
        pytest.approx(found.mean - half, abs=1e-6), pytest.approx(found.mean + half, abs=1e-6),
    )  # fmt: skip


def test_a_single_seed_has_a_mean_alone() -> None:
    found = spread([41.0])
    assert (found.seeds, found.mean, found.deviation, found.interval) == (1, 41.0, None, None)


def test_seeds_that_are_all_equal_leave_no_doubt() -> None:
    assert spread([5.0, 5.0, 5.0]).interval == (5.0, 5.0)
    same, other, _ = rows({"a": [5.0] * 3, "b": [5.0] * 3, "c": [6.0] * 3})
    assert (same.difference, same.p, same.significant) == (0, 1, False)
    assert (other.difference, other.p, other.significant) == (-1, 0, True)


def rows(groups: Mapping[str, Sequence[float]]) -> list[Any]:
    """The differences, with their values as attributes."""
    return list(group_differences(groups).itertuples())


GROUPS = {"1": [70.0, 71.0, 72.5], "2": [70.5, 69.0, 71.0, 70.0], "3": [60.0, 61.0, 62.0]}


def test_every_two_groups_by_welch_and_holm() -> None:
    found = rows(GROUPS)
    assert [(one.first, one.second) for one in found] == [("1", "2"), ("1", "3"), ("2", "3")]
    tests = [ttest_ind(GROUPS[a], GROUPS[b], equal_var=False) for a, b in ("12", "13", "23")]
    for one, test in zip(found, tests, strict=True):
        assert one.p == pytest.approx(test.pvalue)
        assert (one.low, one.high) == pytest.approx(tuple(test.confidence_interval(0.95)))
    p = [test.pvalue for test in tests]
    assert p[2] < p[1] < p[0]
    assert [one.p_holm for one in found] == [
        pytest.approx(p[0]), pytest.approx(2 * p[1]), pytest.approx(3 * p[2]),
    ]  # fmt: skip
    assert [one.significant for one in found] == [False, True, True]
    assert found[1].difference == pytest.approx(71.1666667 - 61)


def test_a_group_of_one_is_not_tested_and_counts_for_no_correction() -> None:
    found = rows({"1": [70.0], **{k: GROUPS[k] for k in "23"}})
    assert found[0].difference == pytest.approx(70 - 70.125)
    alone = [[one.low, one.high, one.p, one.p_holm] for one in found[:2]]
    assert np.isnan(alone).all()
    assert found[2].p_holm == found[2].p
    assert not found[0].significant


def test_fewer_than_two_groups_have_no_differences() -> None:
    assert rows({}) == rows({"1": [1.0, 2.0]}) == []
