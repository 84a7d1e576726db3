"""AP and first hit against the worked example and the rule said in loops."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xmrc.scoring.ranking import average_precision, first_hit, top_positions

VALUES = st.sampled_from([-math.inf, -2.0, -1.0, -0.0, 0.0, 1.0, 3.0])


def everything(logits):
    return torch.ones_like(logits, dtype=torch.bool)


def ranked_as(positions, length=128):
    """Logits of one window whose most probable positions are these, best first."""
    logits = torch.full((1, length), -10.0)
    for rank, position in enumerate(positions):
        logits[0, position] = 10.0 - rank
    return logits


WORKED = ranked_as([80, 47, 50, 12, 54, 3, 90, 91, 92, 93])  # around 50, right at ranks 2, 3, 5


def test_worked_example():
    target = torch.tensor([50])
    precision = average_precision(WORKED, target, everything(WORKED), k=10, delta=5)
    assert precision.item() == pytest.approx((1 / 2 + 2 / 3 + 3 / 5) / 10)
    assert precision.item() == pytest.approx(0.17667, abs=5e-6)
    assert first_hit(WORKED, target, everything(WORKED), k=10, delta=5).item() == 0.5


@pytest.mark.parametrize(("position", "right"), [(44, 0), (45, 1), (50, 1), (54, 1), (55, 0)])
def test_right_positions_are_closed_below_and_open_above(position, right):
    logits = ranked_as([position])
    for metric, value in ((first_hit, 1.0), (average_precision, 0.1)):
        found = metric(logits, torch.tensor([50]), everything(logits), k=1, delta=5)
        assert found.item() == pytest.approx(right * value)


def test_ties_go_to_the_lower_position():
    logits = torch.zeros(1, 20)
    assert first_hit(logits, torch.tensor([6]), everything(logits), k=10, delta=2).item() == (
        pytest.approx(1 / 5)
    )


def test_right_positions_outside_the_mask_are_never_found():
    logits = ranked_as([50, 51])
    mask = everything(logits)
    mask[0, 45:55] = False
    assert first_hit(logits, torch.tensor([50]), mask, k=128, delta=5).item() == 0.0
    assert average_precision(logits, torch.tensor([50]), mask, k=128, delta=5).item() == 0.0


def test_half_precision_ranks_as_it_is():
    logits = WORKED.to(torch.bfloat16)
    assert first_hit(logits, torch.tensor([50]), everything(logits), k=10, delta=5).item() == 0.5


def slow_ranking(logits, mask, k):
    kept = [position for position in range(len(logits)) if mask[position]]
    return sorted(kept, key=lambda position: (-float(logits[position]), position))[:k]


def slow_average_precision(ranking, target, delta):
    hits, total = 0, 0.0
    for rank, position in enumerate(ranking, 1):
        if target - delta <= position < target + delta:
            hits += 1
            total += hits / rank
    return total / (2 * delta)


def slow_first_hit(ranking, target, delta):
    for rank, position in enumerate(ranking, 1):
        if target - delta <= position < target + delta:
            return 1 / rank
    return 0.0


@settings(max_examples=400, deadline=None)
@given(st.data(), st.integers(1, 12), st.integers(1, 15), st.integers(1, 6))
def test_windows_equal_the_slow_reference(data, length, k, delta):
    def rows(values):
        row = st.lists(values, min_size=length, max_size=length)
        return torch.tensor(data.draw(st.lists(row, min_size=2, max_size=2)))

    logits, mask = rows(VALUES), rows(st.booleans())
    targets = torch.tensor(data.draw(st.tuples(*[st.integers(0, length - 1)] * 2)))
    rankings = [slow_ranking(logits[row], mask[row], k) for row in range(2)]
    positions, present = top_positions(logits, mask, k)
    for row, ranking in enumerate(rankings):
        absent = k - len(ranking)
        assert positions[row].tolist() == ranking + [-1] * absent
        assert present[row].tolist() == [True] * len(ranking) + [False] * absent
    for metric, slow in (
        (average_precision, slow_average_precision),
        (first_hit, slow_first_hit),
    ):
        expected = [
            slow(ranking, int(t), delta) for ranking, t in zip(rankings, targets, strict=True)
        ]
        found = metric(logits, targets, mask, k=k, delta=delta)
        assert found.dtype == torch.float32
        assert found.tolist() == pytest.approx(expected)


def test_nan_is_never_ranked():
    logits = torch.tensor([[math.nan, 1.0, -math.nan, 2.0]])
    positions, present = top_positions(logits, everything(logits), 4)
    assert positions.tolist() == [[3, 1, -1, -1]]
    assert present.tolist() == [[True, True, False, False]]
