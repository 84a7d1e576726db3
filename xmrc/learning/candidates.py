"""Z, mined once. In: a base reader and training windows. Out: its best spans of each, mapped files.

What the base says of a window depends on its texts alone, neither on the pairs that a trial samples
nor on the gold answer. So each window is mined once, under the numbers of its question, its context
and its place in it; a smaller Z is the beginning of a larger one. Shapes: N windows, K spans.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tokenizers
import torch
from torch import nn

from xmrc.data.cache import Cache, content_hash
from xmrc.data.features import ABSENT, Batch, Windows, WindowSize
from xmrc.errors import DataError
from xmrc.learning.prediction import read_tables

_FORMAT = "candidates, 1"  # part of the content hash: counted up when the files change
_CODES, _SPANS = "codes.npy", "spans.npy"

_Mine = Callable[[np.ndarray], np.ndarray]  # rows of windows to spans (rows, K, 2)


def window_codes(windows: Windows) -> np.ndarray:
    """One number for what the reader sees of each window, int64 (N,).

    Equal for equal windows over the same tokenised texts, whatever else is in `windows`.
    """
    texts = windows.texts
    pair_N = windows.question_row * len(texts) + windows.context_row
    return pair_N * (1 + texts.lengths.max(initial=0)) + windows.context_start


def mine_spans(model: nn.Module, windows: Windows, size: int, precision: str) -> np.ndarray:
    """The reader's best spans of each window, best first: int32 (N, size, 2), first and last token.

    Positions in the window; where a window has fewer spans, -1.
    """
    longest_first = np.argsort(-windows.lengths, kind="stable")
    tables = read_tables(model, windows, longest_first, n_best=size, precision=precision)
    spans_NK2 = np.empty((len(windows), size, 2), np.int32)
    spans_NK2[longest_first] = np.stack([tables.start_NK, tables.end_NK], axis=2)
    return spans_NK2


@dataclass(frozen=True)
class CandidateSource:
    """What spans were mined from, but the size of the windows."""

    base: str  # hash of the checkpoint
    train: str  # hash of the corpus
    precision: str

    def key(self, size: WindowSize) -> str:
        """The key of the store of these windows."""
        sizes = [size.max_length, size.max_question_tokens, size.stride]
        made_by = [_FORMAT, tokenizers.__version__, self.precision]
        return content_hash(made_by, self.base, self.train, sizes)


@dataclass(frozen=True)
class CandidateStore:
    """All that one base said of the windows of one corpus: parts in the cache, none ever changed.

    `key` is the hash of base, corpus and window size. A part holds the windows that no part before
    it had, or had with as many spans.
    """

    cache: Cache
    key: str

    def missing(self, codes_N: np.ndarray, size: int) -> np.ndarray:
        """One row for each code of which no part has `size` spans."""
        part_N, _ = self._places(self._parts(size), codes_N)
        absent_M = np.flatnonzero(part_N == ABSENT)
        _, first = np.unique(codes_N[absent_M], return_index=True)
        return absent_M[np.sort(first)]

    def add(self, codes_N: np.ndarray, size: int, mine: _Mine) -> None:
        """Mine the windows that are missing, and no other, into a part of their own."""
        rows = self.missing(codes_N, size)
        if len(rows) == 0:
            return
        rows = rows[np.argsort(codes_N[rows])]

        def write(folder: Path) -> None:
            np.save(folder / _CODES, codes_N[rows])
            np.save(folder / _SPANS, mine(rows))

        part = content_hash(_FORMAT, size, codes_N[rows].tobytes())
        self.cache.build(self._kind, part, write)

    def open(self, codes_N: np.ndarray, size: int) -> "_Candidates":
        """The spans of windows that were all mined, mapped.

        Raises DataError: not all are there, as what is damaged does not count.
        """
        parts = self._parts(size)
        part_N, row_N = self._places(parts, codes_N)
        if np.any(part_N == ABSENT):
            folder = self.cache.root / self._kind
            raise DataError(f"{folder}: must have all candidates, and some are lost; start again")
        spans = [np.load(part / _SPANS, mmap_mode="r") for part in parts]
        return _Candidates(spans, part_N, row_N, size)

    @property
    def _kind(self) -> str:
        return f"candidates/{self.key}"

    def _parts(self, size: int) -> list[Path]:
        """The parts with at least `size` spans a window."""
        parts = self.cache.found(self._kind)
        return [part for part in parts if np.load(part / _SPANS, mmap_mode="r").shape[1] >= size]

    def _places(self, parts: Sequence[Path], codes_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For each code the part that holds it, and its row there; -1 where none does."""
        part_N = np.full(len(codes_N), ABSENT)
        row_N = np.full(len(codes_N), ABSENT)
        for number, part in enumerate(parts):
            held = np.load(part / _CODES, mmap_mode="r")
            row = np.searchsorted(held, codes_N).clip(max=len(held) - 1)
            found = held[row] == codes_N
            part_N[found], row_N[found] = number, row[found]
        return part_N, row_N


@dataclass(frozen=True)
class _Candidates:
    """The `size` best spans of the base in each of N windows, in mapped parts."""

    parts: Sequence[np.ndarray]
    part_N: np.ndarray
    row_N: np.ndarray
    size: int

    def of(self, rows: np.ndarray) -> np.ndarray:
        """int64 (rows, size, 2); no rows are one filler window without spans."""
        spans_BK2 = np.full((max(1, len(rows)), self.size, 2), ABSENT)
        for number, part in enumerate(self.parts):
            here = np.flatnonzero(self.part_N[rows] == number)
            spans_BK2[here] = part[self.row_N[rows[here]], : self.size]
        return spans_BK2

    def share_with_gold(self, windows: Windows) -> float:
        """In how many of the questions that have their answer in a window the base found it there.

        A question counts once, however many of its windows hold the answer: it is among the spans
        of one of them at least. A question over two contexts is two. nan without any.
        """
        rows = np.flatnonzero(windows.has_answer)
        gold_B2 = np.stack([windows.start_target[rows], windows.end_target[rows]], axis=1)
        found_B = (self.of(rows) == gold_B2[:, None]).all(axis=2).any(axis=1)
        asked, found = (np.unique(windows.example[each]) for each in (rows, rows[found_B]))
        return len(found) / len(asked) if len(asked) else np.nan


@dataclass(frozen=True)
class CandidateWindows:
    """Windows whose batches bring their Z along."""

    windows: Windows
    candidates: _Candidates

    def __len__(self) -> int:
        return len(self.windows)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each window."""
        return self.windows.lengths

    @property
    def metrics(self) -> dict[str, float]:
        """How good Z is before the gold is forced into it: the same at every evaluation."""
        return {"gold_in_z": self.candidates.share_with_gold(self.windows)}

    def batch(self, rows: np.ndarray) -> Batch:
        """These windows as tensors."""
        spans_BK2 = torch.from_numpy(self.candidates.of(np.asarray(rows)))
        return replace(self.windows.batch(rows), candidates_BK2=spans_BK2)
