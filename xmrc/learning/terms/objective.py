"""The one objective: L = (1 - alpha) L_span + alpha L_contrast + c_kl L_kl. In: a student, its
micro-batches. Out: sums to minimise.

Every mean is over the windows of the whole optimisation batch, however it is divided into workers
and micro-batches, so a part here is the sum over a micro-batch divided by the global count.
Shapes: B windows, L tokens.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from xmrc.data.examples import LanguagePair
from xmrc.data.features import Batch
from xmrc.learning.model import SpanLogits
from xmrc.learning.terms.contrast import Contrast
from xmrc.learning.terms.distillation import Distillation, Guidance
from xmrc.learning.terms.span_losses import (
    SPAN_LOSSES,
    SpanWeights,
    answer_set,
    span_log_probabilities,
)
from xmrc.settings import ObjectiveSettings

LossParts = dict[str, Tensor]  # name to a scalar; `loss` is what is differentiated


class Objective:
    """A span loss and, where they are on, contrastive learning and self-distillation.

    `span_weights` are what it learns itself, if anything; they are trained beside the student.
    `pairs` are the language pairs of the batches, by their codes there.
    """

    def __init__(self, settings: ObjectiveSettings, pairs: Sequence[LanguagePair] = ()) -> None:
        self._span_loss = SPAN_LOSSES[settings.span]
        self._alpha, self._candidates = settings.alpha, settings.candidates
        self.span_weights = SpanWeights(settings.candidates) if settings.span == "hl" else None
        self.contrast: Contrast | None = None
        if settings.alpha > 0 and settings.contrast is not None:
            self.contrast = Contrast(settings.contrast)
        distill = settings.distill
        distils = distill is not None and distill.coefficient != 0
        self._distillation: Distillation | None = None
        if distill is not None and distils:
            self._distillation = Distillation(distill, pairs)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What it learns itself, as groups of an optimiser, with rates of their own."""
        if self.span_weights is None:
            return []
        group = {"params": list(self.span_weights.parameters()), "weight_decay": 0.0}
        return [{**group, "lr": self._candidates.learning_rate}]

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
        self,
        student: SpanLogits,
        batch: Batch,
        guidance: Guidance | None,
        window_count: int,
        loss_contrast: Tensor | None = None,
    ) -> LossParts:
        """This micro-batch's share of every part of the loss over `window_count` windows.

        `loss_contrast` is its share of the contrast, which is a loss of the whole batch.
        """

        def share(loss_B: Tensor) -> Tensor:
            return (loss_B * batch.weights_B).sum() / window_count

        loss_span = share(self._span_losses(student, batch))
        loss, parts = (1 - self._alpha) * loss_span, {"loss_span": loss_span}
        if loss_contrast is not None:
            loss, parts["loss_contrast"] = loss + self._alpha * loss_contrast, loss_contrast
        if self._distillation is not None and guidance is not None:
            kl_B = self._distillation.loss(student, guidance)
            loss = loss + share(guidance.coefficient * kl_B)
            parts |= {"loss_kl": share(kl_B), "c_kl": share(guidance.coefficient.expand_as(kl_B))}
        return {"loss": loss, **parts}

    def metrics(self) -> dict[str, float]:
        """What it has learned itself: the weights of Z and their entropy."""
        return {} if self.span_weights is None else self.span_weights.summary()

    def coefficient_by_pair(self) -> dict[LanguagePair, float]:
        """c_kl of each language pair since last asked; all workers must ask together."""
        return {} if self._distillation is None else self._distillation.coefficient_by_pair()

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs beside the student."""
        state: dict[str, Any] = {}
        if self._distillation is not None:
            state["teacher"] = self._distillation.teacher_state()
        if self.span_weights is not None:
            state["span_weights"] = self.span_weights.state_dict()
        return state

    def restore(self, student: nn.Module, state: dict[str, Any]) -> None:
        """Undo `state`."""
        if self._distillation is not None:
            self._distillation.restore_teacher(student, state["teacher"])
        if self.span_weights is not None:
            self.span_weights.load_state_dict(state["span_weights"])

    def _span_losses(self, student: SpanLogits, batch: Batch) -> Tensor:
        answers = answer_set(batch, self._candidates.size)
        weights_BZ = None if self.span_weights is None else self.span_weights(answers)
        return self._span_loss(span_log_probabilities(student, answers), weights_BZ)
