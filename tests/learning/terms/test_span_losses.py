"""Span losses against the equations written out, and the contract that every one of them keeps."""

import math
from collections.abc import Sequence
from dataclasses import replace

import plain_method
import pytest
import torch
from span_batches import (
    candidates_of,
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
    with_candidates,
    with_gradient,
)
from torch import Tensor, nn

from xmrc.data.features import Batch
from xmrc.learning.model import MASKED, SpanLogits
from xmrc.learning.terms import (
    AnswerSet,
    CandidateSettings,
    DistillSettings,
    HardLearning,
    SpanLoss,
)
from xmrc.learning.terms.span_loss import answer_set, span_log_probabilities
from xmrc.settings import ObjectiveSettings
from xmrc.settings.objective import span_losses

ORDER = [2, 0, 3, 1]
BUILT_IN = ("ce", "hard_em", "hl", "mml", "none")
WEIGHTS = ("slot", "type")
NAMES = sorted(span_losses())  # those of plugins would be among them
TRAINED = sorted(set(NAMES) - {"none"})
SIZE = 8  # spans that were mined


def span_loss(name: str, kind: str = "slot", size: int = SIZE, floor: float = 0.3) -> SpanLoss:
    """A loss as trained for a while: what it learns itself is no longer 0."""
    candidates = CandidateSettings(size=size, weights=kind, gold_floor=floor)
    objective = ObjectiveSettings(span=name, candidates=candidates, distill=DistillSettings())
    loss, generator = span_losses()[name](objective, ()).double(), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in loss.parameters():
            parameter += torch.randn(parameter.shape, generator=generator)
    return loss


def hard_learning(kind: str = "slot", size: int = SIZE, floor: float = 0.3) -> HardLearning:
    """The loss with weights."""
    loss = span_loss("hl", kind, size, floor)
    assert isinstance(loss, HardLearning)
    return loss


def loss_of(loss: str | SpanLoss, logits: SpanLogits, batch: Batch, size: int = SIZE) -> Tensor:
    loss = span_loss(loss, size=size) if isinstance(loss, str) else loss
    answers = answer_set(batch, size)
    return loss.losses(span_log_probabilities(logits, answers), answers)


def plain_losses(name: str, logits: SpanLogits, batch: Batch, kind: str, size: int) -> list[float]:
    weights = hard_learning(kind, size)
    theta, losses = weights.theta_T.tolist(), []
    mined = candidates_of(batch)
    for window, gold, ranked in zip(rows_of(logits, batch), targets_of(batch), mined, strict=True):
        z = plain_method.answer_set(gold, ranked, size)
        w = plain_method.span_weights(kind, theta, z, weights.candidates.gold_floor)
        losses.append(plain_method.span_loss(name, *window, z, w))
    return losses


# The equations


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("size", [1, 3, SIZE])
def test_the_loss_is_the_equation(name: str, kind: str, size: int) -> None:
    loss = span_loss(name, kind, size)
    for seed in range(5):
        batch = with_candidates(random_batch(seed), seed, SIZE)
        for logits in (random_logits(batch, seed), equal_logits(batch)):
            expected = plain_losses(name, logits, batch, kind, size)
            found_B = loss_of(loss, logits, batch, size)
            assert found_B.tolist() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", TRAINED)
def test_where_only_the_gold_stands_for_the_answer_they_are_all_the_same(name: str) -> None:
    batch = random_batch(0)
    logits = random_logits(batch, 0)
    expected = [
        plain_method.cross_entropy(*window, *targets)
        for window, targets in zip(rows_of(logits, batch), targets_of(batch), strict=True)
    ]
    assert loss_of(name, logits, batch).tolist() == pytest.approx(expected, abs=1e-9)
    mined = with_candidates(batch, 0, SIZE)
    assert loss_of(name, logits, mined, size=1).tolist() == pytest.approx(expected, abs=1e-9)


def test_cross_entropy_of_equal_logits_is_the_log_of_the_length() -> None:
    batch = random_batch(0)
    expected = [math.log(length) for length in batch.attention_mask_BL.sum(dim=1).tolist()]
    found_B = loss_of("ce", equal_logits(batch), batch)
    assert found_B.tolist() == pytest.approx(expected, abs=1e-9)


def test_cross_entropy_worked_by_hand() -> None:
    # starts: odds 1 to 3; ends: the target has half of all odds
    logits = SpanLogits(
        torch.tensor([[math.log(3.0), 0.0, MASKED]], dtype=torch.float64),
        torch.tensor([[0.0, 0.0, MASKED]], dtype=torch.float64),
    )
    loss_B = loss_of("ce", logits, make_batch([2], [(1, 1)]))
    assert loss_B.tolist() == [pytest.approx((math.log(4) + math.log(2)) / 2, abs=1e-12)]


def test_spans_at_the_first_and_last_token_of_the_context() -> None:
    batch = make_batch([4, 4], [(1, 1), (3, 3)])
    batch = with_candidates(batch, 0, SIZE)
    logits = random_logits(batch, 3)
    for name in BUILT_IN:
        expected = plain_losses(name, logits, batch, "type", SIZE)
        found_B = loss_of(span_loss(name, "type"), logits, batch)
        assert found_B.tolist() == pytest.approx(expected, abs=1e-9)


def test_no_span_loss_teaches_nothing_but_reaches_the_logits() -> None:
    batch = random_batch(0)
    logits = with_gradient(random_logits(batch, 0))
    loss_B = loss_of("none", logits, batch)
    assert loss_B.tolist() == [0.0] * len(batch)
    loss_B.sum().backward()
    for each in logits:
        assert not each.grad.any()


# The contract


class Called(nn.Module):
    """A loss as a function of what it has learned, too."""

    def __init__(self, loss: SpanLoss) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, log_prob_BZ: Tensor, answers: AnswerSet) -> Tensor:
        return self.loss.losses(log_prob_BZ, answers)


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_is_one_finite_number_a_window(name: str) -> None:
    batch = with_candidates(random_batch(1), 1, SIZE)
    for logits in (random_logits(batch, 1), random_logits(batch, 1, 1e4), equal_logits(batch)):
        loss_B = loss_of(name, logits, batch)
        assert loss_B.shape == (len(batch),)
        assert loss_B.dtype == torch.float64
        assert bool(loss_B.isfinite().all())
        assert bool((loss_B >= 0).all())


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("name", TRAINED)
def test_its_gradient_is_that_of_finite_differences(name: str, kind: str) -> None:
    batch = with_candidates(random_batch(2), 2, SIZE)
    tokens_BL = batch.attention_mask_BL == 1
    loss = span_loss(name, kind)
    learned, called = dict(loss.named_parameters()), Called(loss)

    def total(start_BL: Tensor, end_BL: Tensor, *parameters: Tensor) -> Tensor:
        masked = SpanLogits(
            start_BL.masked_fill(~tokens_BL, MASKED), end_BL.masked_fill(~tokens_BL, MASKED)
        )
        answers = answer_set(batch, SIZE)
        trained = {f"loss.{n}": one for n, one in zip(learned, parameters, strict=True)}
        log_prob_BZ = span_log_probabilities(masked, answers)
        losses_B: Tensor = torch.func.functional_call(called, trained, (log_prob_BZ, answers))
        return losses_B

    free = [each.clamp(min=-10).requires_grad_() for each in random_logits(batch, 2)]
    own = [parameter.detach().clone().requires_grad_() for parameter in learned.values()]
    assert torch.autograd.gradcheck(total, (*free, *own), eps=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", TRAINED)
def test_every_window_teaches_its_tokens_and_no_padding(name: str) -> None:
    batch = with_candidates(random_batch(3), 3, SIZE)
    logits = with_gradient(random_logits(batch, 3))
    loss_of(name, logits, batch).sum().backward()
    padding_BL = batch.attention_mask_BL == 0
    for each in logits:
        assert each.grad is not None
        assert bool((each.grad.abs().sum(dim=1) > 0).all())
        assert not each.grad[padding_BL].any()


@pytest.mark.parametrize("name", NAMES)
def test_padding_changes_nothing(name: str) -> None:
    batch = with_candidates(random_batch(4), 4, SIZE)
    logits = random_logits(batch, 4)
    wider = loss_of(name, padded_logits(logits, 9), padded(batch, 9))
    torch.testing.assert_close(wider, loss_of(name, logits, batch), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_the_batch_changes_nothing(name: str) -> None:
    batch = with_candidates(random_batch(5), 5, SIZE)
    logits = random_logits(batch, 5)
    moved = loss_of(name, reordered_logits(logits, ORDER), reordered(batch, ORDER))
    assert moved.tolist() == loss_of(name, logits, batch)[torch.tensor(ORDER)].tolist()


@pytest.mark.parametrize("name", NAMES)
def test_a_window_alone_is_as_in_its_batch(name: str) -> None:
    batch = with_candidates(random_batch(6), 6, SIZE)
    logits = random_logits(batch, 6)
    together = loss_of(name, logits, batch).tolist()
    for row in range(len(batch)):
        alone = loss_of(name, reordered_logits(logits, [row]), reordered(batch, [row]))
        assert alone.tolist() == [pytest.approx(together[row], abs=1e-12)]


@pytest.mark.parametrize("name", NAMES)
def test_the_settings_accept_every_name_of_the_table(name: str) -> None:
    assert ObjectiveSettings(span=name, distill=DistillSettings()).span == name


# Z


def z_of(batch: Batch, size: int) -> list[list[tuple[int, int] | None]]:
    """Z of each window, absent ones as None."""
    answers = answer_set(batch, size)
    columns = (each.tolist() for each in answers)
    return [
        [(s, e) if here else None for s, e, here in zip(*row, strict=True)]
        for row in zip(*columns, strict=True)
    ]


def mined(gold: tuple[int, int], ranked: Sequence[tuple[int, int]]) -> Batch:
    """A window of nine tokens."""
    return replace(make_batch([9], [gold]), candidates_BK2=torch.tensor([ranked]))


ABSENT = (-1, -1)
Z_CASES = {
    "found first": ((2, 3), [(2, 3), (4, 5), (1, 1)], [(2, 3), (4, 5), (1, 1)]),
    "found last": ((2, 3), [(4, 5), (1, 1), (2, 3)], [(2, 3), (4, 5), (1, 1)]),
    "missed": ((2, 3), [(4, 5), (1, 1), (2, 2)], [(2, 3), (4, 5), (1, 1)]),
    "few spans": ((2, 3), [(4, 5), (2, 3), ABSENT], [(2, 3), (4, 5), None]),
    "few and missed": ((2, 3), [(4, 5), ABSENT, ABSENT], [(2, 3), (4, 5), None]),
    "no span": ((2, 3), [ABSENT, ABSENT, ABSENT], [(2, 3), None, None]),
    "no answer": ((0, 0), [(4, 5), (1, 1), (2, 2)], [(0, 0), (4, 5), (1, 1)]),
}


@pytest.mark.parametrize("case", list(Z_CASES))
def test_z_holds_the_gold_once_and_first_and_the_others_by_rank(case: str) -> None:
    gold, ranked, expected = Z_CASES[case]
    assert z_of(mined(gold, ranked), 3) == [expected]
    assert z_of(mined(gold, ranked), 1) == [expected[:1]]


def test_a_slice_of_z_is_what_a_smaller_mining_gives() -> None:
    for seed in range(20):
        batch = with_candidates(random_batch(seed), seed, SIZE)
        for size in range(1, SIZE + 1):
            expected = [
                plain_method.answer_set(gold, ranked, size)
                for gold, ranked in zip(targets_of(batch), candidates_of(batch), strict=True)
            ]
            found = z_of(batch, size)
            assert all(len(z) == size for z in found)
            assert [[span for span in z if span] for z in found] == expected


# w


@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights_are_a_distribution_over_what_is_present(kind: str) -> None:
    batch = with_candidates(random_batch(7), 7, SIZE)
    answers = answer_set(batch, SIZE)
    w_BZ = hard_learning(kind).weights(answers)
    assert not w_BZ[~answers.present_BZ].any()
    assert bool((w_BZ[answers.present_BZ] > 0).all())
    assert bool((w_BZ[:, 0] > 0.3).all())
    torch.testing.assert_close(w_BZ.sum(dim=1), torch.ones(4).double(), rtol=0, atol=1e-12)


def untrained(**candidates: object) -> HardLearning:
    """With theta at 0, of four spans."""
    settings = CandidateSettings(size=4, **candidates)
    return HardLearning(ObjectiveSettings(span="hl", candidates=settings))


def test_weights_before_training_worked_by_hand() -> None:
    # the gold, two spans with one boundary right, one with none
    batch = mined((2, 3), [(2, 4), (2, 3), (5, 6), (1, 3)])
    answers = answer_set(batch, 4)
    expected = {"slot": [0.625, 0.125, 0.125, 0.125], "type": [2 / 3, 1 / 12, 1 / 6, 1 / 12]}
    for kind in WEIGHTS:
        assert untrained(weights=kind).weights(answers).tolist() == [
            pytest.approx(expected[kind], abs=1e-6)
        ]


def test_a_kind_that_is_absent_leaves_its_share_to_the_others() -> None:
    answers = answer_set(mined((2, 3), [(2, 4), (2, 3), (2, 5), ABSENT]), 4)
    weights_BZ = untrained(weights="type", gold_floor=0.0).weights(answers)
    assert weights_BZ.tolist() == [pytest.approx([0.5, 0.25, 0.25, 0.0], abs=1e-6)]


@pytest.mark.parametrize(("kind", "count"), [("slot", SIZE), ("type", 3)], ids=["slot", "type"])
def test_the_summary_names_the_weights_and_their_entropy(kind: str, count: int) -> None:
    weights = hard_learning(kind)
    summary = weights.metrics()
    w = [summary[f"w_{number}"] for number in range(1, count + 1)]
    assert list(summary) == [*(f"w_{number}" for number in range(1, count + 1)), "w_entropy"]
    assert sum(w) == pytest.approx(1)
    assert summary["w_entropy"] == pytest.approx(-sum(each * math.log(each) for each in w))
    theta = [math.exp(each) for each in weights.theta_T.tolist()]
    expected = [0.7 * each / sum(theta) for each in theta]
    assert w == pytest.approx([expected[0] + 0.3, *expected[1:]])


def test_a_floor_of_one_is_cross_entropy_and_theta_stays() -> None:
    batch = with_candidates(random_batch(8), 8, SIZE)
    logits, weights = random_logits(batch, 8), hard_learning(floor=1.0)
    loss_B = loss_of(weights, logits, batch)
    assert loss_B.tolist() == pytest.approx(loss_of("ce", logits, batch).tolist(), abs=1e-12)
    loss_B.sum().backward()
    assert not weights.theta_T.grad.any()
