"""c_kl of language pairs and watched questions on a study's page."""

import re

from study_folders import TRIALS, study_folder, trial

from xmrc.pages.findings import read_findings
from xmrc.pages.observed_sections import RIGHT, _by_pair, _curves, _of_best
from xmrc.pages.page import write_report
from xmrc.search.observed import ObservedTables

LAST = {
    "c_kl": [["en", "en", 0.9], ["en", "de", 0.625], ["de", "de", 0.5]],
    "watched": [
        ["<q>", "en", "de", [["Köln <am> Rhein", 0.625, 0.0, 50.0], ["Bonn", 0.25, 100.0, 100.0]]],
        ["<q>", "en", "en", [["", 0.5, 0.0, 0.0]]],
        ["q/2", "en", "en", []],
    ],
}
FIRST = {
    "c_kl": [["en", "de", 0.125]],
    "watched": [["<q>", "en", "de", [["Bonn", 0.5, 100.0, 100.0], ["bonn.", 0.125, 100.0, 100.0]]]],
}


def folder_with(tmp_path, observed):
    """A study in which the trials of these numbers have observed that."""
    folder = study_folder(tmp_path)
    tables = ObservedTables.open(folder)
    for record in TRIALS:
        if record["number"] in observed:
            tables.put(record["number"], record["history"], observed[record["number"]])
    return folder


def test_the_page_shows_what_the_best_trial_observed(tmp_path):
    """Trial 2 is the best, and 1 the next."""
    folder = folder_with(tmp_path, {1: [LAST, FIRST], 2: [FIRST, LAST]})
    page = write_report(folder)
    drawn = {file.stem for file in page.parent.glob("*.png")}
    assert {"c_kl-by-pair", "watched-1"} <= drawn
    assert "watched-2" not in drawn  # no answers, so no rows
    text = page.read_text()
    assert "Coefficient by language pair" in text
    assert "Question &lt;q&gt;, trial 2" in text
    assert "Question &lt;q&gt; at epoch 2" in text
    row = re.search(r"<tr><td[^>]*>en</td><td[^>]*>de</td>.*?</tr>", text, re.DOTALL)[0]
    assert re.findall(r">([^<>]+)</td>", row) == [
        *("en", "de", "Köln &lt;am&gt; Rhein 0.62", "Bonn 0.25 ✓", "–", "–", "–")
    ]


def test_curves_are_by_rank_and_of_all_right_answers_together(tmp_path):
    findings = read_findings(folder_with(tmp_path, {2: [FIRST, LAST]}))
    number, rows = _of_best(findings, "watched.csv")
    assert number == 2
    curves = {curve.name: curve.line for curve in _curves(_by_pair(rows)["en", "de"])}
    assert curves == {
        "first": [(1.0, 0.5), (2.0, 0.625)],
        "second": [(1.0, 0.125), (2.0, 0.25)],
        RIGHT: [(1.0, 0.625), (2.0, 0.25)],
    }


def test_the_best_trial_that_observed_something_is_shown(tmp_path):
    findings = read_findings(folder_with(tmp_path, {3: [LAST], 1: [FIRST, {}]}))
    assert _of_best(findings, "watched.csv")[0] == 1
    assert _of_best(findings, "c_kl.csv")[0] == 1
    assert [row["c_kl"] for row in _of_best(findings, "c_kl.csv")[1]] == ["0.125"]


def test_without_tables_there_is_nothing_of_it_on_the_page(tmp_path):
    page = write_report(study_folder(tmp_path, trials=[trial(1, {}, [3.0])], study="name: small\n"))
    assert "Watched questions" not in page.read_text()
    assert "Coefficient by" not in page.read_text()
    assert not list(page.parent.glob("watched*"))
