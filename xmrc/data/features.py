"""Pairs as index arithmetic on tokens. In: examples and their tokenised texts. Out: `Windows`.

A window is a question and as much of its context as fits, with the special tokens of the encoder's
own tokenizer; it equals, token for token, what that tokenizer makes of the pair with
`truncation="only_second"`, the question cut to `max_question_tokens` before. Both are cut on the
right, whatever side the tokenizer is configured for.
"""

from collections.abc import Hashable, Iterable, Sequence

import numpy as np
from transformers import PreTrainedTokenizerBase

from xmrc.data.cache import Cache
from xmrc.data.examples import Example
from xmrc.data.template import PairTemplate, WindowSize, check_window_size, pair_template
from xmrc.data.tokenized import TokenizedTexts, tokenize_texts
from xmrc.data.windows import ABSENT, Batch, Windows

__all__ = [
    "ABSENT",
    "Batch",
    "PairTemplate",
    "TokenizedTexts",
    "WindowSize",
    "Windows",
    "check_window_size",
    "cut_examples",
    "distinct_texts",
    "make_windows",
    "pair_template",
    "tokenize_texts",
]


def cut_examples(
    examples: Sequence[Example],
    tokenizer: PreTrainedTokenizerBase,
    size: WindowSize,
    cache: Cache,
    texts_of: Sequence[Example] | None = None,
) -> Windows:
    """Tokenise examples, or find their tokens in the cache, and cut them into windows.

    `texts_of` names the whole corpus that they are of, whose tokens are shared.
    """
    texts = tokenize_texts(distinct_texts(texts_of or examples), tokenizer, cache)
    return make_windows(examples, texts, tokenizer, size)


def distinct_texts(examples: Sequence[Example]) -> list[str]:
    """Every question and context once, in the order of appearance."""
    questions = (example.question for example in examples)
    contexts = (example.context for example in examples)
    return list(dict.fromkeys((*questions, *contexts)))


def make_windows(
    examples: Sequence[Example],
    texts: TokenizedTexts,
    tokenizer: PreTrainedTokenizerBase,
    size: WindowSize,
) -> Windows:
    """Cut every example into windows. Needs all its texts in `texts`, of the same tokenizer.

    A context that does not fit beside its question goes into several windows, each sharing
    `size.stride` tokens with the one before. Raises SettingsError where that cannot be.
    """
    template = pair_template(tokenizer)
    check_window_size(size, template)
    question_row = texts.rows(example.question for example in examples)
    context_row = texts.rows(example.context for example in examples)
    question_tokens = np.minimum(texts.lengths[question_row], size.max_question_tokens)
    room = size.max_length - template.special_tokens - question_tokens
    example, start, stop = _cut(texts.lengths[context_row], room, size.stride)
    # one slot is the question's own; every other one before the context is one token
    position = template.context - 1 + question_tokens[example]
    first, last = _gold_tokens(examples, texts, context_row)
    held = (start <= first[example]) & (first[example] <= last[example]) & (last[example] < stop)
    shift = position - start
    languages = [(one.question_language, one.context_language) for one in examples]
    return Windows(
        examples=examples,
        texts=texts,
        template=template,
        example=example,
        question_row=question_row[example],
        question_tokens=question_tokens[example],
        context_row=context_row[example],
        context_position=position,
        context_start=start,
        context_stop=stop,
        start_target=np.where(held, first[example] + shift, 0),
        end_target=np.where(held, last[example] + shift, 0),
        has_answer=held,
        question=_codes(example.id for example in examples)[example],
        pairs=list(dict.fromkeys(languages)),
        pair=_codes(languages)[example],
        lengths=template.special_tokens + question_tokens[example] + stop - start,
    )


def _cut(
    lengths: np.ndarray, room: np.ndarray, stride: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each window the index of its context, and where it starts and stops in that context."""
    step = room - stride
    windows = 1 + np.maximum(0, -((room - lengths) // step))  # the last one reaches the end
    example = np.repeat(np.arange(len(lengths)), windows)
    rank = np.arange(len(example)) - np.repeat(np.cumsum(windows) - windows, windows)
    start = rank * step[example]
    return example, start, np.minimum(start + room[example], lengths[example])


def _gold_tokens(
    examples: Sequence[Example], texts: TokenizedTexts, context_row: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """First and last token, in its context, of each example's first gold answer; 0, -1 for none.

    The first token that ends behind the answer's first character, the last one that starts before
    its end. Normalising may put a letter's marks in another order than the text has them, so the
    running maximum of the ends (minimum of the starts) is what is searched.
    """
    golds = [example.answers[0] if example.answers else None for example in examples]
    start = np.array([gold.start if gold else 0 for gold in golds], np.int64)
    stop = start + [len(gold.text) if gold else 0 for gold in golds]
    reach = 1 + max(texts.flat_ends.max(initial=0), stop.max(initial=0))  # characters of a text
    base = np.repeat(np.arange(len(texts)) * reach, texts.lengths)  # sorts the texts one by one
    ends = np.maximum.accumulate(base + texts.flat_ends)
    starts = np.minimum.accumulate((base + texts.flat_starts)[::-1])[::-1]
    first = np.searchsorted(ends, context_row * reach + start, side="right")
    last = np.searchsorted(starts, context_row * reach + stop, side="left") - 1
    offset, blank = texts.offsets[context_row], start == stop
    return np.where(blank, 0, first - offset), np.where(blank, ABSENT, last - offset)


def _codes(names: Iterable[Hashable]) -> np.ndarray:
    """Numbers that are equal where the names are, counted in the order of appearance; int64."""
    codes: dict[Hashable, int] = {}
    return np.array([codes.setdefault(name, len(codes)) for name in names], np.int64)
