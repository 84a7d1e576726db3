"""How a tokenizer joins a question and a context. In: a fast tokenizer, sizes. Out: `PairTemplate`.

The special tokens and token types are read off the tokenizer's own work on a pair of one-token
texts, so BERT's single separator, XLM-R's double one and any other are the same code. All windows
have the template's types (the library itself gives 1 to the context in later windows of a template
that says 0; no such tokenizer's model takes types).
"""

from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerBase

from xmrc.data.tokenized import fast_backend
from xmrc.errors import SettingsError
from xmrc.settings import DataSettings

_PROBE = "text"  # a text that is one token


@dataclass(frozen=True)
class WindowSize:
    """How a pair is cut, all in tokens."""

    max_length: int = 384  # of a whole window, special tokens included
    max_question_tokens: int = 64  # what is kept of the question
    stride: int = 128  # shared by neighbouring windows of a context

    @classmethod
    def of(cls, data: DataSettings) -> "WindowSize":
        """As the settings have it."""
        return cls(data.max_length, data.max_question_tokens, data.stride)


@dataclass(frozen=True)
class PairTemplate:
    """The slots of a window in their order: each special token, question, context, padding.

    Slot `question` repeats for every token of the question, slot `context` for those of the
    context, the last slot for the padding. S slots.
    """

    ids_S: np.ndarray  # int64; of question and context: placeholders
    types_S: np.ndarray  # int64: token types
    question: int  # a slot, and (only single tokens stand before it) a position in the window
    context: int
    has_types: bool  # whether the tokenizer's model takes token types at all

    @property
    def special_tokens(self) -> int:
        """How many tokens a pair has beside its texts."""
        return len(self.ids_S) - 3


def pair_template(tokenizer: PreTrainedTokenizerBase) -> PairTemplate:
    """The template of this tokenizer. Raises DataError for one that is not fast."""
    probe = Tokenizer(WordLevel({_PROBE: 0}, unk_token=_PROBE))
    probe.post_processor = fast_backend(tokenizer).post_processor
    pair = probe.encode(_PROBE, _PROBE)
    question, context = pair.sequence_ids.index(0), pair.sequence_ids.index(1)
    assert question < context, "a tokenizer that puts the second text first"
    pad_id = tokenizer.pad_token_id or 0  # padding is masked: any id will do where there is none
    return PairTemplate(
        ids_S=np.array([*pair.ids, pad_id], np.int64),
        types_S=np.array([*pair.type_ids, tokenizer.pad_token_type_id], np.int64),
        question=question,
        context=context,
        has_types="token_type_ids" in tokenizer.model_input_names,
    )


def check_window_size(size: WindowSize, template: PairTemplate) -> None:
    """Refuse a size under which a long context could not be cut beside the longest question.

    The tokenizers library would panic. Raises SettingsError.
    """
    room = size.max_length - size.max_question_tokens - template.special_tokens
    parts = (
        f"{size.max_length} - data.max_question_tokens {size.max_question_tokens}"
        f" - {template.special_tokens} special tokens = {room}"
    )
    if room < 1:
        raise SettingsError(
            f"data.max_length: must leave room for the context beside the question, got {parts}"
        )
    if size.stride >= room:
        raise SettingsError(
            "data.stride: must be below the room for the context"
            f" (data.max_length {parts}), got {size.stride}"
        )
