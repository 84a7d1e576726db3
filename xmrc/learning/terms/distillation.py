"""Self-distillation in generations ([SKD] eq. 4 to 6). In: student, batch. Out: a KL, its weight.

The teacher is a frozen copy of the student: generation 0 is what training starts from, and every
later epoch starts by copying the student as it then is. Shapes: B windows, L tokens.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from xmrc.data.examples import LanguagePair
from xmrc.data.features import Batch
from xmrc.learning.distributed import sum_over_workers
from xmrc.learning.model import SpanLogits, span_logits
from xmrc.learning.pair_means import PairMeans
from xmrc.scoring.ranking import average_precision, first_hit
from xmrc.settings import DistillSettings

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


class Distillation:
    """The teacher, its divergence from the student and the coefficient of both.

    `pairs` are the language pairs of the batches, by their codes there.
    """

    def __init__(self, settings: DistillSettings, pairs: Sequence[LanguagePair] = ()) -> None:
        self.settings = settings
        self._means = PairMeans(pairs)
        self._divergence = DIVERGENCES[settings.divergence]
        self._teacher: nn.Module | None = None

    def start_generation(self, student: nn.Module) -> None:
        """Freeze a copy of `student` (not wrapped) as the teacher of the coming epoch."""
        self._teacher = copy.deepcopy(student).eval().requires_grad_(False)

    @torch.no_grad()
    def guide(self, batches: Sequence[Batch], window_count: int) -> list[Guidance]:
        """Run the teacher over this worker's micro-batches of one optimisation batch.

        `window_count`: windows of that batch over all workers, which c_kl is the mean over.
        """
        assert self._teacher is not None, "start_generation comes first"
        logits = [span_logits(self._teacher, batch) for batch in batches]
        coefficients = self._coefficients(logits, batches, window_count)
        return [Guidance(*pair) for pair in zip(logits, coefficients, strict=True)]

    def loss(self, student: SpanLogits, guidance: Guidance) -> Tensor:
        """T^2 KL between teacher and student at temperature T, mean of start and end, (B,)."""
        start_B = self._tempered(guidance.logits.start_BL, student.start_BL)
        end_B = self._tempered(guidance.logits.end_BL, student.end_BL)
        return (start_B + end_B) / 2

    def coefficient_by_pair(self) -> dict[LanguagePair, float]:
        """c_kl of each language pair: its windows' mean of the teacher's mAP@k since last asked.

        So also where the coefficient itself is one number for the whole batch, of which this is the
        part. Nothing where it is a fixed number. All workers must ask together.
        """
        return self._means.read()

    def teacher_state(self) -> dict[str, Tensor]:
        """The teacher's weights, for a checkpoint in the middle of a generation."""
        assert self._teacher is not None, "start_generation comes first"
        return self._teacher.state_dict()

    def restore_teacher(self, student: nn.Module, state: dict[str, Tensor]) -> None:
        """Put the teacher back as it was when a checkpoint was written."""
        self.start_generation(student)
        assert self._teacher is not None
        self._teacher.load_state_dict(state)

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
