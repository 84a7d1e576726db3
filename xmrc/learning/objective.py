"""The one objective: L = L_span + c_kl L_kl. In: student, micro-batches. Out: sums to minimise.

Every mean is over the windows of the whole optimisation batch, however it is divided into workers
and micro-batches, so a part here is the sum over a micro-batch divided by the global count.
Shapes: B windows, L tokens.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from xmrc.data.features import Batch
from xmrc.learning.distillation import Distillation, Guidance
from xmrc.learning.model import SpanLogits
from xmrc.learning.objectives import SPAN_LOSSES
from xmrc.settings import ObjectiveSettings

LossParts = dict[str, Tensor]  # name to a scalar; `loss` is what is differentiated


class Objective:
    """A span loss and, where it is on, self-distillation."""

    def __init__(self, settings: ObjectiveSettings) -> None:
        self._span_loss = SPAN_LOSSES[settings.span]
        distill = settings.distill
        distils = distill is not None and distill.coefficient != 0
        self._distillation = Distillation(distill) if distill is not None and distils else None

    def start_epoch(self, student: nn.Module) -> None:
        """Begin a generation: the student as it now is becomes the teacher."""
        if self._distillation is not None:
            self._distillation.start_generation(student)

    def look_ahead(self, batches: Sequence[Batch], window_count: int) -> Sequence[Guidance | None]:
        """See this worker's whole part of the batch before any gradient, as c_kl needs."""
        if self._distillation is None:
            return [None] * len(batches)
        return self._distillation.guide(batches, window_count)

    def parts(
        self, student: SpanLogits, batch: Batch, guidance: Guidance | None, window_count: int
    ) -> LossParts:
        """This micro-batch's share of every part of the loss over `window_count` windows."""

        def share(loss_B: Tensor) -> Tensor:
            return (loss_B * batch.weights_B).sum() / window_count

        loss_span = share(self._span_loss(student, batch))
        if self._distillation is None or guidance is None:
            return {"loss": loss_span, "loss_span": loss_span}
        kl_B = self._distillation.loss(student, guidance)
        return {
            "loss": loss_span + share(guidance.coefficient * kl_B),
            "loss_span": loss_span,
            "loss_kl": share(kl_B),
            "c_kl": share(guidance.coefficient.expand_as(kl_B)),
        }

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs beside the student."""
        if self._distillation is None:
            return {}
        return {"teacher": self._distillation.teacher_state()}

    def restore(self, student: nn.Module, state: dict[str, Any]) -> None:
        """Undo `state`."""
        if self._distillation is not None:
            self._distillation.restore_teacher(student, state["teacher"])
