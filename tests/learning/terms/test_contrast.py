"""Contrastive learning against the equations written out, and however a batch is divided."""

from collections.abc import Sequence
from dataclasses import replace

import plain_contrast
import pytest
import torch
from plain_contrast import Window
from seen_batches import shares_of
from span_batches import (
    LookupReader,
    equal_logits,
    make_batch,
    padded,
    padded_logits,
    random_logits,
    reordered,
    reordered_logits,
)
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from xmrc.data.features import Batch
from xmrc.learning.model import SpanLogits
from xmrc.learning.terms import (
    CandidateSettings,
    ContrastSettings,
    DistillSettings,
    Objective,
    Student,
)
from xmrc.learning.terms.contrast import (
    CachedGradient,
    Contrast,
    info_nce,
    span_means,
)
from xmrc.settings import ObjectiveSettings

SIZE = 6  # of the states
QUESTION = 3  # tokens, behind one special token; another one follows
CONTEXT = QUESTION + 2  # its first position
TAU = 0.7
LENGTHS = (12, 16, 9, 11, 14, 10)  # of the windows, a special token at the end
ANSWERS = ((6, 7), (5, 5), (0, 0), (9, 9), (8, 11), (5, 8))  # the third is without
IDS = (0, 1, 1, 2, 3, 0)  # two pairs of windows with the same question
ORDER = [4, 0, 3, 5, 2, 1]
DIVISIONS = [[[0, 1, 2, 3, 4, 5]], [[0, 1, 2], [3, 4, 5]], [[5], [2], [0, 3], [4, 1]]]


def question_batch(
    lengths: Sequence[int] = LENGTHS,
    answers: Sequence[tuple[int, int]] = ANSWERS,
    ids: Sequence[int] = IDS,
) -> Batch:
    """Windows of a special token, a question, another, a context, and one at the end."""
    batch = make_batch(lengths, answers)
    position_L = torch.arange(max(lengths))
    last_B1 = torch.tensor(lengths)[:, None] - 1
    return replace(
        batch,
        question_mask_BL=((position_L > 0) & (position_L <= QUESTION)).expand(len(lengths), -1),
        context_mask_BL=(position_L >= CONTEXT) & (position_L < last_B1),
        question_B=torch.tensor(ids),
    )


def contrast_of(**settings: float) -> Contrast:
    """The term, switched on."""
    return Contrast(ObjectiveSettings(alpha=0.5, contrast=ContrastSettings(**settings)))


def prefix_sums(states_BLD: Tensor) -> Tensor:
    """As every span mean is taken from them."""
    nothing_BL = states_BLD.new_zeros(states_BLD.shape[:2])
    return Student(SpanLogits(nothing_BL, nothing_BL), states_BLD).sums_BLD


def random_states(batch: Batch, seed: int) -> Tensor:
    shape = (*batch.input_ids_BL.shape, SIZE)
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def plain_windows(states_BLD: Tensor, logits: SpanLogits, batch: Batch) -> list[Window]:
    windows = []
    for row, length in enumerate(batch.attention_mask_BL.sum(dim=1).tolist()):
        answer = (int(batch.start_targets_B[row]), int(batch.end_targets_B[row]))
        windows.append(
            Window(
                states=list(states_BLD[row, :length]),
                starts=logits.start_BL[row, :length].tolist(),
                ends=logits.end_BL[row, :length].tolist(),
                question=[at for at in range(length) if batch.question_mask_BL[row, at]],
                context=[at for at in range(length) if batch.context_mask_BL[row, at]],
                answer=answer if batch.has_answer_B[row] else None,
                question_id=int(batch.question_B[row]),
            )
        )
    return windows


def plain_loss(states_BLD: Tensor, logits: SpanLogits, batch: Batch, negatives: int) -> Tensor:
    return plain_contrast.contrast_loss(plain_windows(states_BLD, logits, batch), TAU, negatives)


def cached_of(
    states_BLD: Tensor,
    logits: SpanLogits,
    batch: Batch,
    division: Sequence[Sequence[int]] | None = None,
    negatives: int = 50,
) -> list[tuple[CachedGradient, Tensor]]:
    """The gradients at the vectors of each micro-batch, beside these, whose graph is kept."""
    contrast = contrast_of(tau=TAU, negatives=negatives)
    vectors, anchors, batches = [], [], []
    for rows in division or [range(len(batch))]:
        part = reordered(batch, rows)
        sums_BLD = prefix_sums(states_BLD[torch.tensor(rows)])
        placed = contrast.anchors(sums_BLD, reordered_logits(logits, rows), part)
        vectors.append(span_means(sums_BLD, placed.start_B3, placed.end_B3))
        anchors.append(placed)
        batches.append(part)
    cached = contrast.gradients(vectors, anchors, batches, len(batch))
    return list(zip(cached, vectors, strict=True))


def loss_and_gradient(
    states_BLD: Tensor, logits: SpanLogits, batch: Batch, **options: object
) -> tuple[float, Tensor]:
    """Through the shares of the micro-batches."""
    leaf_BLD = states_BLD.clone().requires_grad_()
    shares = [one.share(vectors) for one, vectors in cached_of(leaf_BLD, logits, batch, **options)]
    total = torch.stack(shares).sum()
    total.backward()
    assert leaf_BLD.grad is not None
    return total.item(), leaf_BLD.grad


def assert_is_the_equation(batch: Batch, logits: SpanLogits, negatives: int, seed: int = 0) -> None:
    """Value and gradient."""
    states_BLD = random_states(batch, seed)
    leaf_BLD = states_BLD.clone().requires_grad_()
    expected = plain_loss(leaf_BLD, logits, batch, negatives)
    expected.backward()
    found, gradient_BLD = loss_and_gradient(states_BLD, logits, batch, negatives=negatives)
    assert found == pytest.approx(expected.item(), abs=1e-9)
    torch.testing.assert_close(gradient_BLD, leaf_BLD.grad, rtol=0, atol=1e-9)


# The equations


@pytest.mark.parametrize("negatives", [1, 4, 50, 1000])
@pytest.mark.parametrize("seed", range(3))
def test_the_loss_is_the_equation(seed: int, negatives: int) -> None:
    """Also with more spans asked for than there are."""
    batch = question_batch()
    assert_is_the_equation(batch, random_logits(batch, seed), negatives, seed)


@pytest.mark.parametrize("negatives", [1, 7, 1000])
def test_equal_logits_rank_the_earlier_and_shorter_span_first(negatives: int) -> None:
    batch = question_batch()
    assert_is_the_equation(batch, equal_logits(batch), negatives)


@pytest.mark.parametrize("answer", [(CONTEXT, CONTEXT), (10, 10), (CONTEXT, 10)])
def test_answers_at_the_first_and_last_token_of_the_context(answer: tuple[int, int]) -> None:
    batch = question_batch((12, 12), (answer, (7, 8)), (0, 1))
    assert_is_the_equation(batch, random_logits(batch, 4), 50)


def test_a_batch_of_one_has_only_its_own_hard_negative() -> None:
    batch = question_batch((12,), ((6, 7),), (0,))
    assert_is_the_equation(batch, random_logits(batch, 5), 50)


def test_a_context_that_is_the_answer_has_no_hard_negative() -> None:
    alone = question_batch((CONTEXT + 2,), ((CONTEXT, CONTEXT),), (0,))
    loss, gradient_BLD = loss_and_gradient(random_states(alone, 0), random_logits(alone, 0), alone)
    assert loss == pytest.approx(0.0, abs=1e-12)
    assert gradient_BLD.abs().max() < 1e-12
    beside = question_batch((CONTEXT + 2, 12), ((CONTEXT, CONTEXT), (6, 7)), (0, 1))
    assert_is_the_equation(beside, random_logits(beside, 0), 50)


def test_the_same_question_in_other_languages_is_no_negative() -> None:
    batch = question_batch(ids=(7,) * 6)
    states_BLD, logits = random_states(batch, 6), random_logits(batch, 6)
    alone = [
        loss_and_gradient(
            states_BLD[row : row + 1], reordered_logits(logits, [row]), reordered(batch, [row])
        )[0]
        for row in range(6)
        if batch.has_answer_B[row]
    ]
    found, _ = loss_and_gradient(states_BLD, logits, batch)
    assert found == pytest.approx(sum(alone) / len(alone), abs=1e-9)
    assert_is_the_equation(batch, logits, 50, 6)


def test_no_window_with_its_answer_is_no_loss() -> None:
    batch = question_batch((12, 10), ((0, 0), (0, 0)), (0, 1))
    found, gradient_BLD = loss_and_gradient(random_states(batch, 7), random_logits(batch, 7), batch)
    assert found == 0.0
    assert not gradient_BLD.any()


def test_a_window_without_its_answer_pulls_at_nothing() -> None:
    batch = question_batch()
    states_BLD, logits = random_states(batch, 8), random_logits(batch, 8)
    found, gradient_BLD = loss_and_gradient(states_BLD, logits, batch)
    assert not gradient_BLD[2].any()
    others = [0, 1, 3, 4, 5]
    without, _ = loss_and_gradient(
        states_BLD[others], reordered_logits(logits, others), reordered(batch, others)
    )
    assert found == pytest.approx(without, abs=1e-12)


def test_of_spans_that_are_equally_like_the_answer_the_better_one_is_taken() -> None:
    """All tokens of the context have the same state, so all spans have."""
    batch = question_batch((12,), ((6, 7),), (0,))
    states_BLD = torch.ones(1, 12, SIZE, dtype=torch.float64)
    logits = random_logits(batch, 9)
    anchors = contrast_of().anchors(prefix_sums(states_BLD), logits, batch)
    best = plain_contrast.wrong_spans(plain_windows(states_BLD, logits, batch)[0])[0]
    assert (int(anchors.start_B3[0, 2]), int(anchors.end_B3[0, 2])) == best


def test_special_tokens_are_in_no_mean() -> None:
    batch = question_batch()
    states_BLD, logits = random_states(batch, 10), random_logits(batch, 10)
    _, gradient_BLD = loss_and_gradient(states_BLD, logits, batch)
    special_BL = ~(batch.question_mask_BL | batch.context_mask_BL)
    assert gradient_BLD[special_BL].abs().max() < 1e-12
    asked_BL = batch.question_mask_BL & batch.has_answer_B[:, None]
    assert bool((gradient_BLD[asked_BL].abs().sum(dim=1) > 0).all())


def test_a_question_without_tokens_has_no_direction() -> None:
    batch = question_batch((12, 12), ((6, 7), (8, 8)), (0, 1))
    nothing_BL = batch.question_mask_BL.clone()
    nothing_BL[0] = False
    states_BLD, logits = random_states(batch, 11), random_logits(batch, 11)
    found, gradient_BLD = loss_and_gradient(
        states_BLD, logits, replace(batch, question_mask_BL=nothing_BL)
    )
    assert found > 0
    assert bool(gradient_BLD.isfinite().all())


def test_tau_worked_by_hand() -> None:
    # cosines 1 to its own answer, 0 to its negative and to the other window's answer
    east, north = [1.0, 0.0], [0.0, 1.0]
    vectors_N3D = torch.tensor([[east, east, north], [north, north, east]], dtype=torch.float64)
    yes_N, ids_N = torch.tensor([True, True]), torch.tensor([0, 1])
    for tau in (0.05, 1.0, 10.0):
        odds = torch.exp(torch.tensor(-1 / tau, dtype=torch.float64))
        # beside its own: its negative and the other's answer (0), the other's negative (1)
        expected = torch.log(2 + 2 * odds).item()
        found_N = info_nce(vectors_N3D, ids_N, yes_N, yes_N, tau)
        assert found_N.tolist() == pytest.approx([expected, expected], abs=1e-12)


# The contract


def test_its_gradient_is_that_of_finite_differences() -> None:
    batch = question_batch()
    logits = random_logits(batch, 12)
    contrast = contrast_of(tau=TAU)
    anchors = contrast.anchors(prefix_sums(random_states(batch, 12)), logits, batch)

    def total(states_BLD: Tensor) -> Tensor:
        vectors_B3D = span_means(prefix_sums(states_BLD), anchors.start_B3, anchors.end_B3)
        facts = (batch.question_B, batch.has_answer_B, anchors.has_negative_B)
        return info_nce(vectors_B3D, *facts, TAU)

    assert torch.autograd.gradcheck(total, (random_states(batch, 12).requires_grad_(),))


def test_padding_changes_nothing() -> None:
    batch = question_batch()
    states_BLD, logits = random_states(batch, 13), random_logits(batch, 13)
    expected, gradient_BLD = loss_and_gradient(states_BLD, logits, batch)
    wider_BLD = torch.nn.functional.pad(states_BLD, (0, 0, 0, 5), value=9.0)
    found, wider_gradient_BLD = loss_and_gradient(
        wider_BLD, padded_logits(logits, 5), padded(batch, 5)
    )
    assert found == pytest.approx(expected, abs=1e-12)
    length = states_BLD.shape[1]
    torch.testing.assert_close(wider_gradient_BLD[:, :length], gradient_BLD, rtol=0, atol=1e-12)
    assert not wider_gradient_BLD[:, length:].any()


def test_the_order_of_the_batch_changes_nothing() -> None:
    batch = question_batch()
    states_BLD, logits = random_states(batch, 14), random_logits(batch, 14)
    expected, gradient_BLD = loss_and_gradient(states_BLD, logits, batch)
    moved = (states_BLD[ORDER], reordered_logits(logits, ORDER), reordered(batch, ORDER))
    found, moved_gradient_BLD = loss_and_gradient(*moved)
    assert found == pytest.approx(expected, abs=1e-12)
    torch.testing.assert_close(moved_gradient_BLD, gradient_BLD[ORDER], rtol=0, atol=1e-12)


@pytest.mark.parametrize("division", DIVISIONS)
def test_micro_batches_make_the_same_loss_and_gradient(division: list[list[int]]) -> None:
    batch = question_batch()
    states_BLD, logits = random_states(batch, 15), random_logits(batch, 15)
    expected, gradient_BLD = loss_and_gradient(states_BLD, logits, batch)
    found, divided_BLD = loss_and_gradient(states_BLD, logits, batch, division=division)
    assert found == pytest.approx(expected, abs=1e-12)
    torch.testing.assert_close(divided_BLD, gradient_BLD, rtol=0, atol=1e-12)


def test_half_precision_states_are_summed_in_single() -> None:
    states_BLD = torch.full((1, 3000, 1), 1.0, dtype=torch.bfloat16)
    sums_BLD = prefix_sums(states_BLD)
    assert sums_BLD.dtype == torch.float32
    assert sums_BLD[0, -1].item() == 3000.0


# Its part of the objective


@pytest.mark.parametrize("alpha", [0.25, 1.0])
def test_alpha_weighs_the_contrast_against_the_span_loss(alpha: float) -> None:
    batch = question_batch()
    states_BLD, logits = random_states(batch, 16), random_logits(batch, 16)
    objective = Objective(ObjectiveSettings(alpha=alpha, contrast=ContrastSettings(tau=TAU)))
    parts = shares_of(objective, [Student(logits, states_BLD)], [batch], len(batch))
    contrast = plain_loss(states_BLD, logits, batch, 50).item()
    assert parts["loss_contrast"].item() == pytest.approx(contrast, abs=1e-9)
    expected = (1 - alpha) * parts["loss_span"].item() + alpha * contrast
    assert parts["loss"].item() == pytest.approx(expected, abs=1e-9)


def test_alpha_of_nothing_is_no_contrast() -> None:
    for settings in (ObjectiveSettings(), ObjectiveSettings(contrast=None)):
        objective = Objective(settings)
        assert list(objective.terms) == ["span"]
        assert not objective.reads_states


# On a device: what reads a value would make the host wait for it


class Uncopied(LookupReader):
    """Copying a tensor looks at where its values lie."""

    def __deepcopy__(self, memo: object) -> "Uncopied":
        return self


def test_neither_the_contrast_nor_the_coefficient_reads_a_value_off_the_device() -> None:
    """Fake tensors have shapes and no values: whatever reads one raises."""
    batch = question_batch()
    states_BLD, logits = random_states(batch, 17), random_logits(batch, 17)
    batch = replace(batch, candidates_BK2=torch.full((len(batch), 5, 2), 6))
    settings = ObjectiveSettings(
        span="hl",
        alpha=0.5,
        candidates=CandidateSettings(size=5, weights="type"),
        distill=DistillSettings(coefficient="map"),
    )
    with FakeTensorMode(allow_non_fake_inputs=False) as fake:

        def on_device(tensor: Tensor) -> Tensor:
            return fake.from_tensor(tensor)

        parts = Batch(
            **{name: on_device(each) for name, each in vars(batch).items() if each is not None},
            token_type_ids_BL=None,
        )
        logits = SpanLogits(*map(on_device, logits))
        student = Student(logits, on_device(states_BLD).requires_grad_())
        objective = Objective(settings, [("en", "en"), ("en", "de")])
        objective.start_epoch(Uncopied(logits))
        losses = shares_of(objective, [student], [parts], len(parts))
        losses["loss"].backward()
        with pytest.raises(RuntimeError, match="_local_scalar_dense"):  # it does raise
            losses["loss"].item()
