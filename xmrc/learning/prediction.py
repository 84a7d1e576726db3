"""Reading. In: a reader and the windows of questions. Out: a `Prediction` of n best answers each.

Shapes: B windows, L tokens, K candidates, N windows of one worker.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from xmrc.data.batches import micro_batches
from xmrc.data.features import Batch, Windows
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


class TokenSpans(NamedTuple):
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
    rows_N = np.argsort(-windows.lengths, kind="stable")[rank::world_size]
    found = read_tables(
        model, windows, rows_N, n_best=n_best, precision=precision, progress=progress
    )
    characters = windows.characters(rows_N[:, None], found.start_NK, found.end_NK)
    return WindowSpans(rows_N, *characters, found.score_NK)


@torch.inference_mode()
def read_tables(
    model: nn.Module,
    windows: Windows,
    rows_N: np.ndarray,
    *,
    n_best: int,
    precision: str,
    progress: Progress = in_silence,
) -> TokenSpans:
    """The reader's best spans of these windows, which come longest first."""
    device = next(model.parameters()).device
    model.eval()
    tables, done = [], 0
    for rows in micro_batches(rows_N, windows.lengths, TOKENS_AT_ONCE[device.type]):
        if len(rows) > 0:  # a worker may have no window at all
            tables.append(_read(model, windows.batch(rows).to(device), n_best, precision))
            progress(done := done + len(rows), len(rows_N))
    return TokenSpans(
        _stack([table.start_BK for table in tables], n_best).astype(np.int64),
        _stack([table.end_BK for table in tables], n_best).astype(np.int64),
        _stack([table.score_BK for table in tables], n_best),
    )


def _read(model: nn.Module, batch: Batch, n_best: int, precision: str) -> SpanTable:
    with autocast(batch.input_ids_BL.device, precision):
        logits = span_logits(model, batch)
    return best_spans(logits.start_BL, logits.end_BL, batch.context_mask_BL, n_best)


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
    return [
        Prediction(
            id=example.id,
            question_language=example.question_language,
            context_language=example.context_language,
            nbest=merge_windows(spans, example.context, n_best),
        )
        for example, spans in zip(windows.examples, candidates, strict=True)
    ]


def _stack(tensors: list[torch.Tensor], width: int) -> np.ndarray:
    if not tensors:
        return np.empty((0, width))
    return torch.cat(tensors).cpu().numpy()
