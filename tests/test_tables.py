"""One table as terminal, CSV, Markdown, LaTeX and HTML have it."""

import csv
import html
import io
import re
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from rich.console import Console

from xmrc.tables import (
    Column,
    Table,
    as_csv,
    as_html,
    as_latex,
    as_markdown,
    as_terminal,
    frame_of,
    write_csv,
)

LONG = "a context that is longer than forty characters"
ROWS = [
    {"run": "A", "name": "x <i>", "score": 1 / 3, "change": 4.0, "low": -1.5, "high": 2.0, "n": 3},
    {"run": "A", "name": "[red]", "score": 1e-05, "change": -2.0, "low": None, "high": None},
    {"run": "B", "name": LONG, "score": None, "change": 0.04, "low": 0.0, "high": 1.0, "n": 1},
]


@pytest.fixture
def table():
    return Table(
        frame_of(ROWS),
        [
            Column("run", once=True, names_row=True),
            Column("name", "what & where"),
            Column("score", show="{:.3g}"),
            Column("change", show="{:+.1f}", change=True, starred=True),
            Column("low", "95 % interval", "{:.1f} to {:.1f}", more=("high",)),
            Column("n", absent=""),
        ],
        "all of it",
        "0 to 100 %",
        strong={"change": [True, False, True]},
        sections=["A", "A", "B"],
        sorted_by="score",
    )


TEXTS = [
    ["A", "x <i>", "0.333", "+4.0*", "-1.5 to 2.0", "3"],
    ["A", "[red]", "1e-05", "-2.0 ", "–", ""],
    ["B", LONG, "–", "+0.0*", "0.0 to 1.0", "1"],
]


def test_texts_are_what_is_shown(table):
    assert table.texts == TEXTS
    assert table.headings == ["run", "what & where", "score", "change", "95 % interval", "n"]
    assert table.numeric == [False, False, True, True, True, True]
    assert table.begins_section == [True, False, True]


def test_a_frame_alone_is_shown_as_it_is():
    table = Table(frame_of([{"a": 1, "b": "x"}, {"a": None, "b": "y"}]))
    assert (table.headings, table.texts) == (["a", "b"], [["1", "x"], ["–", "y"]])
    assert table.begins_section == [True, False]


def test_truths_and_texts_stand_to_the_left():
    table = Table(frame_of([{"a": True, "b": 1, "c": 1.5}, {"a": False, "b": "map", "c": 2}]))
    assert table.numeric == [False, False, True]


def test_terminal(table):
    shown = as_terminal(table)
    assert (shown.title, shown.caption) == ("all of it", "0 to 100 %")
    assert [column.header for column in shown.columns] == table.headings
    assert [column.justify for column in shown.columns] == ["left"] * 2 + ["right"] * 4
    cells = [[cell.plain for cell in column.cells] for column in shown.columns]
    assert cells[0] == ["A", "", "B"]  # once in a section
    assert list(map(list, zip(*cells[1:], strict=True))) == [row[1:] for row in TEXTS]
    assert [str(cell.style) for cell in shown.columns[3].cells] == ["bold", "", "bold"]
    assert [row.end_section for row in shown.rows] == [False, True, False]


def test_a_terminal_prints_brackets_as_they_are(table):
    out = io.StringIO()
    Console(file=out, width=120).print(as_terminal(table))
    assert "[red]" in out.getvalue()


def test_csv_has_the_whole_frame_and_every_digit(table):
    rows = list(csv.DictReader(io.StringIO(as_csv(table))))
    assert list(rows[0]) == list(ROWS[0])
    assert (float(rows[0]["score"]), rows[0]["n"]) == (1 / 3, "3")
    assert (rows[1]["n"], rows[1]["low"], rows[2]["score"]) == ("", "", "")


def test_markdown(table):
    lines = as_markdown(table).splitlines()
    assert lines[0] == "| run | what & where | score | change | 95 % interval | n |"
    assert lines[1] == "| --- | --- | ---: | ---: | ---: | ---: |"
    assert lines[2] == r"| A | x \<i> | 0.333 | **+4.0\*** | -1.5 to 2.0 | 3 |"
    assert lines[3] == r"| A | \[red\] | 1e-05 | -2.0 | – |  |"


def test_markdown_has_no_more_columns_than_the_table():
    table = Table(frame_of([{"a|b": 1.5, "c": "x|y"}]))
    assert as_markdown(table) == "| a\\|b | c |\n| ---: | --- |\n| 1.5 | x\\|y |\n"


def test_latex(table):
    lines = as_latex(table).splitlines()
    assert r"\caption{all of it: 0 to 100 \%}" in lines
    assert r"\begin{tabular}{llrrrr}" in lines
    assert r"run & what \& where & score & change & 95 \% interval & n \\" in lines
    assert (
        r"A & x \textless{}i\textgreater{} & 0.333 & \textbf{+4.0*} & -1.5 to 2.0 & 3 \\" in lines
    )


def parsed(table):
    return ElementTree.fromstring(re.sub("&(?!amp|lt|gt|quot|#)", "&amp;", str(as_html(table))))


def test_html_has_texts_values_and_classes(table):
    page = parsed(table)
    assert page.find(".//caption").text == "all of it: 0 to 100 %"
    rows = [row.findall("td") for row in page.find(".//tbody")]
    assert [[cell.text or "" for cell in row] for row in rows] == [
        [text.strip("* ").replace("-", "−") for text in TEXTS[0]],
        ["A", "[red]", "1e-05", "−2.0", "–", ""],  # the sign alone is a minus
        [text.strip("* ") for text in TEXTS[2]],
    ]
    assert [float(row[2].get("data-value") or "nan") for row in rows[:2]] == [1 / 3, 1e-05]
    assert rows[2][2].get("data-value") == ""  # sorts last
    assert [row[3].get("class") for row in rows] == ["number gain", "number", "number"]
    assert [row[1].get("class") for row in rows] == [None, None, "long"]
    assert [one.get("aria-sort") for one in page.findall(".//th")][2] == "descending"


def test_changes_without_stars_are_all_coloured():
    changes = [{"change": points} for points in (0.06, 0.04, -0.04, -0.06)]
    table = Table(frame_of(changes), [Column("change", change=True)])
    classes = [cell.get("class") for cell in parsed(table).findall(".//td")]
    assert classes == ["number gain", "number", "number", "number loss"]


def test_html_escapes_what_it_shows():
    text = "<script>alert('x')</script> & \"more\""
    shown = str(as_html(Table(frame_of([{text: text}]), title=text)))
    assert "<script>" not in shown
    assert html.unescape(re.search(r"<td[^>]*>(.*?)</td>", shown)[1]) == text
    assert html.unescape(re.search(r'data-value="(.*?)"', shown)[1]) == text


def test_a_frame_is_written_with_every_digit_and_every_string(tmp_path: Path) -> None:
    frame = pd.DataFrame({"score": [1 / 3, 1e-05, float("nan")]}, [4, 5, 6])
    frame["text"] = pd.Series(["a,b", "x \ud800\ny", ""], frame.index, dtype=object)
    write_csv(tmp_path / "new" / "one.csv", frame)
    with open(tmp_path / "new" / "one.csv", encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [
            ["score", "text"],
            [str(1 / 3), "a,b"],
            ["1e-05", "x \\ud800\ny"],  # UTF-8 has no lone surrogate
            ["", ""],
        ]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["one.csv"]
