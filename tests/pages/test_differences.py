"""The tables of a comparison as a terminal without colours shows them."""

import io
import math

from rich.console import Console

from xmrc.pages.differences import language_table, macro_table, pair_table
from xmrc.scoring.statistics import Comparison, Difference


def difference(metric, scope, name, second, p, p_holm, low=-0.5, high=2.25):
    return Difference(metric, scope, name, 50.0, second, low, high, p, p_holm)


def comparison(p):
    return Comparison(
        "question ids",
        (9, 9),
        (
            difference("f1", "gxlt", "", 51.0, p, p),
            difference("em", "gxlt", "", 49.0, 0.0001, 0.0001),
            difference("f1", "question", "en", 51.0, 0.2, 0.4),
            difference("f1", "question", "de", 50.0, 0.2, 0.4),
            difference("f1", "context", "en", 51.0, 0.2, 0.4, math.nan, math.nan),
            difference("f1", "context", "de", 55.0, 0.01, 0.02),
            difference("f1", "pair", "en-en", 51.26, 0.2, 0.6),
            difference("f1", "pair", "en-de", 55.0, 0.01, 0.03),
            difference("f1", "pair", "de-en", 49.0, 0.3, 0.6),
        ),
        {},
    )


def lines(table):
    """The cells of each line of the printed table, its rules left out."""
    out = io.StringIO()
    Console(file=out, width=100).print(table)
    rows = [line.strip("│┃ ") for line in out.getvalue().splitlines()]
    return [
        [cell.strip() for cell in row.replace("┃", "│").split("│")]
        for row in rows
        if row.strip("━─┏┓┡┩╇┳┴├┤┼└┘")
    ]


def test_macro_scores_correct_for_the_runs_that_are_compared():
    table = lines(macro_table("A", {"B": comparison(0.03), "C": comparison(0.012)}))
    interval = "-0.50 to +2.25"
    assert table[1:] == [
        ["score", "A", "run", "its score", "difference", "95 % interval", "p", "p (Holm)"],
        ["gxlt_f1", "50.0", "B", "51.0", "+1.00*", interval, "0.030", "0.030"],
        ["gxlt_f1", "50.0", "C", "51.0", "+1.00*", interval, "0.012", "0.024"],
        ["gxlt_em", "50.0", "B", "49.0", "-1.00*", interval, "< 0.001", "< 0.001"],
        ["gxlt_em", "50.0", "C", "49.0", "-1.00*", interval, "< 0.001", "< 0.001"],
        ["* significant after Holm's correction"],
    ]
    table = lines(macro_table("A", {"B": comparison(0.03), "C": comparison(0.04)}))
    assert [row[4] for row in table[2:4]] == ["+1.00", "+1.00"]  # 0.06 after the correction


def test_languages():
    assert lines(language_table(comparison(0.1), "f1", "A", "B")) == [
        ["B less A"],
        ["F1", "A", "B", "difference", "95 % interval", "p (Holm)"],
        ["context en", "50.0", "51.0", "+1.00", "–", "0.400"],
        ["context de", "50.0", "55.0", "+5.00*", "-0.50 to +2.25", "0.020"],
        ["question en", "50.0", "51.0", "+1.00", "-0.50 to +2.25", "0.400"],
        ["question de", "50.0", "50.0", "+0.00", "-0.50 to +2.25", "0.400"],
        ["* significant after Holm's correction"],
    ]


def test_pairs():
    table = lines(pair_table(comparison(0.1), "f1", "A", "B"))
    assert table[:4] == [
        ["B less A"],
        ["F1", "en", "de"],
        ["en", "+1.3", "+5.0*"],
        ["de", "-1.0", "–"],
    ]
    caption = " ".join(word for row in table[4:] for word in row)
    assert caption == "* significant after Holm's correction: 1 of 3 pairs"
