"""Gaps worked by hand."""

import pytest
from gxlt_scores import scored_row

from xmrc.scoring.predictions import scored_frame
from xmrc.scoring.score_tables import diagnose, in_words


def scored(ranks):
    """Examples by language pair, of which only the ranks count."""
    return scored_frame(
        scored_row(f"q{k}", pair, rank=rank)
        for pair, these in ranks.items()
        for k, rank in enumerate(these)
    )


def test_a_gap_is_what_most_wrong_answers_lack():
    ranks = {
        "en-de": [1, 1, 1, 1, 1, 1, None, None, None, 2],
        "en-zh": [None, 5, 20, 1],
        "de-de": [1, 1],
        "de-en": [1, 3, None, 1],  # as many of each
    }
    gaps = diagnose(scored(ranks))
    assert list(gaps.itertuples(index=False, name=None)) == [
        ("en", "de", 10, 60, 10, 30, "recall-limited"),
        ("en", "zh", 4, 25, 50, 25, "ranking-limited"),
        ("de", "de", 2, 100, 0, 0, "no gap"),
        ("de", "en", 4, 50, 25, 25, "ranking-limited"),
    ]
    shares = ["n", "first", "behind", "absent"]
    assert list(gaps) == ["question_language", "context_language", *shares, "gap"]


def test_in_words():
    gaps = diagnose(scored({"en-de": [1, None], "en-zh": [2], "en-en": [1]}))
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
    ranks = {
        f"en-{language}": [None] * (number + 1) + [1] * 9
        for number, language in enumerate(languages)
    }
    (line,) = in_words(diagnose(scored(ranks)))
    named = [f"en-{language}" for language in languages[::-1][:5]]
    assert [word for word in line.split() if word.startswith("en-")] == named
    assert line.endswith(")" + more)
