"""The characters that tokens stand for. In: windows. Out: windows whose spans are answers.

The tokens of byte-level and Unigram tokenizers may own the white space before a word, be nothing
but white space, or share one character with the next token. An answer begins and ends on a
character that is no white space, and two spans of the same characters are one answer.
"""

from dataclasses import replace

import numpy as np

from xmrc.data.features import TokenizedTexts, Windows


def without_space(windows: Windows) -> Windows:
    """The same windows, the tokens of their contexts without the white space around them.

    A token that is nothing else starts at the next character that is none, and ends at the last.
    """
    texts = windows.texts
    starts, ends = texts.flat_starts.copy(), texts.flat_ends.copy()
    rows, first = np.unique(windows.context_row, return_index=True)
    for row, window in zip(rows.tolist(), first.tolist(), strict=True):
        context = windows.examples[windows.example[window]].context
        tokens = slice(texts.offsets[row], texts.offsets[row + 1])
        starts[tokens], ends[tokens] = _trimmed(context, starts[tokens], ends[tokens])
    return replace(windows, texts=texts.with_characters(starts, ends))


def _trimmed(context: str, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    blank = np.fromiter(map(str.isspace, context), bool, len(context))
    place = np.arange(len(context))
    following = np.minimum.accumulate(np.where(blank, len(context), place)[::-1])[::-1]
    preceding = np.maximum.accumulate(np.where(blank, 0, place + 1))
    return np.append(following, len(context))[starts], np.append(0, preceding)[ends]


def spans_to_find(windows: Windows, n_best: int) -> np.ndarray:
    """For each window so many of its best token spans that `n_best` answers are among them.

    `windows` come from `without_space`. Of a window with fewer answers: at least all its spans.
    """
    texts = windows.texts
    alike = _most_alike(texts, texts.flat_starts) * _most_alike(texts, texts.flat_ends)
    most = 1 + (n_best - 1 + _blanks(texts)) * alike
    return most[windows.context_row]


def _most_alike(texts: TokenizedTexts, flat: np.ndarray) -> np.ndarray:
    """For each text the most of its tokens that have the same value of `flat`."""
    values, counts = np.unique(_in_texts(texts, flat), return_counts=True)
    most = np.ones(len(texts), np.int64)
    np.maximum.at(most, values // _reach(texts), counts)
    return most


def _blanks(texts: TokenizedTexts) -> np.ndarray:
    """For each text the number of places with tokens of no character."""
    blank = texts.flat_starts >= texts.flat_ends
    places = np.unique(_in_texts(texts, texts.flat_starts)[blank])
    return np.bincount(places // _reach(texts), minlength=len(texts))


def _in_texts(texts: TokenizedTexts, flat: np.ndarray) -> np.ndarray:
    """`flat` as places among all characters of all texts."""
    return np.repeat(np.arange(len(texts)) * _reach(texts), texts.lengths) + flat


def _reach(texts: TokenizedTexts) -> int:
    """More than the characters of any text."""
    return 1 + int(max(texts.flat_starts.max(initial=0), texts.flat_ends.max(initial=0)))
