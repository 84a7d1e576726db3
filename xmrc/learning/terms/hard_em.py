"""Hard expectation maximisation over the spans that may stand for the answer."""

from torch import Tensor

from xmrc.learning.terms.span_loss import AnswerSet, SpanLoss, register_span_loss


@register_span_loss("hard_em")
class HardEM(SpanLoss):
    """-1/2 log of the largest P(z) in Z: only the span that the model likes best is pushed up.

    Source: Min et al. 2019, on which [HL/AA-CL] builds.
    Relations: `MarginalLikelihood` takes the sum in place of the largest.
    Study file: `objective: {span: hard_em, candidates: {size: 20}}`.

    >>> import torch
    >>> from xmrc.settings import ObjectiveSettings
    >>> z = AnswerSet(*torch.tensor([[[1, 2]], [[1, 2]]]), torch.tensor([[True, True]]))
    >>> HardEM(ObjectiveSettings()).losses(torch.tensor([[-4.0, -3.0]]), z)
    tensor([1.5000])
    """

    over_candidates = True

    def losses(self, log_prob_BZ: Tensor, answers: AnswerSet) -> Tensor:
        """(B,)."""
        return -log_prob_BZ.amax(dim=1) / 2
