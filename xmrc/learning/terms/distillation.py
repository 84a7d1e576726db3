"""Self-distillation in generations. In: a student, and what it was. Out: a KL and its weight.

Shapes: B windows, L tokens.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from xmrc.data.examples import LanguagePair
from xmrc.data.features import Batch
from xmrc.learning.distributed import sum_over_workers
from xmrc.learning.model import SpanLogits
from xmrc.learning.pair_means import PairMeans
from xmrc.learning.terms.term import (
    LossShare,
    Student,
    Term,
    WholeBatch,
    mean_share,
    register_term,
)
from xmrc.scoring.ranking import average_precision, first_hit
from xmrc.settings.fields import Coefficient, Count, Positive, Section
from xmrc.settings.objective import Need, ObjectiveSettings

_Divergence = Callable[[Tensor, Tensor], Tensor]


def _forward_kl(teacher_log_BL: Tensor, student_log_BL: Tensor) -> Tensor:
    """KL(teacher || student) of log-probabilities (B, L), of shape (B,)."""
    return (teacher_log_BL.exp() * (teacher_log_BL - student_log_BL)).sum(dim=-1)


def _reverse_kl(teacher_log_BL: Tensor, student_log_BL: Tensor) -> Tensor:
    """KL(student || teacher), of shape (B,)."""
    return _forward_kl(student_log_BL, teacher_log_BL)


def _symmetric_kl(teacher_log_BL: Tensor, student_log_BL: Tensor) -> Tensor:
    """Forward plus reverse, the sum that the released code of [SKD] takes, of shape (B,)."""
    return _forward_kl(teacher_log_BL, student_log_BL) + _reverse_kl(teacher_log_BL, student_log_BL)


DIVERGENCES: dict[str, _Divergence] = {
    "forward": _forward_kl,
    "reverse": _reverse_kl,
    "symmetric": _symmetric_kl,
}
PRECISIONS = {  # `per_example`: each window's KL counts by its own first hit (ours)
    "first_hit": first_hit,
    "average_precision": average_precision,
    "per_example": first_hit,
}


@dataclass(frozen=True)
class Guidance:
    """What the teacher says of one micro-batch, and how much that counts."""

    logits: SpanLogits
    coefficient: Tensor  # c_kl, on the device: of the whole batch, or of each window (B,)


class DistillSettings(Section):
    """Self-distillation in generations [SKD, eq. 4 to 6]."""

    coefficient: Coefficient = "map"
    """c_kl: a number, or map, the teacher's mAP@k; 0: no distillation."""
    variant: Literal["first_hit", "average_precision", "per_example"] = "first_hit"
    """What the mAP of one window is."""
    k: Count = 10
    """Positions of the teacher that are ranked."""
    delta: Count = 5
    """Tokens around the target that are relevant."""
    temperature: Positive = 2.0
    """Of both softmaxes."""
    divergence: Literal["forward", "reverse", "symmetric"] = "forward"
    """KL(teacher, student), KL(student, teacher), or their sum."""


_COEFFICIENT = "objective.distill.coefficient"


@register_term(
    "distill",
    DistillSettings,
    needs=[
        Need(
            ("objective.distill.temperature", "objective.distill.divergence"),
            _COEFFICIENT,
            lambda coefficient: coefficient != 0,
            "above 0, or map",
        ),
        Need(
            tuple(f"objective.distill.{key}" for key in ("variant", "k", "delta")),
            _COEFFICIENT,
            lambda coefficient: coefficient == "map",
            "map",
        ),
    ],
)
class Distillation(Term):
    """c_kl T^2 KL(softmax(teacher / T) || softmax(student / T)), the mean of start and end.

    The teacher is a frozen copy of the student: generation 0 is what training starts from, and
    every later epoch starts by copying the student as it then is. c_kl is a number, or how well the
    teacher ranks the right positions, its mAP@k: a poor teacher counts little. `first_hit` is 1
    over the rank of the first right position, `average_precision` eq. 5 as printed; both are means
    over the batch. `per_example` (ours) weighs each window's KL by its own first hit.

    Source: Carrino et al. 2023 [SKD], eq. 4 to 6; the default variant is what their code computes.
    Relations: with any span loss; with `span: none` it is all that is trained (table 5).
    Study file: `objective: {distill: {coefficient: map, variant: first_hit, temperature: 2.0}}`.

    >>> import torch
    >>> half, sure = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.9, 0.1]]).log()
    >>> forward = DIVERGENCES["forward"]
    >>> forward(half, half), forward(sure, half)  # 0.9 log 1.8 + 0.1 log 0.2
    (tensor([0.]), tensor([0.3681]))
    """

    settings: DistillSettings

    def __init__(self, objective: ObjectiveSettings, pairs: Sequence[LanguagePair] = ()) -> None:
        super().__init__(objective, pairs)
        self._means = PairMeans(pairs)
        self._divergence = DIVERGENCES[self.settings.divergence]
        self._teachers: tuple[nn.Module, ...] = ()  # one; so it is not trained

    @classmethod
    def weight_in(cls, objective: ObjectiveSettings) -> float:
        """1, where it is on: c_kl is its own weight."""
        distill: DistillSettings | None = objective.section("distill")
        return 0.0 if distill is None or distill.coefficient == 0 else 1.0

    def start_epoch(self, reader: nn.Module) -> None:
        """A generation begins: a frozen copy of the reader becomes the teacher."""
        self._teachers = (copy.deepcopy(reader).eval().requires_grad_(False),)

    @torch.no_grad()
    def look_ahead(self, whole: WholeBatch) -> list[Guidance]:
        """Run the teacher over this worker's micro-batches: c_kl is a mean over the whole batch."""
        assert self._teachers, "start_epoch comes first"
        self._means.begin_step()
        logits = [whole.read(self._teachers[0], batch) for batch in whole.batches]
        coefficients = self._coefficients(logits, whole.batches, whole.window_count)
        return [Guidance(*pair) for pair in zip(logits, coefficients, strict=True)]

    def share(
        self, student: Student, batch: Batch, ahead: Guidance, window_count: int
    ) -> LossShare:
        """The divergence of each window, weighed by c_kl."""
        kl_B = self.divergence(student.logits, ahead)
        loss = mean_share(ahead.coefficient * kl_B, batch, window_count)
        c_kl = mean_share(ahead.coefficient.expand_as(kl_B), batch, window_count)
        return LossShare(loss, {"loss_kl": mean_share(kl_B, batch, window_count), "c_kl": c_kl})

    def divergence(self, student: SpanLogits, guidance: Guidance) -> Tensor:
        """T^2 KL between teacher and student at temperature T, mean of start and end, (B,)."""
        start_B = self._tempered(guidance.logits.start_BL, student.start_BL)
        end_B = self._tempered(guidance.logits.end_BL, student.end_BL)
        return (start_B + end_B) / 2

    def repeat_step(self) -> None:
        """Each window of a step counts once in the means."""
        self._means.repeat_step()

    def metrics_by_pair(self) -> dict[LanguagePair, float]:
        """c_kl of each language pair: its windows' mean of the teacher's mAP@k since last asked.

        So also where the coefficient itself is one number for the whole batch, of which this is the
        part. Nothing where it is a fixed number. All workers must ask together.
        """
        return self._means.read()

    def state(self) -> dict[str, Any]:
        """The teacher's weights, for a checkpoint in the middle of a generation."""
        assert self._teachers, "start_epoch comes first"
        return dict(self._teachers[0].state_dict())

    def restore(self, reader: nn.Module, state: dict[str, Any]) -> None:
        """Put the teacher back as it was when a checkpoint was written."""
        self.start_epoch(reader)
        self._teachers[0].load_state_dict(state)

    def _tempered(self, teacher_BL: Tensor, student_BL: Tensor) -> Tensor:
        temperature = self.settings.temperature
        teacher_log_BL = torch.log_softmax(teacher_BL / temperature, dim=-1)
        student_log_BL = torch.log_softmax(student_BL / temperature, dim=-1)
        return temperature**2 * self._divergence(teacher_log_BL, student_log_BL)

    def _coefficients(
        self, logits: Sequence[SpanLogits], batches: Sequence[Batch], window_count: int
    ) -> list[Tensor]:
        if self.settings.coefficient != "map":
            fixed = logits[0].start_BL.new_full((), float(self.settings.coefficient))
            return [fixed] * len(batches)
        of_windows = [self._precision(*pair) for pair in zip(logits, batches, strict=True)]
        for precision_B, batch in zip(of_windows, batches, strict=True):
            self._means.add(precision_B, batch)
        if self.settings.variant == "per_example":
            return of_windows
        sums = [
            (precision_B * batch.weights_B).sum()
            for precision_B, batch in zip(of_windows, batches, strict=True)
        ]
        mean = sum_over_workers(torch.stack(sums).sum()) / window_count
        return [mean] * len(batches)

    def _precision(self, logits: SpanLogits, batch: Batch) -> Tensor:
        """mAP@k of each window: the mean over its start and its end ([SKD] eq. 5 and 6)."""
        precision = PRECISIONS[self.settings.variant]
        tokens_BL = batch.attention_mask_BL.bool()
        k, delta = self.settings.k, self.settings.delta
        start_B = precision(logits.start_BL, batch.start_targets_B, tokens_BL, k, delta)
        end_B = precision(logits.end_BL, batch.end_targets_B, tokens_BL, k, delta)
        return (start_B + end_B) / 2
