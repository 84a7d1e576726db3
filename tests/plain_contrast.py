"""Answer-aware contrastive learning written out, window by window, span by span, pair by pair.

From Chen et al. 2022, equations 6 to 8. Slow and obvious; what the tests of learning compare with.
Tensors are those of single tokens, so that gradients come along; D hidden size.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Span = tuple[int, int]  # first and last token
LONGEST = 30  # tokens of an answer


@dataclass(frozen=True)
class Window:
    """One window: its tokens alone, no padding."""

    states: Sequence[Tensor]  # of each token, (D,)
    starts: Sequence[float]  # logits
    ends: Sequence[float]
    question: Sequence[int]  # positions
    context: Sequence[int]
    answer: Span | None  # None: not in this window
    question_id: int


def contrast_loss(windows: Sequence[Window], tau: float, negatives: int) -> Tensor:
    """The mean over the windows that hold their answer of -log softmax of it."""
    hard = {index: hard_negative(window, negatives) for index, window in enumerate(windows)}
    losses = []
    for index, window in enumerate(windows):
        if window.answer is None:
            continue
        asked = mean_state(window, window.question)
        rivals = []
        for other_index, other in enumerate(windows):
            itself = other_index == index
            if other.answer is None or (not itself and other.question_id == window.question_id):
                continue
            spans = (
                [other.answer] if hard[other_index] is None else [other.answer, hard[other_index]]
            )
            rivals += [cosine(asked, span_state(other, span)) / tau for span in spans]
        own = cosine(asked, span_state(window, window.answer)) / tau
        losses.append(sum(torch.exp(each) for each in rivals).log() - own)
    return sum(losses) / len(losses) if losses else torch.zeros((), dtype=torch.float64)


def hard_negative(window: Window, negatives: int) -> Span | None:
    """The span of A that is most like the answer; of equals the first."""
    if window.answer is None:
        return None
    best, likeness = None, -2.0
    for span in wrong_spans(window)[:negatives]:
        found = cosine(span_state(window, span), span_state(window, window.answer)).item()
        if found > likeness:
            best, likeness = span, found
    return best


def wrong_spans(window: Window) -> list[Span]:
    """Every span of the context but the answer, best first."""
    spans = [
        (start, end)
        for start in window.context
        for end in window.context
        if start <= end < start + LONGEST and (start, end) != window.answer
    ]
    return sorted(spans, key=lambda span: (-(window.starts[span[0]] + window.ends[span[1]]), span))


def span_state(window: Window, span: Span) -> Tensor:
    """The mean of its tokens' states."""
    return mean_state(window, range(span[0], span[1] + 1))


def mean_state(window: Window, positions: Sequence[int]) -> Tensor:
    """The mean state of some tokens."""
    total = torch.zeros_like(window.states[0])
    for position in positions:
        total = total + window.states[position]
    return total / len(positions)


def cosine(first: Tensor, second: Tensor) -> Tensor:
    """Of the angle between two vectors."""
    return (first * second).sum() / (first.square().sum().sqrt() * second.square().sum().sqrt())
