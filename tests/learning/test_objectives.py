"""Span losses against the equations written out, and the contract that every one of them keeps."""

import math

import plain_method
import pytest
import torch
from span_batches import (
    equal_logits,
    make_batch,
    padded,
    padded_logits,
    random_batch,
    random_logits,
    reordered,
    reordered_logits,
    rows_of,
    targets_of,
    with_gradient,
)

from xmrc.learning.model import MASKED, SpanLogits
from xmrc.learning.objectives import SPAN_LOSSES, cross_entropy
from xmrc.settings import DistillSettings, ObjectiveSettings

ORDER = [2, 0, 3, 1]
NAMES = sorted(SPAN_LOSSES)
TRAINED = sorted(set(SPAN_LOSSES) - {"none"})


@pytest.mark.parametrize("seed", range(5))
def test_cross_entropy_is_the_equation(seed: int) -> None:
    batch = random_batch(seed)
    logits = random_logits(batch, seed)
    expected = [
        plain_method.cross_entropy(*window, *targets)
        for window, targets in zip(rows_of(logits, batch), targets_of(batch), strict=True)
    ]
    assert cross_entropy(logits, batch).tolist() == pytest.approx(expected, abs=1e-9)


def test_cross_entropy_of_equal_logits_is_the_log_of_the_length() -> None:
    batch = random_batch(0)
    expected = [math.log(length) for length in batch.attention_mask_BL.sum(dim=1).tolist()]
    assert cross_entropy(equal_logits(batch), batch).tolist() == pytest.approx(expected, abs=1e-9)


def test_cross_entropy_worked_by_hand() -> None:
    # starts: odds 1 to 3; ends: the target has half of all odds
    logits = SpanLogits(
        torch.tensor([[math.log(3.0), 0.0, MASKED]], dtype=torch.float64),
        torch.tensor([[0.0, 0.0, MASKED]], dtype=torch.float64),
    )
    loss_B = cross_entropy(logits, make_batch([2], [(1, 1)]))
    assert loss_B.tolist() == [pytest.approx((math.log(4) + math.log(2)) / 2, abs=1e-12)]


def test_no_span_loss_is_nothing_to_learn_from() -> None:
    batch = random_batch(0)
    logits = with_gradient(random_logits(batch, 0))
    loss_B = SPAN_LOSSES["none"](logits, batch)
    assert loss_B.tolist() == [0.0] * len(batch)
    assert not loss_B.requires_grad


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_is_one_finite_number_a_window(name: str) -> None:
    batch = random_batch(1)
    for logits in (random_logits(batch, 1), random_logits(batch, 1, 1e4), equal_logits(batch)):
        loss_B = SPAN_LOSSES[name](logits, batch)
        assert loss_B.shape == (len(batch),)
        assert loss_B.dtype == torch.float64
        assert bool(loss_B.isfinite().all())
        assert bool((loss_B >= 0).all())


@pytest.mark.parametrize("name", TRAINED)
def test_its_gradient_is_that_of_finite_differences(name: str) -> None:
    batch = random_batch(2)
    logits = with_gradient(random_logits(batch, 2))
    tokens_BL = batch.attention_mask_BL == 1

    def total(start_BL: torch.Tensor, end_BL: torch.Tensor) -> torch.Tensor:
        masked = SpanLogits(
            start_BL.masked_fill(~tokens_BL, MASKED), end_BL.masked_fill(~tokens_BL, MASKED)
        )
        return SPAN_LOSSES[name](masked, batch)

    free = SpanLogits(*(each.detach().clamp(min=-10).requires_grad_() for each in logits))
    assert torch.autograd.gradcheck(total, tuple(free), eps=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", TRAINED)
def test_every_window_teaches_its_tokens_and_no_padding(name: str) -> None:
    batch = random_batch(3)
    logits = with_gradient(random_logits(batch, 3))
    SPAN_LOSSES[name](logits, batch).sum().backward()
    padding_BL = batch.attention_mask_BL == 0
    for each in logits:
        assert each.grad is not None
        assert bool((each.grad.abs().sum(dim=1) > 0).all())
        assert not each.grad[padding_BL].any()


@pytest.mark.parametrize("name", NAMES)
def test_padding_changes_nothing(name: str) -> None:
    batch = random_batch(4)
    logits = random_logits(batch, 4)
    wider = SPAN_LOSSES[name](padded_logits(logits, 9), padded(batch, 9))
    torch.testing.assert_close(wider, SPAN_LOSSES[name](logits, batch), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_the_batch_changes_nothing(name: str) -> None:
    batch = random_batch(5)
    logits = random_logits(batch, 5)
    moved = SPAN_LOSSES[name](reordered_logits(logits, ORDER), reordered(batch, ORDER))
    assert moved.tolist() == SPAN_LOSSES[name](logits, batch)[torch.tensor(ORDER)].tolist()


@pytest.mark.parametrize("name", NAMES)
def test_the_settings_accept_every_name_of_the_table(name: str) -> None:
    assert ObjectiveSettings(span=name, distill=DistillSettings()).span == name
