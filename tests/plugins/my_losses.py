"""A span loss and a term of one's own: all that a plugin takes."""

from torch import Tensor

from xmrc.learning.terms import (
    AnswerSet,
    LossShare,
    SpanLoss,
    Student,
    Term,
    mean_share,
    register_span_loss,
    register_term,
)  # fmt: skip
from xmrc.settings.fields import NotNegative, Section


class FocalSettings(Section):
    gamma: NotNegative = 2.0
    """How little a window counts whose answer is sure; 0: cross-entropy."""


@register_span_loss("focal", FocalSettings)
class Focal(SpanLoss):
    """-(1 - p)^gamma log p. Source: Lin et al. 2017. Study file: `objective: {span: focal}`."""

    def losses(self, log_prob_BZ: Tensor, answers: AnswerSet) -> Tensor:
        log_p_B = log_prob_BZ[:, 0] / 2
        return -((1 - log_p_B.exp()) ** self.settings.gamma) * log_p_B


class ConfidenceSettings(Section):
    weight: NotNegative = 0.1


@register_term("confidence", ConfidenceSettings)
class ConfidencePenalty(Term):
    """-H(start). Source: Pereyra et al. 2017. Study file: `objective: {confidence: {}}`."""

    def share(self, student: Student, batch, ahead, window_count: int) -> LossShare:
        log_p_BL = student.logits.start_BL.log_softmax(dim=-1)
        loss = mean_share((log_p_BL.exp() * log_p_BL).sum(dim=-1), batch, window_count)
        return LossShare(loss, {"loss_confidence": loss})
