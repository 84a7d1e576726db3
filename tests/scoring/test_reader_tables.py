"""What readers score and how they differ, as people see it."""

import math

import pandas as pd
from gxlt_scores import gxlt_scores

from xmrc.scoring.reader_tables import gxlt_table, language_table, macro_table, pair_table
from xmrc.scoring.statistics import Comparison

SIGNIFICANT = "* significant after Holm's correction"
SCORES = gxlt_scores(
    {"en-en": (80.04, 60.0, 5), "en-de": (40.0, 20.0, 3), "de-de": (70.0, 50.0, 2)}
)


def difference(metric, scope, name, second, p, p_holm, low=-0.5, high=2.25):
    return {
        **{"metric": metric, "scope": scope, "name": name, "first": 50.0, "second": second},
        **{"difference": second - 50.0, "low": low, "high": high},
        **{"p": p, "p_holm": p_holm, "significant": p_holm < 0.05},
    }


def comparison(p):
    rows = pd.DataFrame(
        [
            difference("f1", "gxlt", "", 51.0, p, p),
            difference("em", "gxlt", "", 49.0, 0.0001, 0.0001),
            difference("f1", "question", "en", 51.0, 0.2, 0.4),
            difference("f1", "question", "de", 50.0, 0.2, 0.4),
            difference("f1", "context", "en", 51.0, 0.2, 0.4, math.nan, math.nan),
            difference("f1", "context", "de", 55.0, 0.01, 0.02),
            difference("f1", "pair", "en-en", 51.26, 0.2, 0.6),
            difference("f1", "pair", "en-de", 55.0, 0.01, 0.03),
            difference("f1", "pair", "de-en", 49.0, 0.3, 0.6),
        ]
    )
    return Comparison("question ids", (9, 9), rows, {})


def test_macro_scores_correct_for_the_runs_that_are_compared():
    table = macro_table("A", {"B": comparison(0.03), "C": comparison(0.012)})
    interval = "-0.50 to +2.25"
    assert (table.title, table.caption) == ("against A", SIGNIFICANT)
    assert table.headings == [
        "score", "A", "run", "its score", "difference", "95 % interval", "p", "p (Holm)",
    ]  # fmt: skip
    assert table.texts == [
        ["gxlt_f1", "50.0", "B", "51.0", "+1.00*", interval, "0.030", "0.030"],
        ["gxlt_f1", "50.0", "C", "51.0", "+1.00*", interval, "0.012", "0.024"],
        ["gxlt_em", "50.0", "B", "49.0", "-1.00*", interval, "< 0.001", "< 0.001"],
        ["gxlt_em", "50.0", "C", "49.0", "-1.00*", interval, "< 0.001", "< 0.001"],
    ]
    assert table.begins_section == [True, False, True, False]
    table = macro_table("A", {"B": comparison(0.03), "C": comparison(0.04)})
    assert [row[4] for row in table.texts[:2]] == ["+1.00 ", "+1.00 "]  # 0.06 when corrected


def test_languages():
    table = language_table(comparison(0.1), "f1", "A", "B")
    assert (table.title, table.caption) == ("B less A", SIGNIFICANT)
    assert table.headings == ["F1", "A", "B", "difference", "95 % interval", "p (Holm)"]
    assert table.texts == [
        ["context en", "50.0", "51.0", "+1.00 ", "–", "0.400"],
        ["context de", "50.0", "55.0", "+5.00*", "-0.50 to +2.25", "0.020"],
        ["question en", "50.0", "51.0", "+1.00 ", "-0.50 to +2.25", "0.400"],
        ["question de", "50.0", "50.0", "+0.00 ", "-0.50 to +2.25", "0.400"],
    ]
    assert table.begins_section == [True, False, True, False]


def test_pairs():
    table = pair_table(comparison(0.1), "f1", "A", "B")
    assert (table.title, table.caption) == ("B less A", f"{SIGNIFICANT}: 1 of 3 pairs")
    assert table.headings == ["F1", "en", "de"]
    assert table.texts == [["en", "+1.3 ", "+5.0*"], ["de", "-1.0 ", "–"]]


def test_the_gxlt_table_has_means_in_its_margins_and_a_strong_diagonal():
    table = gxlt_table(SCORES, title="base")
    assert (table.title, table.caption) == ("base", "rows: question, columns: context")
    assert table.headings == ["F1", "en", "de", "mean"]
    assert table.texts == [
        ["en", "80.0", "40.0", "60.0"],
        ["de", "–", "70.0", "70.0"],
        ["mean", "80.0", "55.0", "63.3"],
    ]
    strong = {cell.text for row in table.cells for cell in row if cell.strong}
    assert strong == {"80.0", "70.0", "63.3"}
    assert table.begins_section == [True, False, True]


def test_the_gxlt_table_of_exact_match():
    table = gxlt_table(SCORES, "em")
    assert (table.headings[0], table.texts[0]) == ("EM", ["en", "60.0", "20.0", "40.0"])
