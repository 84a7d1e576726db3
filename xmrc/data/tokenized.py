"""Every distinct text, tokenised once. In: texts and a fast tokenizer. Out: memory-mapped tokens.

The tokens carry no special tokens and no truncation: what a pair adds is arithmetic on top
(`features`), so that another sample or window size tokenises nothing again.
"""

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import tokenizers
from transformers import PreTrainedTokenizerBase

from xmrc.data.cache import Cache, content_hash
from xmrc.errors import DataError

_FORMAT = "tokenised texts, 1"  # part of the content hash: count up when the file changes
_FILE = "tokens.arrow"
_CHUNK = 2048  # texts handed to the tokenizer's threads at a time


class TokenizedTexts:
    """Token ids and character offsets of distinct texts, one after the other.

    `flat_ids`, `flat_starts`, `flat_ends` (int32) hold all tokens of all texts; those of text row
    r are at `offsets[r]` to `offsets[r + 1]`; `lengths[r]` counts them. A token covers the
    characters from its start up to its end, which is left out.
    """

    def __init__(self, path: Path, texts: Sequence[str]) -> None:
        """Map the file that `tokenize_texts` wrote for these texts, in this order."""
        table = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
        self.flat_ids, self.flat_starts, self.flat_ends = (
            _numpy(table[name].values) for name in ("ids", "starts", "ends")
        )
        self.offsets = _numpy(table["ids"].offsets).astype(np.int64)
        self.lengths = np.diff(self.offsets)
        self._rows = {text: row for row, text in enumerate(texts)}

    def with_characters(self, flat_starts: np.ndarray, flat_ends: np.ndarray) -> "TokenizedTexts":
        """The same tokens, covering other characters."""
        other = copy(self)
        other.flat_starts, other.flat_ends = flat_starts, flat_ends
        return other

    def __len__(self) -> int:
        return len(self.lengths)

    def row(self, text: str) -> int:
        """The row of a text that was tokenised; KeyError for another."""
        return self._rows[text]

    def rows(self, texts: Iterable[str]) -> np.ndarray:
        """The rows of many texts, int64."""
        return np.fromiter((self._rows[text] for text in texts), np.int64)

    def token_ids(self, row: int) -> np.ndarray:
        """int32 (tokens,), a view of the file."""
        return self.flat_ids[self.offsets[row] : self.offsets[row + 1]]

    def starts(self, row: int) -> np.ndarray:
        """First character of each token, int32 (tokens,), a view of the file."""
        return self.flat_starts[self.offsets[row] : self.offsets[row + 1]]

    def ends(self, row: int) -> np.ndarray:
        """Character after each token, int32 (tokens,), a view of the file."""
        return self.flat_ends[self.offsets[row] : self.offsets[row + 1]]


def tokenize_texts(
    texts: Iterable[str], tokenizer: PreTrainedTokenizerBase, cache: Cache
) -> TokenizedTexts:
    """Tokenise the distinct texts, or find them tokenised in the cache.

    Raises DataError for a tokenizer without character offsets and for a text that is not Unicode.
    """
    backend = _without_state(tokenizer)
    distinct = sorted(set(texts))
    _refuse_lone_surrogates(distinct)
    key = content_hash(
        _FORMAT,
        tokenizers.__version__,
        backend.to_str(),
        {"split_special_tokens": backend.encode_special_tokens},
        distinct,
    )
    folder = cache.build("tokens", key, lambda new: _write(new / _FILE, distinct, backend))
    return TokenizedTexts(folder / _FILE, distinct)


def fast_backend(tokenizer: PreTrainedTokenizerBase) -> tokenizers.Tokenizer:
    """The Rust tokenizer inside. Raises DataError for a tokenizer that has none, so no offsets."""
    if not tokenizer.is_fast:
        raise DataError(
            "encoder: its tokenizer must be a fast one, which gives character offsets,"
            f" got {type(tokenizer).__name__} of {tokenizer.name_or_path!r}"
        )
    return tokenizer.backend_tokenizer


def _without_state(tokenizer: PreTrainedTokenizerBase) -> tokenizers.Tokenizer:
    """The Rust tokenizer, or a copy where truncation, padding or the like is saved with it."""
    backend, split = fast_backend(tokenizer), tokenizer.split_special_tokens
    if (backend.truncation, backend.padding, backend.encode_special_tokens) == (None, None, split):
        return backend  # copying a large vocabulary takes half a second
    backend = tokenizers.Tokenizer.from_str(backend.to_str())
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = split  # as a direct call sets it; to_str leaves it out
    return backend


def _refuse_lone_surrogates(texts: Sequence[str]) -> None:
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"a text must be valid Unicode, got {text[:60]!a}: {error.reason}"
            ) from error


def _write(path: Path, texts: Sequence[str], backend: tokenizers.Tokenizer) -> None:
    chunks = [_tokens(chunk, backend) for chunk in _chunks(texts)] or [_tokens([], backend)]
    lengths, ids, spans = (np.concatenate(parts) for parts in zip(*chunks, strict=True))
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    columns = {"ids": ids, "starts": spans[0::2], "ends": spans[1::2]}
    lists = {n: pa.ListArray.from_arrays(offsets, pa.array(v)) for n, v in columns.items()}
    table = pa.record_batch(lists)
    with pa.ipc.new_file(str(path), table.schema) as file:
        file.write_batch(table)


def _tokens(
    texts: Sequence[str], backend: tokenizers.Tokenizer
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tokens per text, their ids, their start and end characters in turn."""
    encodings = backend.encode_batch(texts, add_special_tokens=False)
    lengths = np.fromiter((len(encoding) for encoding in encodings), np.int64)
    ids = np.fromiter(chain.from_iterable(e.ids for e in encodings), np.int32)
    pairs = chain.from_iterable(encoding.offsets for encoding in encodings)
    return lengths, ids, np.fromiter(chain.from_iterable(pairs), np.int32)


def _chunks(texts: Sequence[str]) -> Iterator[list[str]]:
    remaining = iter(texts)
    while chunk := list(islice(remaining, _CHUNK)):
        yield chunk


def _numpy(column: pa.Array) -> np.ndarray:
    return column.to_numpy(zero_copy_only=True)
