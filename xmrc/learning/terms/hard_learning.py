"""Hard learning: a cross-entropy over the spans of Z with weights that are learned.

Shapes: B windows, Z spans of Z, T thetas (slots or kinds).
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xmrc.data.examples import LanguagePair
from xmrc.learning.model import MASKED
from xmrc.learning.terms.span_loss import AnswerSet, SpanLoss, register_span_loss
from xmrc.settings.objective import ObjectiveSettings

_KINDS = 3  # of a span: the gold; one boundary right; none right


@register_span_loss("hl")
class HardLearning(SpanLoss):
    """-1/2 sum of w_l log P(z_l), w = f [gold] + (1 - f) shares(theta) over the spans present.

    Source: Chen et al. 2022 [HL/AA-CL], eq. 5, read as a cross-entropy weighted over Z: as printed,
    w factors out and does nothing. Weights that only minimised the loss would run to the span that
    is easiest, so the gold keeps a floor f (`candidates.gold_floor`, ours). theta starts at 0, is
    trained beside the reader without weight decay, and is no part of the exported model.
    Relations: f = 1 is `CrossEntropy`. `weights: slot` has a theta for each place of Z,
    `weights: type` one for each kind of span.
    Study file: `objective: {span: hl, candidates: {size: 20, weights: slot, gold_floor: 0.5}}`.

    >>> from xmrc.settings import ObjectiveSettings
    >>> z = AnswerSet(*torch.tensor([[[1, 2]], [[1, 2]]]), torch.tensor([[True, True]]))
    >>> loss = HardLearning(ObjectiveSettings(span="hl"))
    >>> loss.weights(z)  # the gold's floor, and half of the rest
    tensor([[0.7500, 0.2500]], grad_fn=<AddBackward0>)
    >>> loss.losses(torch.tensor([[-2.0, -4.0]]), z).item()
    1.25
    """

    over_candidates = True

    def __init__(self, objective: ObjectiveSettings, pairs: Sequence[LanguagePair] = ()) -> None:
        super().__init__(objective, pairs)
        sizes = {"slot": self.candidates.size, "type": _KINDS}
        self.theta_T = nn.Parameter(torch.zeros(sizes[self.candidates.weights]))

    def losses(self, log_prob_BZ: Tensor, answers: AnswerSet) -> Tensor:
        """(B,)."""
        return -(self.weights(answers) * log_prob_BZ).sum(dim=1) / 2

    def weights(self, answers: AnswerSet) -> Tensor:
        """w of each span of Z, (B, Z); they sum to 1 in each window."""
        floor = self.candidates.gold_floor
        weights_BZ = (1 - floor) * _SHARES[self.candidates.weights](self.theta_T, answers)
        floor_B1 = torch.full_like(weights_BZ[:, :1], floor)
        return weights_BZ + F.pad(floor_B1, (0, weights_BZ.shape[1] - 1))

    def parameter_groups(self) -> list[dict[str, Any]]:
        """theta, with a rate of its own."""
        return [
            {**group, "lr": self.candidates.learning_rate} for group in super().parameter_groups()
        ]

    def metrics(self) -> dict[str, float]:
        """w_1 (the gold's), w_2, ... of slots or kinds, none absent, and their entropy in nats."""
        floor = self.candidates.gold_floor
        weights_T = (1 - floor) * torch.softmax(self.theta_T.detach(), dim=0)
        weights_T[0] += floor
        named = {f"w_{number}": weight for number, weight in enumerate(weights_T.tolist(), 1)}
        return {**named, "w_entropy": -float(torch.xlogy(weights_T, weights_T).sum())}


def _slot_shares(theta_T: Tensor, answers: AnswerSet) -> Tensor:
    """softmax(theta) over the slots of Z that are present, one theta for each slot, (B, Z)."""
    present_BZ = answers.present_BZ
    theta_BZ = theta_T[: present_BZ.shape[1]].expand_as(present_BZ)
    return torch.softmax(theta_BZ.masked_fill(~present_BZ, MASKED), dim=1)


def _kind_shares(theta_T: Tensor, answers: AnswerSet) -> Tensor:
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


_SHARES: dict[str, Callable[[Tensor, AnswerSet], Tensor]] = {
    "slot": _slot_shares,
    "type": _kind_shares,
}
