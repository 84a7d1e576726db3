"""Cross-lingual sampling. In: parallel questions, ntl, a seed. Out: examples of language pairs."""

import hashlib
from collections.abc import Sequence
from itertools import product

from xmrc.data.alignment import ParallelQuestion
from xmrc.data.examples import Example
from xmrc.errors import DataError
from xmrc.settings import DataSettings


def sampled_languages(data: DataSettings) -> Sequence[str]:
    """The source alone at ntl 0, all languages above it and where nothing is sampled."""
    source_alone = data.sampling == "pairs" and data.ntl == 0
    return [data.source_language] if source_alone else data.languages


def sample_pairs(
    questions: Sequence[ParallelQuestion], *, source_language: str, ntl: int, seed: int
) -> list[Example]:
    """Cross-lingual sampling (Carrino et al. 2023, arXiv 2309.17134, eq. 3).

    Each question draws `ntl` target languages without replacement, adds the source language, and
    gives every (question, context) pair of those: N (1 + ntl)^2 examples, in the order of the
    questions, source language first. `ntl` at or above the number of targets takes all, 0 the
    source language alone. A draw depends on the seed, the question's id and its languages alone,
    and a smaller ntl draws a subset.

    Raises DataError if a question lacks the source language.
    """
    assert ntl >= 0, ntl
    examples = []
    for question in questions:
        if source_language not in question.by_language:
            raise DataError(
                f"question {question.id!r} is not in the source language {source_language!r}"
            )
        languages = [source_language, *_draw(question, source_language, ntl, seed)]
        examples += [question.pair(asked, read) for asked, read in product(languages, repeat=2)]
    return examples


def _draw(question: ParallelQuestion, source_language: str, ntl: int, seed: int) -> list[str]:
    """The `ntl` targets of lowest hash: a uniform draw whose order does not depend on ntl."""
    targets = [language for language in question.by_language if language != source_language]
    return sorted(targets, key=lambda language: _hash(seed, question.id, language))[:ntl]


def _hash(seed: int, question_id: str, language: str) -> bytes:
    # no language has a NUL in it, so that no two draws hash the same text
    return hashlib.blake2b(f"{seed}\0{language}\0{question_id}".encode(), digest_size=16).digest()
