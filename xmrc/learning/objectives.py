"""What stands for the right answer. In: log-probabilities and a batch. Out: one loss per window.

Shapes: B windows, L tokens. A new span loss is one function and one entry in `SPAN_LOSSES`.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from xmrc.data.features import Batch
from xmrc.learning.model import SpanLogits

SpanLoss = Callable[[SpanLogits, Batch], Tensor]


def cross_entropy(logits: SpanLogits, batch: Batch) -> Tensor:
    """-1/2 (log softmax(s)[gold start] + log softmax(e)[gold end]), of shape (B,).

    The softmax is over all non-padding tokens; a window without its answer points to its first one.
    """
    start_log_prob_BL = torch.log_softmax(logits.start_BL, dim=-1)
    end_log_prob_BL = torch.log_softmax(logits.end_BL, dim=-1)
    start_B = start_log_prob_BL.gather(1, batch.start_targets_B[:, None]).squeeze(1)
    end_B = end_log_prob_BL.gather(1, batch.end_targets_B[:, None]).squeeze(1)
    return -(start_B + end_B) / 2


def no_span_loss(logits: SpanLogits, batch: Batch) -> Tensor:
    """Zero for every window: distillation alone ([SKD] table 5, "w/o CE"), of shape (B,)."""
    return torch.zeros_like(logits.start_BL[:, 0])


SPAN_LOSSES: dict[str, SpanLoss] = {"ce": cross_entropy, "none": no_span_loss}
