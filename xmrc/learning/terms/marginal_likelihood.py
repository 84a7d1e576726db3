"""The marginal likelihood of all spans that may stand for the answer."""

from torch import Tensor

from xmrc.learning.terms.span_loss import AnswerSet, SpanLoss, register_span_loss


@register_span_loss("mml")
class MarginalLikelihood(SpanLoss):
    """-1/2 log of the sum of P(z) over Z: whichever span of Z is likely will do.

    Source: Chen et al. 2022 [HL/AA-CL], eq. 4, whose baseline it is.
    Relations: `HardEM` takes the largest P in place of the sum, `HardLearning` weighs each.
    Study file: `objective: {span: mml, candidates: {size: 20}}`.

    >>> import torch
    >>> from xmrc.settings import ObjectiveSettings
    >>> z = AnswerSet(*torch.tensor([[[1, 2]], [[1, 2]]]), torch.tensor([[True, True]]))
    >>> log_prob = torch.tensor([[0.3, 0.2]]).log()
    >>> MarginalLikelihood(ObjectiveSettings()).losses(log_prob, z)  # -1/2 log 0.5
    tensor([0.3466])
    """

    over_candidates = True

    def losses(self, log_prob_BZ: Tensor, answers: AnswerSet) -> Tensor:
        """(B,)."""
        return -log_prob_BZ.logsumexp(dim=1) / 2
