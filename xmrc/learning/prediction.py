"""Reading. In: a reader and the windows of questions. Out: a `Prediction` of n best answers each.

Shapes: B windows, L tokens, K candidates, N windows of one worker.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from xmrc.data.batches import micro_batches
from xmrc.data.features import ABSENT, Windows
from xmrc.learning.characters import spans_to_find, without_space
from xmrc.learning.distributed import gather_from_workers
from xmrc.learning.model import autocast, span_logits
from xmrc.scoring.predictions import Prediction
from xmrc.scoring.spans import SpanTable, best_spans, merge_windows

N_BEST = 20
TOKENS_AT_ONCE = {"cpu": 8_192, "cuda": 131_072}  # padded tokens in one forward pass

Progress = Callable[[int, int], None]  # told after each forward pass: windows read, windows in all


def in_silence(done: int, total: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class WindowSpans:
    """The best spans of some windows, in characters of their contexts; absent ones at -1."""

    window_N: np.ndarray
    start_NK: np.ndarray
    end_NK: np.ndarray
    score_NK: np.ndarray  # raw s_i + e_j


class _TokenSpans(NamedTuple):
    """The best spans of some windows, as positions in the window; absent ones at -1."""

    start_NK: np.ndarray
    end_NK: np.ndarray  # the last token of the span
    score_NK: np.ndarray  # raw s_i + e_j


def predict(
    model: nn.Module,
    windows: Windows,
    *,
    n_best: int = N_BEST,
    precision: str = "auto",
    rank: int = 0,
    world_size: int = 1,
    progress: Progress = in_silence,
) -> list[Prediction]:
    """Answer every example of `windows`, in their order; the same list on every worker.

    Each worker reads its share of the windows; all of them must call this together.
    """
    mine = read_windows(
        model, windows, rank, world_size, n_best=n_best, precision=precision, progress=progress
    )
    return merge(windows, gather_from_workers(mine), n_best)


def read_windows(
    model: nn.Module,
    windows: Windows,
    rank: int,
    world_size: int,
    *,
    n_best: int = N_BEST,
    precision: str = "auto",
    progress: Progress = in_silence,
) -> WindowSpans:
    """Run the reader over this worker's share of the windows, long ones first."""
    windows = without_space(windows)
    rows_N = np.argsort(-windows.lengths, kind="stable")[rank::world_size]
    wanted = spans_to_find(windows, n_best)
    read = _read(model, windows, rows_N, wanted, precision, progress)
    parts = [_distinct(windows, rows, _on_cpu(table), n_best) for rows, table in read]
    return WindowSpans(rows_N, *_stack(parts, n_best))


def read_tables(
    model: nn.Module, windows: Windows, rows_N: np.ndarray, *, n_best: int, precision: str
) -> _TokenSpans:
    """The reader's best spans of these windows, which come longest first."""
    wanted = np.full(len(windows), n_best)
    read = _read(model, windows, rows_N, wanted, precision, in_silence)
    return _TokenSpans(*_stack([_on_cpu(table) for _, table in read], n_best))


@torch.inference_mode()
def _read(
    model: nn.Module,
    windows: Windows,
    rows_N: np.ndarray,
    wanted: np.ndarray,
    precision: str,
    progress: Progress,
) -> list[tuple[np.ndarray, SpanTable]]:
    """Micro-batches of rows, each with at least the `wanted` best spans of its windows."""
    device = next(model.parameters()).device
    model.eval()
    read, done = [], 0
    for rows in micro_batches(rows_N, windows.lengths, TOKENS_AT_ONCE[device.type]):
        if len(rows) == 0:
            break
        batch = windows.batch(rows).to(device)
        with autocast(device, precision):
            logits = span_logits(model, batch)
        mask_BL, k = batch.context_mask_BL, int(wanted[rows].max())
        read.append((rows, best_spans(logits.start_BL, logits.end_BL, mask_BL, k)))
        progress(done := done + len(rows), len(rows_N))
    return read


def _distinct(
    windows: Windows, rows_N: np.ndarray, spans: _TokenSpans, n_best: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The `n_best` spans of each window that have characters, and no better one has the same.

    Gives their first characters, the ones after their last, and their scores.
    """
    start_NK, end_NK = windows.characters(rows_N[:, None], spans.start_NK, spans.end_NK)
    key_NK = start_NK * 2**32 + end_NK
    order_NK = np.argsort(key_NK, axis=1, kind="stable")  # of equal ones the better comes first
    sorted_NK = np.take_along_axis(key_NK, order_NK, axis=1)
    new_NK = np.ones(key_NK.shape, bool)
    np.put_along_axis(new_NK, order_NK[:, 1:], sorted_NK[:, 1:] != sorted_NK[:, :-1], axis=1)
    new_NK &= start_NK < end_NK  # absent ones have none either
    kept_NK = np.argsort(~new_NK, axis=1, kind="stable")[:, :n_best]
    present_NK = np.take_along_axis(new_NK, kept_NK, axis=1)

    def pick(column_NK: np.ndarray, absent: float) -> np.ndarray:
        return np.where(present_NK, np.take_along_axis(column_NK, kept_NK, axis=1), absent)

    return pick(start_NK, ABSENT), pick(end_NK, ABSENT), pick(spans.score_NK, -np.inf)


def _stack(parts: Sequence[tuple[np.ndarray, ...]], width: int) -> tuple[np.ndarray, ...]:
    """The columns of all micro-batches as one; a worker may have read none."""
    if not parts:
        return tuple(np.empty((3, 0, width)))
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def _on_cpu(table: SpanTable) -> _TokenSpans:
    return _TokenSpans(*(column.cpu().numpy() for column in table))


def merge(windows: Windows, parts: list[WindowSpans], n_best: int = N_BEST) -> list[Prediction]:
    """Bring the windows of each example together into its n best answers."""
    candidates: list[list[tuple[int, int, int, float]]] = [[] for _ in windows.examples]
    for part in parts:
        rows_NK = np.broadcast_to(part.window_N[:, None], part.start_NK.shape)
        present_NK = part.start_NK >= 0
        columns = (rows_NK, part.start_NK, part.end_NK, part.score_NK)
        owners = windows.example[rows_NK[present_NK]]
        spans = zip(*(column[present_NK].tolist() for column in columns), strict=True)
        for owner, span in zip(owners.tolist(), spans, strict=True):
            candidates[owner].append(span)
    counts = np.bincount(windows.example, minlength=len(windows.examples)).tolist()
    return [
        Prediction(
            id=example.id,
            question_language=example.question_language,
            context_language=example.context_language,
            nbest=merge_windows(spans, example.context, n_best),
            windows=count,
        )
        for example, spans, count in zip(windows.examples, candidates, counts, strict=True)
    ]
