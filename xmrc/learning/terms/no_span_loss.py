"""No span loss: distillation, or the contrast, alone."""

from torch import Tensor

from xmrc.learning.terms.span_loss import AnswerSet, SpanLoss, register_span_loss


@register_span_loss("none")
class NoSpanLoss(SpanLoss):
    """Zero, so that the other terms are all that is trained.

    Source: Carrino et al. 2023 [SKD], table 5, "w/o CE".
    Still a function of the logits, so that the head has a gradient, which several workers wait for.
    Study file: `objective: {span: none, distill: {coefficient: map}}`.
    """

    def losses(self, log_prob_BZ: Tensor, answers: AnswerSet) -> Tensor:
        """Zeros, (B,)."""
        return 0 * log_prob_BZ[:, 0]
