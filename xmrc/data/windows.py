"""The windows of examples, as arrays. In: rows of windows. Out: a `Batch` of tensors, characters.

Made by `features.make_windows`. Shapes: B windows of L tokens, the longest of the batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from xmrc.data.examples import Example
from xmrc.data.template import PairTemplate
from xmrc.data.tokenized import TokenizedTexts

ABSENT = -1  # a position or character that is not there; question, pair, window of a filler row


@dataclass(frozen=True)
class Batch:
    """B windows, padded on the right to the longest of them: what a model and its losses take."""

    input_ids_BL: torch.Tensor  # int64
    attention_mask_BL: torch.Tensor  # int64: 1 on tokens, 0 on padding
    token_type_ids_BL: torch.Tensor | None  # int64; None where the tokenizer's model takes none
    question_mask_BL: torch.Tensor  # bool: on tokens of the question alone
    context_mask_BL: torch.Tensor  # bool: on tokens of the context alone
    start_targets_B: torch.Tensor  # int64; 0, the first token, where the answer is not whole in it
    end_targets_B: torch.Tensor  # int64: the answer's last token
    has_answer_B: torch.Tensor  # bool
    weights_B: torch.Tensor  # float32: 1; 0 for a filler row
    question_B: torch.Tensor  # int64: the same for the same question id, in whatever language
    pair_B: torch.Tensor  # int64: place of question and context language in the Windows' pairs
    window_B: torch.Tensor  # int64: row in the Windows
    candidates_BK2: torch.Tensor | None = None  # int64: a base's best spans, -1 absent; if mined

    def __len__(self) -> int:
        return len(self.window_B)

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on a device."""
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        present = {name: tensor for name, tensor in tensors.items() if tensor is not None}
        return replace(self, **{n: t.to(device, non_blocking=True) for n, t in present.items()})


@dataclass(frozen=True)
class Windows:
    """All windows of some examples, in their order: one numpy row of each array per window."""

    examples: Sequence[Example]
    texts: TokenizedTexts
    template: PairTemplate
    example: np.ndarray  # int64: index into examples
    question_row: np.ndarray  # int64: the question's row in texts
    question_tokens: np.ndarray  # int64: as many as are kept of it
    context_row: np.ndarray  # int64: the context's row in texts
    context_position: np.ndarray  # int64: where in the window the context begins
    context_start: np.ndarray  # int64: tokens of the context in this window, from here
    context_stop: np.ndarray  # int64: up to here, left out
    start_target: np.ndarray  # int64: position in the window; 0 without the answer
    end_target: np.ndarray  # int64
    has_answer: np.ndarray  # bool: the first gold answer is whole in it
    question: np.ndarray  # int64: code of the question id
    pairs: Sequence[tuple[str, str]]  # question and context languages, as they first come
    pair: np.ndarray  # int64: index into pairs
    lengths: np.ndarray  # int64: tokens of the window, special ones included

    def __len__(self) -> int:
        return len(self.example)

    def subset(self, rows: np.ndarray) -> "Windows":
        """These windows alone, in this order; `example` still counts in all the examples."""
        arrays = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.type is np.ndarray}
        return replace(self, **arrays)

    def batch(self, rows: np.ndarray) -> Batch:
        """These windows as tensors. Without rows: one filler window of weight 0.

        A worker whose share of a batch is empty still has something to run with the others.
        """
        if len(rows) == 0:
            return _as_filler(self.batch(np.array([self.lengths.argmin()])))
        return _batch(self, np.asarray(rows))

    def characters(
        self, rows: np.ndarray, start_positions: np.ndarray, end_positions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Spans of windows as characters of their contexts: first, and the one after the last.

        The arrays broadcast against each other; positions count in the window and lie on its
        context; -1 (absent) stays -1. int64.
        """
        return (
            self._look_up(self.texts.flat_starts, rows, start_positions),
            self._look_up(self.texts.flat_ends, rows, end_positions),
        )

    def _look_up(
        self, characters: np.ndarray, rows: np.ndarray, positions: np.ndarray
    ) -> np.ndarray:
        token = positions - self.context_position[rows] + self.context_start[rows]
        on_context = (self.context_start[rows] <= token) & (token < self.context_stop[rows])
        absent = positions == ABSENT
        assert np.all(on_context | absent), "a position that is not on the context"
        found = characters[np.where(absent, 0, self.texts.offsets[self.context_row[rows]] + token)]
        return np.where(absent, ABSENT, found.astype(np.int64))


def _batch(windows: Windows, rows: np.ndarray) -> Batch:
    template, lengths = windows.template, windows.lengths[rows]
    repeats_BS = np.ones((len(rows), len(template.ids_S)), np.int64)
    repeats_BS[:, template.question] = windows.question_tokens[rows]
    repeats_BS[:, template.context] = windows.context_stop[rows] - windows.context_start[rows]
    repeats_BS[:, -1] = lengths.max() - lengths

    def spread(values_S: np.ndarray) -> np.ndarray:
        values = np.tile(values_S, len(rows))
        return np.repeat(values, repeats_BS.ravel()).reshape(len(rows), -1)

    slots_S = np.arange(len(template.ids_S))
    ids_BL = spread(template.ids_S)
    _copy_texts(windows, rows, ids_BL)
    arrays = {
        "input_ids_BL": ids_BL,
        "attention_mask_BL": spread((slots_S < slots_S[-1]).astype(np.int64)),
        "question_mask_BL": spread(slots_S == template.question),
        "context_mask_BL": spread(slots_S == template.context),
        "start_targets_B": windows.start_target[rows],
        "end_targets_B": windows.end_target[rows],
        "has_answer_B": windows.has_answer[rows],
        "question_B": windows.question[rows],
        "pair_B": windows.pair[rows],
        "window_B": rows.astype(np.int64),
    }
    types = torch.from_numpy(spread(template.types_S)) if template.has_types else None
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return Batch(**tensors, token_type_ids_BL=types, weights_B=torch.ones(len(rows)))


def _copy_texts(windows: Windows, rows: np.ndarray, ids_BL: np.ndarray) -> None:
    """Put question and context tokens in their places, from the memory map."""
    texts, question_at = windows.texts, windows.template.question
    question_from = texts.offsets[windows.question_row[rows]]
    context_from = texts.offsets[windows.context_row[rows]] + windows.context_start[rows]
    context_at, kept = windows.context_position[rows], windows.question_tokens[rows]
    count = windows.context_stop[rows] - windows.context_start[rows]
    places = np.stack([question_from, kept, context_from, context_at, count], axis=1).tolist()
    for ids_L, (q_from, q_count, c_from, c_at, c_count) in zip(ids_BL, places, strict=True):
        ids_L[question_at : question_at + q_count] = texts.flat_ids[q_from : q_from + q_count]
        ids_L[c_at : c_at + c_count] = texts.flat_ids[c_from : c_from + c_count]


def _as_filler(batch: Batch) -> Batch:
    """Only its tokens count: nothing is learned from it, and it belongs to no question."""
    absent = torch.full_like(batch.window_B, ABSENT)
    return replace(
        batch,
        start_targets_B=torch.zeros_like(batch.start_targets_B),
        end_targets_B=torch.zeros_like(batch.end_targets_B),
        has_answer_B=torch.zeros_like(batch.has_answer_B),
        weights_B=torch.zeros_like(batch.weights_B),
        question_B=absent,
        pair_B=absent,
        window_B=absent,
    )
