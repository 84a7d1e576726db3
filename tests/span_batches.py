"""Batches of span logits by hand. In: lengths, a seed. Out: a `Batch`, logits, and changes of both.

What the contract of every loss is stated with: more padding, another order.
"""

import random
from collections.abc import Sequence
from dataclasses import fields, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.modeling_outputs import QuestionAnsweringModelOutput

from xmrc.data.features import Batch
from xmrc.learning.model import MASKED, SpanLogits

LENGTHS = (7, 12, 5, 9)  # tokens of the windows


class LookupReader(nn.Module):
    """A reader that knows the start and end logit of every token by heart."""

    def __init__(self, logits: SpanLogits) -> None:
        super().__init__()
        self.starts = nn.Parameter(logits.start_BL.flatten())
        self.ends = nn.Parameter(logits.end_BL.flatten())

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> QuestionAnsweringModelOutput:
        """Whatever is looked up; what stands on padding does not matter."""
        return QuestionAnsweringModelOutput(
            start_logits=self.starts[input_ids], end_logits=self.ends[input_ids]
        )


def make_batch(
    lengths: Sequence[int],
    targets: Sequence[tuple[int, int]],
    weights: Sequence[float] | None = None,
) -> Batch:
    """Windows of these lengths, padded to the longest, with these start and end targets.

    No two tokens are the same, so that a `LookupReader` can say anything of each.
    """
    length_B = torch.tensor(lengths)
    attention_BL = (torch.arange(max(lengths)) < length_B[:, None]).long()
    start_B, end_B = torch.tensor(targets).unbind(1)
    rows_B = torch.arange(len(lengths))
    return Batch(
        input_ids_BL=torch.arange(attention_BL.numel()).reshape_as(attention_BL),
        attention_mask_BL=attention_BL,
        token_type_ids_BL=None,
        question_mask_BL=torch.zeros_like(attention_BL).bool(),
        context_mask_BL=attention_BL.bool(),
        start_targets_B=start_B,
        end_targets_B=end_B,
        has_answer_B=start_B > 0,
        weights_B=torch.ones(len(lengths)) if weights is None else torch.tensor(weights),
        question_B=rows_B,
        pair_B=torch.zeros_like(rows_B),
        window_B=rows_B,
    )


def random_batch(seed: int, lengths: Sequence[int] = LENGTHS) -> Batch:
    """Random targets; the first window is without its answer."""
    generator = torch.Generator().manual_seed(seed)
    draws = [torch.randint(length, (2,), generator=generator).tolist() for length in lengths]
    return make_batch(lengths, [(0, 0), *((min(pair), max(pair)) for pair in draws[1:])])


def with_candidates(batch: Batch, seed: int, size: int) -> Batch:
    """What a base may have mined: some spans of each window in some order, some windows have few.

    The gold spans of the windows are high in the order, low, or not in it.
    """
    generator = random.Random(seed)
    rows = []
    for length in batch.attention_mask_BL.sum(dim=1).tolist():
        spans = [(start, end) for start in range(1, length) for end in range(start, length)]
        some = generator.sample(spans, min(len(spans), generator.choice([2, size, size])))
        rows.append([*some, *[(-1, -1)] * (size - len(some))])
    return replace(batch, candidates_BK2=torch.tensor(rows))


def candidates_of(batch: Batch) -> list[list[tuple[int, int]]]:
    """The spans that were mined for each window, best first."""
    assert batch.candidates_BK2 is not None
    return [
        [(start, end) for start, end in spans if start >= 0]
        for spans in batch.candidates_BK2.tolist()
    ]


def random_logits(batch: Batch, seed: int, scale: float = 3.0) -> SpanLogits:
    """Float64 logits that differ from each other, masked on padding as a reader's are."""
    generator = torch.Generator().manual_seed(seed)
    shape = batch.attention_mask_BL.shape

    def draw() -> Tensor:
        logits_BL = scale * torch.randn(shape, generator=generator, dtype=torch.float64)
        return logits_BL.masked_fill(batch.attention_mask_BL == 0, MASKED)

    return SpanLogits(draw(), draw())


def equal_logits(batch: Batch) -> SpanLogits:
    """The same logit on every token."""
    ones_BL = torch.ones(batch.attention_mask_BL.shape, dtype=torch.float64)
    masked_BL = ones_BL.masked_fill(batch.attention_mask_BL == 0, MASKED)
    return SpanLogits(masked_BL, masked_BL.clone())


def with_gradient(logits: SpanLogits) -> SpanLogits:
    """The same logits as leaves that gather gradients."""
    return SpanLogits(*(each.clone().requires_grad_() for each in logits))


def rows_of(logits: SpanLogits, batch: Batch) -> list[tuple[list[float], list[float]]]:
    """Start and end logits of each window's own tokens, as lists."""
    lengths = batch.attention_mask_BL.sum(dim=1).tolist()
    both = zip(lengths, *(each.tolist() for each in logits), strict=True)
    return [(starts[:length], ends[:length]) for length, starts, ends in both]


def targets_of(batch: Batch) -> list[tuple[int, int]]:
    """Start and end target of each window."""
    return list(zip(batch.start_targets_B.tolist(), batch.end_targets_B.tolist(), strict=True))


def padded(batch: Batch, extra: int) -> Batch:
    """The same windows with more padding on the right."""
    wider = {
        field.name: F.pad(getattr(batch, field.name), (0, extra))
        for field in fields(batch)
        if field.name.endswith("_BL") and getattr(batch, field.name) is not None
    }
    return replace(batch, **wider)


def padded_logits(logits: SpanLogits, extra: int) -> SpanLogits:
    """The same logits with more masked positions."""
    return SpanLogits(*(F.pad(each, (0, extra), value=MASKED) for each in logits))


def reordered(batch: Batch, order: Sequence[int]) -> Batch:
    """The windows in another order; some may be left out."""
    chosen = torch.tensor(order)
    present = {field.name: getattr(batch, field.name) for field in fields(batch)}
    moved = {name: tensor[chosen] for name, tensor in present.items() if tensor is not None}
    return replace(batch, **moved)


def reordered_logits(logits: SpanLogits, order: Sequence[int]) -> SpanLogits:
    """The logits of the windows in another order."""
    return SpanLogits(*(each[torch.tensor(order)] for each in logits))
