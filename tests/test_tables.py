"""The tables as a terminal without colours shows them."""

import io

from rich.console import Console

from xmrc.scoring.gxlt import PairScore, Scores
from xmrc.tables import gxlt_table

SCORES = Scores(
    ("en", "de"),
    ("en", "de"),
    {
        "en-en": PairScore(80.04, 60.0, 5),
        "en-de": PairScore(40.0, 20.0, 3),
        "de-de": PairScore(70.0, 50.0, 2),
    },
    {},
)


def words(table):
    """The words of each line of the printed table, its rules left out."""
    out = io.StringIO()
    Console(file=out, width=80).print(table)
    lines = [
        "".join(c if c.isprintable() and not "─" <= c <= "╿" else " " for c in line)
        for line in out.getvalue().splitlines()
    ]
    return [line.split() for line in lines if line.strip()]


def test_gxlt_table():
    assert words(gxlt_table(SCORES, title="base")) == [
        ["base"],
        ["F1", "en", "de", "mean"],
        ["en", "80.0", "40.0", "60.0"],
        ["de", "–", "70.0", "70.0"],
        ["mean", "80.0", "55.0", "63.3"],
        ["rows:", "question,", "columns:"],  # the caption, as wide as the table
        ["context"],
    ]


def test_gxlt_table_of_exact_match():
    assert words(gxlt_table(SCORES, "em"))[:2] == [
        ["EM", "en", "de", "mean"],
        ["en", "60.0", "20.0", "40.0"],
    ]
