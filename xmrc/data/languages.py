"""Languages by ISO 639-1 code. In: a file's name. Out: the languages of its questions, contexts."""

import re

from xmrc.errors import DataError

# The languages of the corpora in the catalogue, of their translations and of others like them.
# Codes that are everyday words of file names (my, no, is) are left out: such a file needs ":my".
LANGUAGES = {
    "ar": "arabic",
    "bg": "bulgarian",
    "bn": "bengali",
    "ca": "catalan",
    "cs": "czech",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "et": "estonian",
    "eu": "basque",
    "fa": "persian",
    "fi": "finnish",
    "fr": "french",
    "gl": "galician",
    "he": "hebrew",
    "hi": "hindi",
    "hr": "croatian",
    "hu": "hungarian",
    "id": "indonesian",
    "it": "italian",
    "ja": "japanese",
    "ka": "georgian",
    "ko": "korean",
    "nl": "dutch",
    "pl": "polish",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sv": "swedish",
    "sw": "swahili",
    "ta": "tamil",
    "te": "telugu",
    "th": "thai",
    "tl": "tagalog",
    "tr": "turkish",
    "uk": "ukrainian",
    "ur": "urdu",
    "vi": "vietnamese",
    "yo": "yoruba",
    "zh": "chinese",
}
_CODES = {name: code for code, name in LANGUAGES.items()}

_EXPLICIT = re.compile(r"(?P<path>.+):(?P<question>[a-z]{2,3})(?:-(?P<context>[a-z]{2,3}))?")
_MLQA_NAME = re.compile(
    r"context-(?P<context>[a-z]{2,3})-question-(?P<question>[a-z]{2,3})(?![a-z])"
)
_TRANSLATION = re.compile(rf"(?<![a-z])(?:{'|'.join(LANGUAGES)})-({'|'.join(LANGUAGES)})(?![a-z])")


def split_explicit(name: str) -> tuple[str, tuple[str, str] | None]:
    """Split "qa.json:de" or "qa.json:en-de" (question-context) into the path and the languages."""
    match = _EXPLICIT.fullmatch(name)
    if match is None:
        return name, None
    question = match["question"]
    return match["path"], (question, match["context"] or question)


def languages_of_file(file_name: str) -> tuple[str, str]:
    """The (question, context) languages that a file's name states.

    By the first rule that fits: MLQA's context-de-question-en; a translation's en-de, whose target
    counts; the one language code or English name among the words of the name (xquad.de.json,
    tydiqa-goldp-dev-korean.json). DataError if there is none, or more than one.
    """
    name = file_name.lower()
    if match := _MLQA_NAME.search(name):
        return match["question"], match["context"]
    words = _TRANSLATION.findall(name) or re.split(r"[^a-z]+", name)
    found = [_CODES.get(word, word) for word in words if word in LANGUAGES or word in _CODES]
    if len(set(found)) != 1:
        raise DataError(
            f"{file_name}: the name must state one language, as qa.de.json does; it states "
            f"{', '.join(dict.fromkeys(found)) or 'none'}: write {file_name}:de, or, for questions "
            f"in en over contexts in de, {file_name}:en-de"
        )
    return found[0], found[0]


def language_of_id(question_id: str, source: str) -> str:
    """The language that begins a TyDiQA question id, such as "korean-3543942044825767374-0"."""
    name = question_id.partition("-")[0]
    if name not in _CODES:
        raise DataError(
            f"{source}: a question id must begin with its language, as korean-354-0 does, "
            f"not {question_id!r}"
        )
    return _CODES[name]
