"""What stands for the right answer. In: logits, Z of each window. Out: one loss per window.

Shapes: B windows, L tokens, Z spans that stand for the answer, the gold one in slot 0. A new span
loss is one function and one entry in `SPAN_LOSSES`.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xmrc.data.features import Batch
from xmrc.learning.model import MASKED, SpanLogits
from xmrc.settings import CandidateSettings

_KINDS = 3  # of a span: the gold; one boundary right; none right


class _AnswerSet(NamedTuple):
    """Z of each window, each (B, Z): the gold span, then the base's others by its rank."""

    start_BZ: Tensor  # int64: first token; 0 where the window has fewer spans
    end_BZ: Tensor  # int64: last token
    present_BZ: Tensor  # bool


def answer_set(batch: Batch, size: int) -> _AnswerSet:
    """The gold span exactly once, and the base's best others: `size` in all, if it found as many.

    A gold span that the base missed takes the last of the `size` places from its spans. In a window
    without its answer the first token is the gold span. Without candidates Z = {gold}.
    """
    gold_start_B1, gold_end_B1 = batch.start_targets_B[:, None], batch.end_targets_B[:, None]
    if batch.candidates_BK2 is None:
        return _AnswerSet(gold_start_B1, gold_end_B1, torch.ones_like(gold_start_B1).bool())
    start_BK, end_BK = batch.candidates_BK2[:, :size].unbind(dim=2)
    other_BK = (start_BK >= 0) & ~((start_BK == gold_start_B1) & (end_BK == gold_end_B1))
    order_BK = other_BK.byte().sort(dim=1, descending=True, stable=True).indices
    others = (each.masked_fill(~other_BK, 0).gather(1, order_BK) for each in (start_BK, end_BK))
    start_BZ, end_BZ = (
        torch.cat([gold_B1, rest_BK], dim=1)[:, :size]
        for gold_B1, rest_BK in zip((gold_start_B1, gold_end_B1), others, strict=True)
    )
    present_BZ = F.pad(other_BK.gather(1, order_BK), (1, 0), value=True)[:, :size]
    return _AnswerSet(start_BZ, end_BZ, present_BZ)


def span_log_probabilities(logits: SpanLogits, answers: _AnswerSet) -> Tensor:
    """log P(z) = log softmax(s)[first token] + log softmax(e)[last token], of shape (B, Z).

    The softmax is over all non-padding tokens. Where there is no span, `MASKED`.
    """
    start_BZ = torch.log_softmax(logits.start_BL, dim=-1).gather(1, answers.start_BZ)
    end_BZ = torch.log_softmax(logits.end_BL, dim=-1).gather(1, answers.end_BZ)
    return (start_BZ + end_BZ).masked_fill(~answers.present_BZ, MASKED)


# (log P(z) (B, Z), w (B, Z) or None where the loss knows no weights) to losses (B,)
_SpanLoss = Callable[[Tensor, Tensor | None], Tensor]


def _cross_entropy(log_prob_BZ: Tensor, weights_BZ: Tensor | None) -> Tensor:
    """-1/2 log P(gold), the baseline of both papers."""
    return -log_prob_BZ[:, 0] / 2


def _marginal_likelihood(log_prob_BZ: Tensor, weights_BZ: Tensor | None) -> Tensor:
    """-1/2 log of the sum of P over Z ([HL/AA-CL] eq. 4)."""
    return -log_prob_BZ.logsumexp(dim=1) / 2


def _hard_em(log_prob_BZ: Tensor, weights_BZ: Tensor | None) -> Tensor:
    """-1/2 log of the largest P in Z (Min et al. 2019)."""
    return -log_prob_BZ.amax(dim=1) / 2


def _hard_learning(log_prob_BZ: Tensor, weights_BZ: Tensor | None) -> Tensor:
    """-1/2 sum of w_l log P(z_l) ([HL/AA-CL] eq. 5, read as a weighted cross-entropy)."""
    assert weights_BZ is not None
    return -(weights_BZ * log_prob_BZ).sum(dim=1) / 2


def _no_span_loss(log_prob_BZ: Tensor, weights_BZ: Tensor | None) -> Tensor:
    """Zero: distillation alone ([SKD] table 5, "w/o CE").

    Still a function of the logits, so that the head has a gradient, which several workers wait for.
    """
    return 0 * log_prob_BZ[:, 0]


SPAN_LOSSES: dict[str, _SpanLoss] = {
    "ce": _cross_entropy,
    "mml": _marginal_likelihood,
    "hard_em": _hard_em,
    "hl": _hard_learning,
    "none": _no_span_loss,
}


def _slot_shares(theta_T: Tensor, answers: _AnswerSet) -> Tensor:
    """softmax(theta) over the slots of Z that are present, one theta for each slot, (B, Z)."""
    present_BZ = answers.present_BZ
    theta_BZ = theta_T[: present_BZ.shape[1]].expand_as(present_BZ)
    return torch.softmax(theta_BZ.masked_fill(~present_BZ, MASKED), dim=1)


def _kind_shares(theta_T: Tensor, answers: _AnswerSet) -> Tensor:
    """softmax(theta) over the kinds of span that are present, shared evenly within each, (B, Z).

    The kinds are: the gold; one boundary right; none right.
    """
    wrong_start_BZ = answers.start_BZ != answers.start_BZ[:, :1]
    wrong_end_BZ = answers.end_BZ != answers.end_BZ[:, :1]
    kind_BZ = wrong_start_BZ.long() + wrong_end_BZ.long()
    kinds_T = torch.arange(_KINDS, device=kind_BZ.device)
    member_BZT = (kind_BZ[:, :, None] == kinds_T) & answers.present_BZ[:, :, None]
    count_BT = member_BZT.sum(dim=1)
    share_BT = torch.softmax(theta_T.masked_fill(count_BT == 0, MASKED), dim=1)
    each_BT = share_BT / count_BT.clamp(min=1)
    return each_BT.gather(1, kind_BZ).masked_fill(~answers.present_BZ, 0)


SHARES = {"slot": _slot_shares, "type": _kind_shares}


class SpanWeights(nn.Module):
    """The learnable w of `hl`: f [gold] + (1 - f) share(theta), over the spans of Z present.

    Weights that only minimised the loss would run to the span that is easiest; f is the gold's
    floor.
    """

    def __init__(self, settings: CandidateSettings) -> None:
        super().__init__()
        self.floor = settings.gold_floor
        self._shares = SHARES[settings.weights]
        sizes = {"slot": settings.size, "type": _KINDS}
        self.theta_T = nn.Parameter(torch.zeros(sizes[settings.weights]))

    def forward(self, answers: _AnswerSet) -> Tensor:
        """w of each span of Z, (B, Z); they sum to 1 in each window."""
        weights_BZ = (1 - self.floor) * self._shares(self.theta_T, answers)
        floor_B1 = torch.full_like(weights_BZ[:, :1], self.floor)
        return weights_BZ + F.pad(floor_B1, (0, weights_BZ.shape[1] - 1))

    def summary(self) -> dict[str, float]:
        """w_1 (the gold's), w_2, ... of slots or kinds, none absent, and their entropy in nats."""
        weights_T = (1 - self.floor) * torch.softmax(self.theta_T.detach(), dim=0)
        weights_T[0] += self.floor
        named = {f"w_{number}": weight for number, weight in enumerate(weights_T.tolist(), 1)}
        return {**named, "w_entropy": -float(torch.xlogy(weights_T, weights_T).sum())}
