"""From logits to answers. In: start and end logits, or spans in characters. Out: the k best.

B windows, L tokens, W the longest answer in tokens, K spans.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from xmrc.scoring.ranking import top_positions


class SpanTable(NamedTuple):
    """The best spans of each window, best first. A rank without a span: -1, -1, -inf.

    start_BK, end_BK: first and last token of the span, both inside it (int64).
    score_BK: start logit + end logit (float32).
    """

    start_BK: Tensor
    end_BK: Tensor
    score_BK: Tensor


def best_spans(
    start_logits_BL: Tensor,
    end_logits_BL: Tensor,
    context_mask_BL: Tensor,
    k: int,
    max_answer_tokens: int = 30,
) -> SpanTable:
    """The exact k best spans of each window by start + end logit, ties to lower start, then end.

    A span starts and ends on tokens of `context_mask_BL`, has at most `max_answer_tokens` tokens
    and a score above -inf (NaN counts as -inf). Adds in float32, whatever the logits are, on their
    device, without waiting for it.
    """
    starts_BL = _masked(start_logits_BL, context_mask_BL)
    ends_BL = _masked(end_logits_BL, context_mask_BL)
    # A view, not a copy: the end logits of the W tokens from each start on.
    ends_BLW = F.pad(ends_BL, (0, max_answer_tokens - 1), value=-math.inf).unfold(
        1, max_answer_tokens, 1
    )
    # The k best spans have their starts among the k starts with the best span each, since each of
    # those has one span at least that ranks before any span of a later start. Rounding keeps order,
    # so the best span of a start is its logit + the greatest end logit.
    best_BL = starts_BL + ends_BLW.amax(dim=2)
    start_BK, _ = top_positions(best_BL, best_BL > -math.inf, k)
    start_BK = start_BK.sort(dim=1).values
    score_BKW = _scores_from(start_BK, starts_BL, ends_BLW)
    return _best_of(start_BK, score_BKW, k)


def _masked(logits_BL: Tensor, mask_BL: Tensor) -> Tensor:
    return logits_BL.float().masked_fill(~mask_BL | logits_BL.isnan(), -math.inf)


def _scores_from(start_BK: Tensor, starts_BL: Tensor, ends_BLW: Tensor) -> Tensor:
    """Scores of the spans of 1 to W tokens from each start; a start of -1 has none."""
    row_BK = start_BK.clamp(min=0)
    row_BKW = row_BK[:, :, None].expand(-1, -1, ends_BLW.shape[2])
    score_BKW = starts_BL.gather(1, row_BK)[:, :, None] + ends_BLW.gather(1, row_BKW)
    return score_BKW.masked_fill(start_BK[:, :, None] < 0, -math.inf)


def _best_of(start_BK: Tensor, score_BKW: Tensor, k: int) -> SpanTable:
    """The k best of the scored spans. Starts ascend, so ties go to the lower start, then end."""
    longest = score_BKW.shape[2]
    score_BN = score_BKW.flatten(1)
    place_BK, present_BK = top_positions(score_BN, score_BN > -math.inf, k)
    place_BK = place_BK.clamp(min=0)
    start_BK = start_BK.gather(1, place_BK // longest)
    end_BK = start_BK + place_BK % longest
    return SpanTable(
        start_BK.masked_fill(~present_BK, -1),
        end_BK.masked_fill(~present_BK, -1),
        score_BN.gather(1, place_BK).masked_fill(~present_BK, -math.inf),
    )


@dataclass(frozen=True, slots=True)
class AnswerSpan:
    """An answer, text == context[start:end]; score is its softmax share of the n best."""

    text: str
    start: int
    end: int
    score: float


def merge_windows(
    candidates: Iterable[tuple[int, int, int, float]], context: str, n_best: int = 20
) -> tuple[AnswerSpan, ...]:
    """The n best answers of one question from the spans of all its windows, best first.

    A candidate is (window, first character, one past the last character, raw score). Windows
    overlap: the same characters seen in two of them count once, with the higher score. Ranked by
    raw score, ties to the earlier window, lower start, lower end. A score of -inf is no span; no
    span at all gives an empty tuple.
    """
    ranked = sorted(
        (-raw, window, start, end) for window, start, end, raw in candidates if raw > -math.inf
    )
    best: dict[tuple[int, int], float] = {}
    for negated, _, start, end in ranked:
        best.setdefault((start, end), -negated)
        if len(best) == n_best:
            break
    shares = _softmax(list(best.values()))
    return tuple(
        AnswerSpan(context[start:end], start, end, share)
        for (start, end), share in zip(best, shares, strict=True)
    )


def _softmax(descending: list[float]) -> list[float]:
    weights = [math.exp(raw - descending[0]) for raw in descending]
    total = math.fsum(weights)
    return [weight / total for weight in weights]
