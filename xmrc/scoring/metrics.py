"""Exact match and F1 of an answer. In: texts and a language. Out: 0 to 1.

The rules are those of MLQA's evaluation script, version 1 (Lewis et al. 2020, arXiv 1910.07475), in
its order: lower case, punctuation, articles of the context's language, white space. Every string
scores as it does there. A language that MLQA does not have keeps its articles.
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache


class _Translation(dict[int, str | None]):
    """What becomes of a character, looked up when it is first met.

    Category P of every plane goes, and the ASCII symbols $ + < = > ^ ` | ~, which Unicode does not
    call punctuation. Other symbols stay: a euro sign is part of the answer.
    """

    def __missing__(self, code: int) -> str | None:
        one = chr(code)
        dropped = unicodedata.category(one).startswith("P") or one in string.punctuation
        return self.setdefault(code, None if dropped else one)


_WITHOUT_PUNCTUATION = _Translation()


def _whole_words(words: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(words.split())})\b")


# `\b` is Python's: a combining mark, such as a decomposed Vietnamese accent, ends a word.
_ARTICLES = {
    "en": _whole_words("a an the"),
    "es": _whole_words("un una unos unas el la los las"),
    "de": _whole_words("ein eine einen einem eines einer der die das den dem des"),
    "vi": _whole_words("của là cái chiếc những"),
    # The script has `\sال^|ال`. Its first branch asks for the start of the text after a character,
    # which never is, so the article goes wherever its letters stand, inside words too.
    "ar": re.compile("ال"),
}
_SEGMENT = {  # every ideograph of this range is a token of its own
    "zh": {code: f" {chr(code)} " for code in range(0x4E00, 0x9FA5 + 1)}
}


@lru_cache(maxsize=1 << 17)
def normalise(text: str, language: str) -> str:
    """The text in lower case, without punctuation and articles, its tokens one space apart."""
    text = text.lower().translate(_WITHOUT_PUNCTUATION)
    if language in _ARTICLES:
        text = _ARTICLES[language].sub(" ", text)
    if language in _SEGMENT:
        text = text.translate(_SEGMENT[language])
    return " ".join(text.split())


def exact_match(prediction: str, golds: Sequence[str], language: str) -> float:
    """1.0 if the prediction equals one of the golds after normalising, else 0.0. Both empty: 1.0.

    `language` is the context's. Raises `ValueError` where there is no gold answer.
    """
    _require(golds)
    answer = normalise(prediction, language)
    return float(any(answer == normalise(gold, language) for gold in golds))


def f1(prediction: str, golds: Sequence[str], language: str) -> float:
    """The best F1 of the prediction's bag of tokens over the golds. No token in common: 0.0.

    `language` is the context's. Raises `ValueError` where there is no gold answer.
    """
    _require(golds)
    answer = normalise(prediction, language)
    return max(_token_f1(answer, normalise(gold, language)) for gold in golds)


def squad_em(prediction: str, golds: Sequence[str]) -> float:
    """`exact_match` with English articles in every language, as XQuAD and TyDiQA are scored."""
    return exact_match(prediction, golds, "en")


def squad_f1(prediction: str, golds: Sequence[str]) -> float:
    """`f1` with English articles in every language, as XQuAD and TyDiQA are scored."""
    return f1(prediction, golds, "en")


def _require(golds: Sequence[str]) -> None:
    if not golds:
        raise ValueError("a score needs at least one gold answer, got none")


def _token_f1(answer: str, gold: str) -> float:
    """F1 of two normalised texts, with the script's own arithmetic, so that no bit differs."""
    answer_tokens, gold_tokens = answer.split(), gold.split()
    same = sum((Counter(answer_tokens) & Counter(gold_tokens)).values())
    if same == 0:
        return 0.0
    precision = same / len(answer_tokens)
    recall = same / len(gold_tokens)
    return (2 * precision * recall) / (precision + recall)
