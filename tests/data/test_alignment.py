"""Joining questions by id, and what is said where they do not join."""

import pytest

from xmrc.data.alignment import align
from xmrc.data.examples import Answer, Example
from xmrc.errors import DataError


def example(id: str, language: str, context_language: str | None = None) -> Example:
    context_language = context_language or language
    return Example(
        id,
        f"question {id} {language}",
        f"context {id} {context_language}",
        (Answer(f"{id} {context_language}", 8),),
        language,
        context_language,
    )


def corpus(ids: str, languages: list[str]) -> list[Example]:
    return [example(id, language) for language in languages for id in ids]


def refusal(examples: list[Example], languages: list[str]) -> str:
    with pytest.raises(DataError) as caught:
        align("my/corpus", examples, languages)
    assert "\n" not in str(caught.value)
    assert "'my/corpus'" in str(caught.value)
    return str(caught.value)


def test_joins_in_the_order_of_ids_whatever_the_order_of_the_examples() -> None:
    examples = corpus("bca", ["en", "de", "zh"])
    questions = align("x", examples, ["de", "en"])
    assert [each.id for each in questions] == ["a", "b", "c"]
    assert [list(each.by_language) for each in questions] == [["de", "en"]] * 3
    assert align("x", examples[::-1], ["de", "en"]) == questions


def test_a_pair_has_the_question_of_one_and_the_context_and_answers_of_the_other() -> None:
    (question,) = align("x", corpus("a", ["en", "de"]), ["en", "de"])
    assert question.pair("en", "de") == example("a", "en", "de")
    assert question.pair("de", "en") == example("a", "de", "en")
    assert question.pair("en", "en") == example("a", "en")


def test_leaves_out_examples_across_two_languages() -> None:
    crossed = [example("a", "en", "de"), example("a", "de", "en")]
    assert align("x", crossed + corpus("a", ["en", "de"]), ["en", "de"]) == align(
        "x", corpus("a", ["en", "de"]), ["en", "de"]
    )


def test_a_single_language_needs_no_partner() -> None:
    assert len(align("x", corpus("abc", ["en"]), ["en"])) == 3


def test_counts_the_ids_that_lack_a_language() -> None:
    examples = corpus("abcd", ["en"]) + corpus("ad", ["de"]) + corpus("acd", ["zh"])
    assert refusal(examples, ["en", "de", "zh"]).endswith(
        "is not aligned over en, de, zh: 2 of 4 question ids lack a language, "
        "first 'b' (not in de, zh)"
    )


def test_names_a_corpus_that_is_not_parallel() -> None:
    examples = corpus("ab", ["en"]) + corpus("cd", ["ko"])
    assert "is not parallel: no question id is shared" in refusal(examples, ["en", "ko"])


def test_names_a_language_without_questions() -> None:
    assert refusal(corpus("ab", ["en"]), ["en", "fi"]).endswith(
        "has no question and context in 'fi'"
    )
    assert "'de'" in refusal([example("a", "en", "de"), example("a", "en")], ["en", "de"])


def test_refuses_an_id_twice_in_a_language() -> None:
    assert "'a' stands twice in 'de'" in refusal(corpus("aba", ["de"]), ["de"])
