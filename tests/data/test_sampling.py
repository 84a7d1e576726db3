"""Cross-lingual sampling: how many, which, and that nothing but the seed and the id decides."""

import os
import subprocess
import sys
from collections import Counter
from math import comb
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmrc.data.alignment import ParallelQuestion, align
from xmrc.data.corpora import load_corpus
from xmrc.data.examples import Answer, Example
from xmrc.data.sampling import sample_pairs
from xmrc.errors import DataError

LANGUAGES = ["en", "es", "de", "ar", "vi", "hi", "zh"]


def parallel(id: str, languages: list[str] = LANGUAGES) -> ParallelQuestion:
    return ParallelQuestion(
        id,
        {
            language: Example(
                id, f"q {language}", f"c {language}", (Answer("c", 0),), language, language
            )
            for language in languages
        },
    )


def pairs(ids: list[str], ntl: int, seed: int = 0, languages: list[str] = LANGUAGES) -> set[tuple]:
    questions = [parallel(id, languages) for id in ids]
    examples = sample_pairs(questions, source_language="en", ntl=ntl, seed=seed)
    triples = {(each.id, each.question_language, each.context_language) for each in examples}
    assert len(triples) == len(examples)
    return triples


ids_of_questions = st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=8, unique=True)


@given(ids=ids_of_questions, ntl=st.integers(0, 9), seed=st.integers(0, 2**32))
def test_every_question_gives_the_square_of_its_languages(
    ids: list[str], ntl: int, seed: int
) -> None:
    drawn = pairs(ids, ntl, seed)
    for id in ids:
        of_question = [(asked, read) for other, asked, read in drawn if other == id]
        languages = {asked for asked, _ in of_question}
        assert "en" in languages
        assert len(languages) == 1 + min(ntl, len(LANGUAGES) - 1)
        assert set(of_question) == {(asked, read) for asked in languages for read in languages}


@given(ids=ids_of_questions, fewer=st.integers(0, 6), more=st.integers(0, 6), seed=st.integers())
def test_a_smaller_ntl_draws_a_subset(ids: list[str], fewer: int, more: int, seed: int) -> None:
    fewer, more = sorted((fewer, more))
    assert pairs(ids, fewer, seed) <= pairs(ids, more, seed)


@given(ids=ids_of_questions, ntl=st.integers(0, 6), seed=st.integers(), data=st.data())
def test_a_draw_depends_on_the_seed_and_the_id_alone(
    ids: list[str], ntl: int, seed: int, data: st.DataObject
) -> None:
    languages = data.draw(st.permutations(LANGUAGES))
    alone = set().union(*(pairs([id], ntl, seed, languages) for id in reversed(ids)))
    assert pairs(ids, ntl, seed) == alone


def test_no_targets_is_the_source_language_alone() -> None:
    assert pairs(["a", "b"], 0) == {("a", "en", "en"), ("b", "en", "en")}


def test_another_seed_draws_others() -> None:
    ids = [str(i) for i in range(50)]
    assert pairs(ids, 3, seed=1) != pairs(ids, 3, seed=2)


def test_every_set_of_targets_is_equally_likely() -> None:
    questions = [parallel(str(i)) for i in range(6000)]
    examples = sample_pairs(questions, source_language="en", ntl=3, seed=0)
    targets: dict[str, set[str]] = {}
    for each in examples:
        targets.setdefault(each.id, set()).add(each.question_language)
    counts = Counter(frozenset(languages) for languages in targets.values())
    assert len(counts) == comb(6, 3)
    expected = 6000 / 20
    chi_squared = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi_squared < 43.8  # 19 degrees of freedom, p = 0.001


def test_takes_the_question_from_one_language_and_the_rest_from_the_other() -> None:
    examples = sample_pairs([parallel("a", ["en", "de"])], source_language="en", ntl=1, seed=0)
    assert [(e.question, e.context, e.question_language, e.context_language) for e in examples] == [
        ("q en", "c en", "en", "en"),
        ("q en", "c de", "en", "de"),
        ("q de", "c en", "de", "en"),
        ("q de", "c de", "de", "de"),
    ]


def test_refuses_a_question_without_the_source_language() -> None:
    with pytest.raises(DataError, match="question 'a' is not in the source language 'en'"):
        pairs(["a"], 1, languages=["de", "es"])


SAMPLE = """
from xmrc.data.alignment import align
from xmrc.data.corpora import load_corpus
from xmrc.data.sampling import sample_pairs
corpus = load_corpus("demo/dev", root=None, languages=None, limit=20)
questions = align(corpus.name, corpus.examples, corpus.context_languages)
for each in sample_pairs(questions, source_language="en", ntl=2, seed=7):
    print(each.id, each.question_language, each.context_language)
"""


def test_is_the_same_under_any_hash_seed() -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-c", SAMPLE],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for hash_seed in ("0", "1", "4711")
    }
    assert len(outputs) == 1
    assert len(outputs.pop().splitlines()) == 20 * 9


def test_draws_are_those_of_every_machine() -> None:
    """Values that were drawn once: a change would make earlier studies another sample."""
    drawn = {(asked, read) for _, asked, read in pairs(["56beb4343aeaaa14008c925b"], 2, seed=3)}
    assert {asked for asked, _ in drawn} == {"en", "vi", "zh"}


@pytest.mark.skipif("XMRC_DATA" not in os.environ, reason="needs XQuAD below XMRC_DATA")
@pytest.mark.parametrize(("ntl", "count"), [(0, 1190), (3, 19040), (5, 42840), (6, 58310)])
def test_xquad_gives_the_numbers_of_the_paper(ntl: int, count: int) -> None:
    root = Path(os.environ["XMRC_DATA"])
    corpus = load_corpus("xquad", root=root, languages=LANGUAGES, limit=None)
    questions = align("xquad", corpus.examples, LANGUAGES)
    assert len(sample_pairs(questions, source_language="en", ntl=ntl, seed=0)) == count
