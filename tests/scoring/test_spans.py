"""Span decoding against loops over every span, ties included."""

import math
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xmrc.scoring.spans import AnswerSpan, best_spans, merge_windows

# Few distinct values, so that most windows are full of ties; both zeros, and -inf.
TIED_LOGITS = st.sampled_from([-math.inf, -1.5, -1.0, -0.0, 0.0, 0.5, 1.0, 1.5])


@st.composite
def span_windows(draw):
    length = draw(st.integers(1, 9))
    rows = draw(st.integers(1, 3))

    def table(values):
        row = st.lists(values, min_size=length, max_size=length)
        return draw(st.lists(row, min_size=rows, max_size=rows))

    return (
        torch.tensor(table(TIED_LOGITS)),
        torch.tensor(table(TIED_LOGITS)),
        torch.tensor(table(st.booleans())),
    )


def every_span(starts, ends, mask, max_answer_tokens):
    """Best first: (start, end, score) of all spans of one window."""
    spans = [
        (i, j, (starts[i] + ends[j]).item())
        for i in range(len(starts))
        for j in range(i, min(i + max_answer_tokens, len(ends)))
        if mask[i] and mask[j]
    ]
    present = [span for span in spans if span[2] > -math.inf]
    return sorted(present, key=lambda span: (-span[2], span[0], span[1]))


def assert_equals_brute_force(starts, ends, mask, k, max_answer_tokens):
    table = best_spans(starts, ends, mask, k, max_answer_tokens)
    for row in range(len(starts)):
        spans = every_span(starts[row], ends[row], mask[row], max_answer_tokens)[:k]
        spans += [(-1, -1, -math.inf)] * (k - len(spans))
        found = zip(
            table.start_BK[row].tolist(),
            table.end_BK[row].tolist(),
            table.score_BK[row].tolist(),
            strict=True,
        )
        assert list(found) == spans


@settings(max_examples=400, deadline=None)
@given(span_windows(), st.integers(1, 60), st.integers(1, 11))
def test_best_spans_equal_brute_force(windows, k, max_answer_tokens):
    assert_equals_brute_force(*windows, k, max_answer_tokens)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_best_spans_of_realistic_windows(dtype):
    generator = torch.Generator().manual_seed(5)
    starts = torch.randn(3, 120, generator=generator).to(dtype)
    ends = torch.randn(3, 120, generator=generator).to(dtype)
    mask = torch.zeros(3, 120, dtype=torch.bool)
    mask[0, 17:119] = mask[1, 60:70] = mask[2, 40:41] = True
    assert_equals_brute_force(starts.float(), ends.float(), mask, 25, 30)
    halves = best_spans(starts, ends, mask, 25)
    exact = best_spans(starts.float(), ends.float(), mask, 25)
    assert halves.score_BK.dtype == torch.float32
    assert all(torch.equal(one, other) for one, other in zip(halves, exact, strict=True))


def test_scores_are_added_in_float32():
    # In bfloat16 256 + 1 is 256: the two spans would tie, and the first one win.
    starts = torch.tensor([[256.0, 256.0]], dtype=torch.bfloat16)
    ends = torch.tensor([[0.0, 1.0]], dtype=torch.bfloat16)
    table = best_spans(starts, ends, torch.ones(1, 2, dtype=torch.bool), 3, 1)
    assert table.start_BK.tolist() == [[1, 0, -1]]
    assert table.score_BK.tolist() == [[257.0, 256.0, -math.inf]]


def test_nan_logits_are_no_spans():
    starts = torch.tensor([[math.nan, 1.0, 0.0]])
    ends = torch.tensor([[5.0, math.nan, 2.0]])
    table = best_spans(starts, ends, torch.ones(1, 3, dtype=torch.bool), 4)
    assert list(zip(*(column[0].tolist() for column in table), strict=True)) == [
        (1, 2, 3.0),
        (2, 2, 2.0),
        (-1, -1, -math.inf),
        (-1, -1, -math.inf),
    ]


def test_padding_changes_nothing():
    generator = torch.Generator().manual_seed(1)
    starts, ends = torch.randn(2, 4, 50, generator=generator)
    mask = torch.rand(4, 50, generator=generator) < 0.7
    padded = best_spans(
        *(torch.nn.functional.pad(one, (0, 13), value=99.0) for one in (starts, ends)),
        torch.nn.functional.pad(mask, (0, 13)),
        20,
    )
    for one, other in zip(best_spans(starts, ends, mask, 20), padded, strict=True):
        assert torch.equal(one, other)


CONTEXT = "Ada Lovelace wrote the first program."


def test_merge_counts_an_overlap_once_with_the_higher_score():
    merged = merge_windows([(0, 0, 3, 1.0), (1, 0, 3, 2.0), (1, 4, 12, 1.0)], CONTEXT)
    share = 1 / (1 + math.exp(-1.0))
    assert [(span.text, span.start, span.end) for span in merged] == [
        ("Ada", 0, 3),
        ("Lovelace", 4, 12),
    ]
    assert [span.score for span in merged] == pytest.approx([share, 1 - share])


def test_merge_ties_go_to_the_earlier_window_then_start_then_end():
    candidates = [
        (1, 0, 3, 5.0),
        (0, 13, 18, 5.0),
        (0, 4, 12, 5.0),
        (0, 4, 8, 5.0),
        (2, 13, 18, 5.0),
    ]
    expected = [(4, 8), (4, 12), (13, 18), (0, 3)]
    for seed in range(5):
        shuffled = random.Random(seed).sample(candidates, len(candidates))
        assert [(span.start, span.end) for span in merge_windows(shuffled, CONTEXT)] == expected


def test_merge_keeps_the_n_best_and_shares_among_them_alone():
    merged = merge_windows([(0, i, i + 1, float(-i)) for i in range(30)], CONTEXT, n_best=2)
    assert [span.start for span in merged] == [0, 1]
    assert sum(span.score for span in merged) == pytest.approx(1.0)


def test_merge_of_huge_scores_does_not_overflow():
    merged = merge_windows([(0, 0, 3, 3e4), (0, 4, 12, -3e4)], CONTEXT)
    assert [span.score for span in merged] == [1.0, 0.0]


def test_merge_of_nothing_is_empty():
    assert merge_windows([], CONTEXT) == ()
    assert merge_windows([(0, -1, -1, -math.inf)], CONTEXT) == ()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.integers(0, 4),
            st.integers(5, 8),
            st.sampled_from([0.0, 1.0, 2.0, -math.inf]),
        ),
        max_size=25,
    ),
    st.integers(1, 6),
)
def test_merge_equals_the_rule_said_slowly(candidates, n_best):
    kept = {}
    for window, start, end, raw in candidates:
        held = kept.get((start, end))
        if raw > -math.inf and (held is None or (-raw, window) < held):
            kept[start, end] = (-raw, window)
    ranked = sorted(kept, key=lambda span: (*kept[span], *span))[:n_best]
    total = sum(math.exp(-kept[span][0]) for span in ranked)
    merged = merge_windows(candidates, CONTEXT, n_best)
    assert [(span.start, span.end) for span in merged] == ranked
    for span in merged:
        assert span == AnswerSpan(CONTEXT[span.start : span.end], span.start, span.end, span.score)
        assert span.score == pytest.approx(math.exp(-kept[span.start, span.end][0]) / total)
