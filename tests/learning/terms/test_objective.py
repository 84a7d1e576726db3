"""The sum of all parts: over the whole batch however it is divided, switched off part by part."""

from collections.abc import Sequence

import plain_method
import pytest
import torch
from seen_batches import shares_of
from span_batches import (
    LookupReader,
    make_batch,
    padded,
    random_batch,
    random_logits,
    reordered,
    rows_of,
    targets_of,
)
from torch import Tensor

from xmrc.data.features import Batch
from xmrc.learning.model import SpanLogits, span_logits
from xmrc.learning.terms import DistillSettings, Objective, Student
from xmrc.learning.terms.distillation import DIVERGENCES, PRECISIONS
from xmrc.settings import ObjectiveSettings

BUILT_IN = ("ce", "mml", "hard_em", "hl", "none")
DIVISIONS = [[[0, 1, 2, 3]], [[0, 1], [2, 3]], [[3], [1, 0], [2]], [[2], [3], [1], [0]]]
COMBINATIONS = [
    (span, kind, coefficient, variant)
    for span in BUILT_IN
    for kind in DIVERGENCES
    for coefficient, variant in [(0.3, "first_hit"), *(("map", name) for name in PRECISIONS)]
]


def readers(batch: Batch) -> tuple[LookupReader, LookupReader]:
    """The reader as it was when the generation began, and as it is."""
    return LookupReader(random_logits(batch, 1)), LookupReader(random_logits(batch, 2))


def summed_parts(
    objective: Objective, student: LookupReader, batches: Sequence[Batch], count: int
) -> dict[str, Tensor]:
    """The shares of all micro-batches together; gradients gather in the student."""
    students = [Student(span_logits(student, batch)) for batch in batches]
    sums = shares_of(objective, students, batches, count)
    sums["loss"].backward()
    return {name: value.detach() for name, value in sums.items()}


def distilling(
    span: str, kind: str, coefficient: float | str, variant: str
) -> tuple[ObjectiveSettings, DistillSettings]:
    distill = DistillSettings(
        coefficient=coefficient, variant=variant, divergence=kind, temperature=3.0, k=4, delta=2
    )
    return ObjectiveSettings(span=span, distill=distill), distill


def plain_parts(
    batch: Batch, teacher: SpanLogits, student: SpanLogits, span: str, distill: DistillSettings
) -> dict[str, float]:
    """The equations written out, for the whole batch."""
    taught, read = rows_of(teacher, batch), rows_of(student, batch)
    targets = targets_of(batch)
    entropies = [
        plain_method.cross_entropy(*row, *golds) for row, golds in zip(read, targets, strict=True)
    ]
    divergences = [
        sum(
            plain_method.divergence(*pair, distill.temperature, distill.divergence)
            for pair in zip(guides, learners, strict=True)
        )
        / 2
        for guides, learners in zip(taught, read, strict=True)
    ]
    weights = plain_method.coefficients(taught, targets, distill)
    weighted = sum(c_kl * kl for c_kl, kl in zip(weights, divergences, strict=True))
    loss_span = 0.0 if span == "none" else sum(entropies) / len(batch)  # Z is the gold span alone
    return {
        "loss": loss_span + weighted / len(batch),
        "loss_span": loss_span,
        "loss_kl": sum(divergences) / len(batch),
        "c_kl": sum(weights) / len(batch),
    }


@pytest.mark.parametrize(("span", "kind", "coefficient", "variant"), COMBINATIONS)
def test_the_sum_is_the_equation_and_divides_into_micro_batches(
    span: str, kind: str, coefficient: float | str, variant: str
) -> None:
    settings, distill = distilling(span, kind, coefficient, variant)
    batch = random_batch(3)
    before, _ = readers(batch)
    objective = Objective(settings)
    objective.start_epoch(before)
    gradients = []
    for division in DIVISIONS:
        _, student = readers(batch)
        expected = plain_parts(
            batch, span_logits(before, batch), span_logits(student, batch), span, distill
        )
        batches = [reordered(batch, rows) for rows in division]
        found = summed_parts(objective, student, batches, len(batch))
        assert {name: value.item() for name, value in found.items()} == pytest.approx(
            expected, abs=1e-9
        )
        gradients.append(torch.cat([student.starts.grad, student.ends.grad]))
    assert gradients[0].abs().max() > 0.01
    for gradient in gradients[1:]:
        torch.testing.assert_close(gradient, gradients[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("variant", sorted(PRECISIONS))
@pytest.mark.parametrize("span", sorted(BUILT_IN))
def test_filler_rows_and_padding_count_for_nothing(span: str, variant: str) -> None:
    settings, _ = distilling(span, "forward", "map", variant)
    lengths, targets = [7, 10, 4], [(1, 3), (0, 0), (2, 2)]
    filled = make_batch(lengths, targets, weights=[1.0, 1.0, 0.0])
    before, _ = readers(filled)
    objective = Objective(settings)
    objective.start_epoch(before)
    outcomes = []
    for batches in ([filled], [reordered(filled, [0, 1])], [padded(filled, 4)]):
        _, student = readers(filled)
        parts = summed_parts(objective, student, batches, 2)
        outcomes.append((parts["loss"], student.starts.grad, student.ends.grad))
    for outcome in outcomes[1:]:
        for found, expected in zip(outcome, outcomes[0], strict=True):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("distill", [None, DistillSettings(coefficient=0.0)])
def test_without_distillation_there_is_no_teacher_and_no_such_part(
    distill: DistillSettings | None,
) -> None:
    objective = Objective(ObjectiveSettings(distill=distill))
    batch = random_batch(4)
    _, student = readers(batch)
    objective.start_epoch(student)
    assert objective.state() == {"span": {}}
    objective.restore(student, {"span": {}})
    parts = summed_parts(objective, student, [batch], len(batch))
    assert parts.keys() == {"loss", "loss_span"}
    assert parts["loss"].item() == parts["loss_span"].item() > 0


def test_a_new_epoch_is_a_new_generation_and_resuming_is_none() -> None:
    settings, _ = distilling("ce", "forward", 1.0, "first_hit")
    batch = random_batch(5)
    before, student = readers(batch)
    objective = Objective(settings)
    objective.start_epoch(before)
    expected = summed_parts(objective, student, [batch], len(batch))
    assert expected["loss_kl"] > 0.1
    resumed = Objective(settings)
    resumed.restore(student, objective.state())  # the teacher is `before`, not the student
    found = summed_parts(resumed, student, [batch], len(batch))
    assert found == expected
    resumed.start_epoch(student)
    assert summed_parts(resumed, student, [batch], len(batch))["loss_kl"].item() == 0.0
