"""Distillation against the equations written out; the teacher's generations; the coefficient."""

from collections.abc import Sequence

import plain_method
import pytest
import torch
from seen_batches import teacher_view
from span_batches import (
    LookupReader,
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
from transformers import BertConfig, BertForQuestionAnswering

from xmrc.data.features import Batch
from xmrc.learning.model import MASKED, SpanLogits, span_logits
from xmrc.learning.terms import DistillSettings
from xmrc.learning.terms.distillation import DIVERGENCES, PRECISIONS, Distillation, Guidance
from xmrc.settings import ObjectiveSettings

ORDER = [3, 1, 0, 2]
KINDS = sorted(DIVERGENCES)
VARIANTS = sorted(set(PRECISIONS) - {"per_example"})  # those with one coefficient a batch


def distillation_of(settings: DistillSettings) -> Distillation:
    """The term, switched on."""
    return Distillation(ObjectiveSettings(distill=settings))


def losses(
    kind: str, teacher: SpanLogits, student: SpanLogits, temperature: float = 2.0
) -> torch.Tensor:
    distillation = distillation_of(DistillSettings(divergence=kind, temperature=temperature))
    return distillation.divergence(student, Guidance(teacher, torch.ones(())))


def coefficient_of(
    settings: DistillSettings, teacher: SpanLogits, parts: Sequence[Batch], count: int
) -> list[float]:
    distillation = distillation_of(settings)
    distillation.start_epoch(LookupReader(teacher))
    ahead = distillation.look_ahead(teacher_view(parts, count))
    return [guidance.coefficient.item() for guidance in ahead]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("temperature", [1.0, 2.0, 7.5])
def test_the_loss_is_the_equation(kind: str, temperature: float) -> None:
    batch = random_batch(0)
    teacher, student = random_logits(batch, 1), random_logits(batch, 2)
    expected = [
        sum(plain_method.divergence(*pair, temperature, kind) for pair in zip(*rows, strict=True))
        / 2
        for rows in zip(rows_of(teacher, batch), rows_of(student, batch), strict=True)
    ]
    found_B = losses(kind, teacher, student, temperature)
    assert found_B.tolist() == pytest.approx(expected, abs=1e-9)


def test_each_divergence_worked_by_hand() -> None:
    # teacher 3/4 and 1/4, student 1/2 and 1/2, at temperature 1, the same for start and end
    teacher = SpanLogits(*[torch.tensor([[0.75, 0.25]], dtype=torch.float64).log()] * 2)
    student = SpanLogits(*[torch.zeros(1, 2, dtype=torch.float64)] * 2)
    forward, reverse = 0.130812035941137, 0.143841036225890
    expected = {"forward": forward, "reverse": reverse, "symmetric": forward + reverse}
    for kind in KINDS:
        assert losses(kind, teacher, student, 1.0).item() == pytest.approx(expected[kind], abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_divergence_is_finite_and_not_negative(kind: str) -> None:
    batch = random_batch(3)
    for scale in (1.0, 1e4):
        teacher, student = random_logits(batch, 4, scale), random_logits(batch, 5, scale)
        for pair in ((teacher, student), (equal_logits(batch), student)):
            loss_B = losses(kind, *pair)
            assert loss_B.shape == (len(batch),)
            assert bool(loss_B.isfinite().all())
            assert bool((loss_B >= 0).all())


@pytest.mark.parametrize("kind", KINDS)
def test_a_student_that_is_its_teacher_has_nothing_to_learn(kind: str) -> None:
    batch = random_batch(6)
    for same in (random_logits(batch, 6), equal_logits(batch)):
        student = with_gradient(same)
        loss_B = losses(kind, same, student)
        loss_B.sum().backward()
        assert loss_B.tolist() == pytest.approx([0.0] * len(batch), abs=1e-12)
        for each in student:
            torch.testing.assert_close(each.grad, torch.zeros_like(each), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_its_gradient_is_that_of_finite_differences(kind: str) -> None:
    batch = random_batch(7)
    teacher, tokens_BL = random_logits(batch, 8), batch.attention_mask_BL == 1

    def total(start_BL: torch.Tensor, end_BL: torch.Tensor) -> torch.Tensor:
        masked = (each.masked_fill(~tokens_BL, MASKED) for each in (start_BL, end_BL))
        return losses(kind, teacher, SpanLogits(*masked))

    free = tuple(each.clamp(min=-9.0).requires_grad_() for each in random_logits(batch, 9))
    assert torch.autograd.gradcheck(total, free, eps=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_every_window_teaches_its_tokens_and_no_padding(kind: str) -> None:
    batch = random_batch(10)
    student = with_gradient(random_logits(batch, 11))
    losses(kind, random_logits(batch, 12), student).sum().backward()
    for each in student:
        assert each.grad is not None
        assert bool((each.grad.abs().sum(dim=1) > 0).all())
        assert not each.grad[batch.attention_mask_BL == 0].any()


@pytest.mark.parametrize("kind", KINDS)
def test_padding_and_order_change_no_divergence(kind: str) -> None:
    batch = random_batch(13)
    teacher, student = random_logits(batch, 14), random_logits(batch, 15)
    loss_B = losses(kind, teacher, student)
    wider_B = losses(kind, padded_logits(teacher, 6), padded_logits(student, 6))
    moved_B = losses(kind, reordered_logits(teacher, ORDER), reordered_logits(student, ORDER))
    torch.testing.assert_close(wider_B, loss_B, rtol=0, atol=1e-12)
    assert moved_B.tolist() == loss_B[torch.tensor(ORDER)].tolist()


def test_the_coefficient_worked_by_hand() -> None:
    """The gold start is 50; of the teacher's ten best, ranks 2, 3 and 5 lie in [45, 55)."""
    ranked = [80, 47, 50, 12, 54, 3, 90, 91, 92, 93]
    logits = torch.full((1, 100), -5.0, dtype=torch.float64)
    logits[0, ranked] = torch.arange(10.0, 0.0, -1.0, dtype=torch.float64)
    batch = make_batch([100], [(50, 50)])
    expected = {"first_hit": 0.5, "average_precision": (1 / 2 + 2 / 3 + 3 / 5) / 10}
    for variant in VARIANTS:
        settings = DistillSettings(coefficient="map", variant=variant)
        found = coefficient_of(settings, SpanLogits(logits, logits.clone()), [batch], 1)
        assert found == [pytest.approx(expected[variant], abs=1e-9)]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("k", "delta"), [(10, 5), (3, 1), (1, 2), (50, 3)])
def test_the_coefficient_is_the_mean_over_windows_and_boundaries(
    variant: str, k: int, delta: int
) -> None:
    settings = DistillSettings(coefficient="map", variant=variant, k=k, delta=delta)
    batch = random_batch(16)
    for teacher in (random_logits(batch, 17), equal_logits(batch)):
        expected = plain_method.coefficient(
            rows_of(teacher, batch), targets_of(batch), k, delta, variant
        )
        found = coefficient_of(settings, teacher, [batch], len(batch))
        assert found == [pytest.approx(expected, abs=1e-9)]


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_coefficient_is_that_of_the_whole_batch_however_it_is_divided(variant: str) -> None:
    settings = DistillSettings(coefficient="map", variant=variant, delta=2)
    batch = random_batch(18)
    teacher = random_logits(batch, 19)
    (whole,) = coefficient_of(settings, teacher, [batch], len(batch))
    for division in ([[0, 1], [2, 3]], [[3], [0, 2], [1]], [[2], [1], [3], [0]]):
        parts = [reordered(batch, rows) for rows in division]
        found = coefficient_of(settings, teacher, parts, len(batch))
        assert found == [pytest.approx(whole, abs=1e-12)] * len(division)


@pytest.mark.parametrize("variant", VARIANTS)
def test_padding_and_filler_rows_change_no_coefficient(variant: str) -> None:
    settings = DistillSettings(coefficient="map", variant=variant)
    lengths, targets = [8, 11, 6], [(2, 4), (0, 0), (1, 1)]
    plain = make_batch(lengths, targets)
    teacher = random_logits(plain, 20)
    (expected,) = coefficient_of(settings, teacher, [plain], 3)
    wide = padded(plain, 5)
    assert coefficient_of(settings, teacher, [wide], 3) == [expected]
    filled = make_batch(lengths, targets, weights=[1.0, 1.0, 0.0])
    without = make_batch(lengths[:2], targets[:2])
    (of_two,) = coefficient_of(settings, teacher, [without], 2)
    assert coefficient_of(settings, teacher, [filled], 2) == [pytest.approx(of_two, abs=1e-12)]


@pytest.mark.parametrize(("k", "delta"), [(10, 5), (3, 1), (50, 3)])
def test_each_example_may_have_a_coefficient_of_its_own(k: int, delta: int) -> None:
    """Whatever stands beside it in the batch, or pads it."""
    distillation = distillation_of(DistillSettings(variant="per_example", k=k, delta=delta))
    batch = random_batch(24)
    teacher = random_logits(batch, 25)
    distillation.start_epoch(LookupReader(teacher))
    expected = [
        plain_method.coefficient([window], [targets], k, delta, "first_hit")
        for window, targets in zip(rows_of(teacher, batch), targets_of(batch), strict=True)
    ]
    for division in ([[0, 1, 2, 3]], [[3], [0, 2], [1]]):
        parts = [reordered(batch, rows) for rows in division]
        guidances = distillation.look_ahead(teacher_view(parts, len(batch)))
        for rows, guidance in zip(division, guidances, strict=True):
            own = [expected[row] for row in rows]
            assert guidance.coefficient.tolist() == pytest.approx(own, abs=1e-9)


def test_a_number_is_its_own_coefficient() -> None:
    batch = random_batch(21)
    parts = [reordered(batch, [0, 1]), reordered(batch, [2, 3])]
    settings = DistillSettings(coefficient=0.25)
    assert coefficient_of(settings, random_logits(batch, 22), parts, len(batch)) == [0.25, 0.25]


# The teacher, with a real encoder that has dropout.


def student() -> BertForQuestionAnswering:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=50, intermediate_size=16, **sizes, hidden_dropout_prob=0.5)
    return BertForQuestionAnswering(config)


def shift(model: torch.nn.Module) -> None:
    """Change every weight, as training does, in place."""
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.5


def starts_of(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
    """What the model says without dropout; leaves it in the mode in which it was."""
    training = model.training
    model.eval()
    with torch.no_grad():
        start_BL = span_logits(model, batch).start_BL
    model.train(training)
    return start_BL


@pytest.fixture
def batch() -> Batch:
    return random_batch(23, lengths=(6, 8, 3))


def test_the_teacher_stays_as_the_student_was_until_the_next_generation(batch: Batch) -> None:
    model, distillation = student(), distillation_of(DistillSettings())
    model.train()
    for _ in range(2):  # generation 0 is the start, later ones copy the student as it then is
        expected = starts_of(model, batch)
        distillation.start_epoch(model)
        shift(model)
        (guidance,) = distillation.look_ahead(teacher_view([batch], len(batch)))
        torch.testing.assert_close(guidance.logits.start_BL, expected, rtol=0, atol=0)
        assert not torch.allclose(starts_of(model, batch), expected)


def test_the_teacher_has_no_dropout_and_no_gradient(batch: Batch) -> None:
    model, distillation = student(), distillation_of(DistillSettings(coefficient=1.0))
    model.train()
    distillation.start_epoch(model)
    alone = teacher_view([batch], len(batch))
    first, second = (distillation.look_ahead(alone)[0] for _ in range(2))
    assert torch.equal(first.logits.start_BL, second.logits.start_BL)
    assert torch.equal(first.logits.end_BL, second.logits.end_BL)
    assert not first.logits.start_BL.requires_grad
    assert model.training  # freezing the copy leaves the student in training
    distillation.divergence(span_logits(model, batch), first).sum().backward()
    assert all(weight.grad is not None and weight.requires_grad for weight in model.parameters())


def test_a_restored_teacher_is_the_one_that_was_written_not_the_student(batch: Batch) -> None:
    model, before = student(), distillation_of(DistillSettings())
    before.start_epoch(model)
    written = {name: tensor.clone() for name, tensor in before.state().items()}
    (expected,) = before.look_ahead(teacher_view([batch], len(batch)))
    shift(model)
    after = distillation_of(DistillSettings())
    after.restore(model, written)
    (found,) = after.look_ahead(teacher_view([batch], len(batch)))
    assert torch.equal(found.logits.start_BL, expected.logits.start_BL)
    assert torch.equal(found.coefficient, expected.coefficient)
    assert not list(after.parameters())  # the teacher is no part of what is trained


@pytest.mark.parametrize("name", sorted(PRECISIONS))
def test_the_settings_accept_every_name_of_the_tables(name: str) -> None:
    for kind in KINDS:
        settings = DistillSettings(variant=name, divergence=kind)
        assert (settings.variant, settings.divergence) == (name, kind)
