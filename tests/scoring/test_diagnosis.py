"""Gaps worked by hand."""

import pytest

from xmrc.scoring.diagnosis import diagnose, in_words
from xmrc.scoring.predictions import ExampleScore


def scored(pair, ranks):
    question, context = pair.split("-")
    return [
        ExampleScore(f"q{k}", question, context, 0, float(rank == 1), 0, 0, rank, 1, None)
        for k, rank in enumerate(ranks)
    ]


def test_a_gap_is_what_most_wrong_answers_lack():
    gaps = diagnose(
        scored("en-de", [1, 1, 1, 1, 1, 1, None, None, None, 2])
        + scored("en-zh", [None, 5, 20, 1])
        + scored("de-de", [1, 1])
        + scored("de-en", [1, 3, None, 1])  # as many of each
    )
    assert [(gap.question_language, gap.context_language, gap.n) for gap in gaps] == [
        ("en", "de", 10),
        ("en", "zh", 4),
        ("de", "de", 2),
        ("de", "en", 4),
    ]
    shares = [(gap.first, gap.behind, gap.absent) for gap in gaps]
    assert shares == [(60, 10, 30), (25, 50, 25), (100, 0, 0), (50, 25, 25)]
    kinds = ["recall-limited", "ranking-limited", "no gap", "ranking-limited"]
    assert [gap.kind for gap in gaps] == kinds


def test_in_words():
    gaps = diagnose(scored("en-de", [1, None]) + scored("en-zh", [2]) + scored("en-en", [1]))
    recall, ranking, solved = in_words(gaps)
    assert recall.startswith("recall-limited in 1 of 3 language pairs: ")
    assert recall.endswith("; most in en-de (50 % absent)")
    assert "hl" in recall
    assert ranking.startswith("ranking-limited in 1 of 3 language pairs: ")
    assert ranking.endswith("; most in en-zh (100 % behind)")
    assert "AA-CL" in ranking
    assert "distillation" in ranking
    assert solved == "no gap in 1 of 3 language pairs: every first answer is right"


@pytest.mark.parametrize(("pairs", "more"), [(5, ""), (8, " and 3 more")])
def test_the_widest_gaps_are_named(pairs, more):
    languages = ["ar", "de", "es", "hi", "vi", "zh", "en", "ko"][:pairs]
    scores = []
    for number, language in enumerate(languages):
        scores += scored(f"en-{language}", [None] * (number + 1) + [1] * 9)
    (line,) = in_words(diagnose(scores))
    named = [f"en-{language}" for language in languages[::-1][:5]]
    assert [word for word in line.split() if word.startswith("en-")] == named
    assert line.endswith(")" + more)
