"""Cross-entropy on the gold span, the baseline of both papers."""

from torch import Tensor

from xmrc.learning.terms.span_loss import AnswerSet, SpanLoss, register_span_loss


@register_span_loss("ce")
class CrossEntropy(SpanLoss):
    """-1/2 log P(gold): the mean of the cross-entropies of start and end.

    Source: Devlin et al. 2019, for spans; both papers' baseline. The papers write the sum of start
    and end; their code takes the mean, which their learning rates assume.
    Relations: with Z = {gold}, `MarginalLikelihood`, `HardEM` and `HardLearning` are the same.
    Study file: `objective: {span: ce}`.

    >>> import torch
    >>> from xmrc.settings import ObjectiveSettings
    >>> gold = AnswerSet(torch.tensor([[3]]), torch.tensor([[4]]), torch.tensor([[True]]))
    >>> CrossEntropy(ObjectiveSettings()).losses(torch.tensor([[-3.0]]), gold)
    tensor([1.5000])
    """

    def losses(self, log_prob_BZ: Tensor, answers: AnswerSet) -> Tensor:
        """The gold span stands in slot 0: (B,)."""
        return -log_prob_BZ[:, 0] / 2
