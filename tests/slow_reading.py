"""Reading, said slowly. In: a model, a tokenizer, a question, a context. Out: the n best spans.

The tokenizer cuts the windows itself, each is read alone, and every span of every window is scored
in a Python loop.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from xmrc.data.features import WindowSize

LONGEST_ANSWER = 30  # tokens


class SlowSpan(NamedTuple):
    """Characters of the context, from `start` up to `end`; its share of the n best."""

    start: int
    end: int
    score: float


def slow_answers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    question: str,
    context: str,
    size: WindowSize,
    n_best: int,
) -> list[SlowSpan]:
    """The n best spans of all windows, without the white space around them.

    The same characters count once, with their best score. Ties go to the earlier window, then to
    the lower start and end.
    """
    pair = tokenizer(
        question,
        context,
        truncation="only_second",
        max_length=size.max_length,
        stride=size.stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    assert len(tokenizer.tokenize(question)) <= size.max_question_tokens, "a question to be cut"
    best: dict[tuple[int, int], tuple[float, int]] = {}
    for window in range(len(pair["input_ids"])):
        inputs = {name: torch.tensor([pair[name][window]]) for name in tokenizer.model_input_names}
        with torch.inference_mode():
            output = model(**inputs)
        starts, ends = (
            logits[0].float().numpy() for logits in (output.start_logits, output.end_logits)
        )
        offsets, parts = pair["offset_mapping"][window], pair.sequence_ids(window)
        inside = [place for place, part in enumerate(parts) if part == 1]
        for first in inside:
            for last in inside:
                if not first <= last < first + LONGEST_ANSWER:
                    continue
                span = _without_space(context, offsets[first][0], offsets[last][1])
                if span is None:
                    continue
                rank = (-float(np.float32(starts[first] + ends[last])), window)
                best[span] = min(rank, best.get(span, rank))
    ranked = sorted(best, key=lambda span: (*best[span], *span))[:n_best]
    weights = [math.exp(best[ranked[0]][0] - best[span][0]) for span in ranked]
    pairs = zip(ranked, weights, strict=True)
    return [SlowSpan(*span, weight / sum(weights)) for span, weight in pairs]


def _without_space(context: str, start: int, end: int) -> tuple[int, int] | None:
    """An answer neither begins nor ends with white space; None if there is nothing else."""
    while start < end and context[start].isspace():
        start += 1
    while start < end and context[end - 1].isspace():
        end -= 1
    return (start, end) if start < end else None
