"""A worker's batch as terms of the loss see it. In: logits, states by heart. Out: shares, summed.

What stands for `xmrc.learning.step` where a term is looked at alone: nothing is run twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from xmrc.data.features import Batch
from xmrc.learning.model import SpanLogits, span_logits
from xmrc.learning.terms import Objective, Student, Term


@dataclass
class SeenBatch:
    """Micro-batches, and what the student says of each."""

    batches: Sequence[Batch]
    window_count: int
    students: Sequence[Student]

    def student(self, number: int) -> Student:
        """Known already."""
        return self.students[number]

    def read(self, reader: nn.Module, batch: Batch) -> SpanLogits:
        """Another reader is run."""
        return span_logits(reader, batch)


def teacher_view(batches: Sequence[Batch], window_count: int) -> SeenBatch:
    """For terms that look at no student."""
    return SeenBatch(batches, window_count, [])


def shares_of(
    objective: Objective | Term, students: Sequence[Student], batches: Sequence[Batch], count: int
) -> dict[str, Tensor]:
    """Every part of the loss over all micro-batches, and `loss`, weighted, which has a gradient."""
    terms = [(1.0, objective)] if isinstance(objective, Term) else list(objective)
    seen = SeenBatch(batches, count, students)
    sums: dict[str, Tensor] = {"loss": torch.zeros((), dtype=torch.float64)}
    for weight, term in terms:
        aheads = term.look_ahead(seen)
        for student, batch, ahead in zip(students, batches, aheads, strict=True):
            share = term.share(student, batch, ahead, count)
            sums["loss"] = sums["loss"] + weight * share.loss
            for name, value in share.parts.items():
                sums[name] = sums.get(name, 0) + value.detach()
    return sums
