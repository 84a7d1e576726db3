"""Answer-aware contrastive learning. In: the encoder's states. Out: a loss of the whole batch.

The loss is over all windows of a batch at once. Its gradient at the vectors of each window is taken
first, so that the encoder runs over one micro-batch at a time (gradient caching, Gao et al. 2021).
Shapes: B windows of a micro-batch, N of all workers, L tokens, D hidden size, K spans of A; 3 are
question, answer and hard negative.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from xmrc.data.features import Batch
from xmrc.learning.distributed import gather_rows, worker_count
from xmrc.learning.model import SpanLogits
from xmrc.learning.terms.term import LossShare, Student, Term, WholeBatch, register_term
from xmrc.scoring.ranking import top_positions
from xmrc.scoring.spans import best_spans
from xmrc.settings.fields import Count, Positive, Section
from xmrc.settings.objective import Need, ObjectiveSettings
from xmrc.settings.wording import broken


class ContrastSettings(Section):
    """Answer-aware contrastive learning [HL/AA-CL, eq. 6 to 8]; objective.alpha switches it on."""

    tau: Positive = 10.0
    """Temperature of the cosines."""
    negatives: Count = 50
    """Best wrong spans, of which the one most like the answer counts."""


class _Anchors(NamedTuple):
    """Where question, answer and hard negative of each window stand, first and last token."""

    start_B3: Tensor
    end_B3: Tensor
    has_negative_B: Tensor  # bool; without one its place is that of the first token


class CachedGradient(NamedTuple):
    """What the loss of the whole batch does to the vectors of one micro-batch."""

    gradient_B3D: Tensor
    loss_B: Tensor  # each window's part of the mean; 0 where it does not hold its answer

    def share(self, vectors_B3D: Tensor) -> Tensor:
        """The micro-batch's share of the loss, whose gradient is that of the whole loss."""
        linear = (self.gradient_B3D * vectors_B3D).sum()
        return self.loss_B.sum() + linear - linear.detach()


def span_means(sums_BLD: Tensor, start_BK: Tensor, end_BK: Tensor) -> Tensor:
    """The mean state of each span, (B, K, D), from `Student.sums_BLD`; zero for an empty one."""
    size = (-1, -1, sums_BLD.shape[2])
    upto_BKD = sums_BLD.gather(1, (end_BK + 1)[:, :, None].expand(size))
    before_BKD = sums_BLD.gather(1, start_BK[:, :, None].expand(size))
    return (upto_BKD - before_BKD) / (end_BK - start_BK + 1).clamp(min=1)[:, :, None]


def info_nce(
    vectors_N3D: Tensor, question_N: Tensor, answered_N: Tensor, opposed_N: Tensor, tau: float
) -> Tensor:
    """-log softmax of each question's own answer over cosines / tau, (N,); 0 where not answered.

    Beside it stand its own hard negative, and the answers and hard negatives of the other windows,
    except those of the same `question_N` (it may be asked in several languages), of windows without
    their answer, and those that are not (`opposed_N`: which have a hard negative).
    """
    question_ND, answer_ND, negative_ND = F.normalize(vectors_N3D, dim=2).unbind(dim=1)
    itself_NN = torch.eye(len(question_N), dtype=torch.bool, device=question_N.device)
    other_NN = (question_N[:, None] != question_N) & answered_N
    counts_NN = itself_NN | other_NN
    to_answers_NN = (question_ND @ answer_ND.T / tau).masked_fill(~counts_NN, -math.inf)
    to_negatives_NN = question_ND @ negative_ND.T / tau
    to_negatives_NN = to_negatives_NN.masked_fill(~(counts_NN & opposed_N), -math.inf)
    all_NM = torch.cat([to_answers_NN, to_negatives_NN], dim=1)
    return (all_NM.logsumexp(dim=1) - to_answers_NN.diagonal()).masked_fill(~answered_N, 0)


@register_term(
    "contrast",
    ContrastSettings,
    default=ContrastSettings(),
    needs=[Need(("objective.contrast",), "objective.alpha", lambda alpha: alpha > 0, "above 0")],
)
class Contrast(Term):
    """InfoNCE: a question is drawn to its answer, and away from hard negatives and other answers.

        A   = the best `negatives` spans of the student as it is, without the gold
        n_q = the span of A whose mean state has the largest cosine with that of the gold answer
        L   = - log( exp(cos(q, a) / tau) / sum of exp(cos(q, x) / tau) over x )

    with x the own answer a, the own n_q, and answers and hard negatives of the other windows of the
    batch but for those of the same question id. Mean over the windows that hold their answer.

    Source: Chen et al. 2022 [HL/AA-CL], eq. 6 to 8. It counts alpha, and the span loss 1 - alpha.
    Relations: all negatives of a batch are its own, so its size matters, as in SimCSE.
    Study file: `objective: {alpha: 0.5, contrast: {tau: 10.0, negatives: 50}}`.

    >>> import torch
    >>> q_a_n = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])  # one window: cosines 1 and 0
    >>> one, yes = torch.tensor([7]), torch.tensor([True])
    >>> info_nce(q_a_n, one, yes, yes, tau=1.0)  # log(1 + 1/e)
    tensor([0.3133])
    """

    reads_states = True
    settings: ContrastSettings

    @classmethod
    def weight_in(cls, objective: ObjectiveSettings) -> float:
        """Its share, alpha."""
        return objective.alpha

    @classmethod
    def check(cls, objective: ObjectiveSettings) -> None:
        """There must be a contrast to weigh."""
        if objective.alpha > 0 and objective.section("contrast") is None:
            raise broken("alpha", "must be 0 where contrast is none", objective.alpha)

    def look_ahead(self, whole: WholeBatch) -> Sequence[tuple[_Anchors, CachedGradient]]:
        """The anchors of each micro-batch, and the gradient of the whole loss at their vectors."""
        students = [whole.student(number) for number in range(len(whole.batches))]
        sums = [student.sums_BLD for student in students]
        with torch.no_grad():
            anchors = [
                self.anchors(sums_BLD, student.logits, batch)
                for sums_BLD, student, batch in zip(sums, students, whole.batches, strict=True)
            ]
            vectors = [_vectors(*pair) for pair in zip(sums, anchors, strict=True)]
        cached = self.gradients(vectors, anchors, whole.batches, whole.window_count)
        return list(zip(anchors, cached, strict=True))

    def share(
        self,
        student: Student,
        batch: Batch,
        ahead: tuple[_Anchors, CachedGradient],
        window_count: int,
    ) -> LossShare:
        """This micro-batch's share of the loss of the whole batch."""
        anchors, cached = ahead
        loss = cached.share(_vectors(student.sums_BLD, anchors))
        return LossShare(loss, {"loss_contrast": loss})

    @torch.no_grad()
    def anchors(self, sums_BLD: Tensor, logits: SpanLogits, batch: Batch) -> _Anchors:
        """Question and answer of each window, and of A the span that is most like the answer.

        A are the best spans of the student as it is, without the answer; of spans that are equally
        like it the better one is taken. No gradient goes through the choice.
        """
        count = self.settings.negatives
        table = best_spans(logits.start_BL, logits.end_BL, batch.context_mask_BL, count + 1)
        gold_B2 = torch.stack([batch.start_targets_B, batch.end_targets_B], dim=1)
        gold_BK = (table.start_BK == gold_B2[:, :1]) & (table.end_BK == gold_B2[:, 1:])
        other_BK = (table.start_BK >= 0) & ~gold_BK
        other_BK &= (other_BK.cumsum(dim=1) <= count) & batch.has_answer_B[:, None]
        start_BK, end_BK = table.start_BK.clamp(min=0), table.end_BK.clamp(min=0)
        answer_B1D = span_means(sums_BLD, gold_B2[:, :1], gold_B2[:, 1:])
        likeness_BK = F.cosine_similarity(span_means(sums_BLD, start_BK, end_BK), answer_B1D, dim=2)
        place_B1, present_B1 = top_positions(likeness_BK, other_BK, 1)
        negative_B2 = torch.cat(
            [each_BK.gather(1, place_B1.clamp(min=0)) for each_BK in (start_BK, end_BK)], dim=1
        ).masked_fill(~present_B1, 0)
        question_B2 = _question(batch)
        start_B3, end_B3 = torch.stack([question_B2, gold_B2, negative_B2], dim=1).unbind(dim=2)
        return _Anchors(start_B3, end_B3, present_B1[:, 0])

    def gradients(
        self,
        vectors: Sequence[Tensor],
        anchors: Sequence[_Anchors],
        batches: Sequence[Batch],
        window_count: int,
    ) -> list[CachedGradient]:
        """What the loss over all `window_count` windows does to this worker's micro-batches.

        The loss is the mean over the windows that hold their answer, 0 if there are none.
        """
        most = max(1, math.ceil(window_count / worker_count()))  # windows of a worker
        facts = [_facts(*pair) for pair in zip(anchors, batches, strict=True)]
        facts_N3, mine = gather_rows(torch.cat(facts), most)
        vectors_N3D, _ = gather_rows(torch.cat([each.detach() for each in vectors]), most)
        question_N, answered_N, opposed_N = facts_N3.unbind(dim=1)
        leaf_N3D, count = vectors_N3D.requires_grad_(), answered_N.sum().clamp(min=1)
        with torch.enable_grad():
            loss_N = info_nce(
                leaf_N3D, question_N, answered_N.bool(), opposed_N.bool(), self.settings.tau
            )
            (gradient_N3D,) = torch.autograd.grad(loss_N.sum() / count, leaf_N3D)
        sizes = [len(batch) for batch in batches]
        parts = (gradient_N3D[mine].split(sizes), (loss_N.detach() / count)[mine].split(sizes))
        return [CachedGradient(*part) for part in zip(*parts, strict=True)]


def _vectors(sums_BLD: Tensor, anchors: _Anchors) -> Tensor:
    """The mean states of question, answer and hard negative, (B, 3, D)."""
    return span_means(sums_BLD, anchors.start_B3, anchors.end_B3)


def _facts(anchors: _Anchors, batch: Batch) -> Tensor:
    """Question id, whether the window holds its answer, whether it has a hard negative, (B, 3)."""
    flags = (batch.has_answer_B, anchors.has_negative_B)
    return torch.stack([batch.question_B, *(flag.long() for flag in flags)], dim=1)


def _question(batch: Batch) -> Tensor:
    """First and last token of the question, (B, 2); the last before the first if it has none."""
    position_L = torch.arange(batch.question_mask_BL.shape[1], device=batch.question_mask_BL.device)
    last_B = (position_L * batch.question_mask_BL).amax(dim=1)
    first_B = last_B - batch.question_mask_BL.sum(dim=1) + 1
    return torch.stack([first_B, last_B], dim=1)
