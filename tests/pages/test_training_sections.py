"""What trials report of their training beside scores, on a study's page."""

import re

from study_folders import TRIALS, study_folder, trial

from xmrc.pages.findings import read_findings
from xmrc.pages.page import write_report
from xmrc.pages.training_sections import (
    RIGHT,
    answer_curves,
    curve_panels,
    observed_by_best,
    weight_panel,
)
from xmrc.search.ledger import TrialRecord
from xmrc.search.observed import ObservedTables

PAIR = ("question_language", "context_language")


def coefficient(pair, c_kl):
    return {**dict(zip(PAIR, pair.split("-"), strict=True)), "c_kl": c_kl}


def answer(pair, rank, text, probability, score):
    """To the question <q>; the score is EM and F1."""
    languages = dict(zip(PAIR, pair.split("-"), strict=True))
    scores = {"probability": probability, "em": score, "f1": score}
    return {"id": "<q>", **languages, "rank": rank, "answer": text, **scores}


LAST = {
    "c_kl": [coefficient("en-en", 0.9), coefficient("en-de", 0.625), coefficient("de-de", 0.5)],
    "watched": [
        answer("en-de", 1, "Köln <am> Rhein", 0.625, 0.0),
        answer("en-de", 2, "Bonn", 0.25, 100.0),
        answer("en-en", 1, "", 0.5, 0.0),
    ],
}
FIRST = {
    "c_kl": [coefficient("en-de", 0.125)],
    "watched": [
        answer("en-de", 1, "Bonn", 0.5, 100.0),
        answer("en-de", 2, "bonn.", 0.125, 100.0),
    ],
}


def folder_with(tmp_path, observed):
    """A study in which trials, by number, have observed that, each at its evaluations."""
    folder = study_folder(tmp_path)
    tables = ObservedTables.open(folder)
    for record in TRIALS:
        evaluations = zip(record["history"], observed.get(record["number"], ()), strict=False)
        reported = {}
        for row, found in evaluations:
            place = {name: row[name] for name in ("evaluation", "epoch", "step")}
            for name, rows in found.items():
                reported.setdefault(name, []).extend({**place, **one} for one in rows)
        tables.put(record["number"], reported)
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
    rows = observed_by_best(findings, "watched.csv")
    assert set(rows["trial"]) == {2}
    about = rows[(rows["question_language"] == "en") & (rows["context_language"] == "de")]
    assert {curve.name: curve.line for curve in answer_curves(about)} == {
        "first": [(1.0, 0.5), (2.0, 0.625)],
        "second": [(1.0, 0.125), (2.0, 0.25)],
        RIGHT: [(1.0, 0.625), (2.0, 0.25)],
    }


def test_the_best_trial_that_observed_something_is_shown(tmp_path):
    findings = read_findings(folder_with(tmp_path, {3: [LAST], 1: [FIRST, {}]}))
    assert set(observed_by_best(findings, "watched.csv")["trial"]) == {1}
    coefficients = observed_by_best(findings, "c_kl.csv")
    assert coefficients[["trial", "c_kl"]].to_numpy().tolist() == [[1, 0.125]]


def test_without_tables_there_is_nothing_of_it_on_the_page(tmp_path):
    page = write_report(study_folder(tmp_path, trials=[trial(1, {}, [3.0])], study="name: small\n"))
    assert "Watched questions" not in page.read_text()
    assert "Coefficient by" not in page.read_text()
    assert not list(page.parent.glob("watched*"))


def records(*trials):
    return [TrialRecord(**one) for one in trials]


def test_a_panel_for_each_number_and_a_curve_for_each_trial_that_has_it():
    panels = curve_panels(records(*TRIALS[:3]))
    assert list(panels) == ["c_kl", "loss"]  # no scores, and no steps
    curves = {curve.name: curve.line for curve in panels["c_kl"].curves}
    assert curves == {"trial 2": [(1.0, 0.6), (2.0, 0.9)], "trial 3": [(1.0, 1.0)]}


def test_weights_are_those_of_the_best_that_has_them():
    plain = trial(1, {}, [9.0])
    few = trial(2, {}, [5.0, 6.0], w_1=[0.5, 0.7], w_2=[0.5, 0.3], w_entropy=[0.7, 0.6])
    panel = weight_panel(records(plain, few))
    assert panel.title == "w, trial 2"
    assert {curve.name: curve.line for curve in panel.curves} == {
        "w_1": [(1.0, 0.5), (2.0, 0.7)],
        "w_2": [(1.0, 0.5), (2.0, 0.3)],
    }
    assert list(curve_panels(records(plain, few))) == ["w_entropy"]
    assert weight_panel(records(plain)) is None


def test_many_weights_end_in_one_curve():
    weights = {f"w_{place}": [1 / 64] for place in range(1, 21)}
    panel = weight_panel(records(trial(1, {}, [9.0], **weights)))
    names = [curve.name for curve in panel.curves]
    assert names == ["w_1", "w_2", "w_3", "w_4", "w_5", "w_6", "w_7 to w_20"]
    assert panel.curves[-1].line == [(1.0, 14 / 64)]
