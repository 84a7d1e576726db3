"""Who has won, as the folder of a study says: the search, or the confirmation once it is over."""

import pytest
from study_folders import COEFFICIENT, CONFIRM, CONFIRMING, STUDY, again, study_folder

from xmrc.pages.findings import read_findings
from xmrc.pages.paper import systems
from xmrc.pages.results import choice, scores_table, tiles
from xmrc.pages.search_sections import page_trials_table


def found(tmp_path, **given):
    return read_findings(study_folder(tmp_path, **{"study": CONFIRMING, **given}))


def test_the_confirmed_winner_is_the_best_though_the_search_had_another_first(tmp_path):
    findings = found(tmp_path, confirm=CONFIRM)
    assert [one.number for one in findings.ranking] == [2, 1, 3]
    assert findings.best.number == 1
    assert [one.number for one in findings.standing] == [1, 2, 3]
    assert findings.reader.values["training.seed"] == 101  # 39, 41, 43
    assert findings.reader_name == "trial 1, seed 101"
    assert choice(findings) == [
        "Trial 1 won: its mean over 3 fresh seeds, gxlt_f1 41.00 ± 2.00, is the best of the trials "
        "that were trained again. It is shown by its median seed, 101.",
        "The search itself had trial 2 first, with 42.00.",
    ]
    shown = tiles(findings)
    assert shown["gxlt_f1, trial 1, mean of 3 fresh seeds"] == "41.0"
    assert shown["over the start"] == "+1.0"  # 41 less 40


def test_the_search_may_have_been_right(tmp_path):
    better = [again(n, 2, 100 + n, 50.0 + n) for n in range(1, 4)]
    findings = found(tmp_path, confirm=[*better, *CONFIRM[3:]])
    assert findings.best is findings.ranking[0]
    assert choice(findings)[1] == "The search itself had it first, too, with 42.00."


@pytest.mark.parametrize(
    "given",
    [
        {},  # killed before a training was begun
        {"study": STUDY, "confirm": CONFIRM},  # another study's, before the file was changed
        {"confirm": CONFIRM[:5]},
        {"confirm": [*CONFIRM[:5], {**CONFIRM[5], "state": "running"}]},
        {"confirm": [{**one, "state": "failed", "cause": "lost"} for one in CONFIRM]},
    ],
)
def test_until_the_confirmation_is_over_the_search_counts(given, tmp_path):
    findings = found(tmp_path, **given)
    assert findings.winner is None
    assert findings.best is findings.reader is findings.ranking[0]
    assert findings.reader_name == "trial 2"
    assert findings.standing == findings.ranking
    assert tiles(findings)["gxlt_f1, trial 2"] == "42.0"


def test_that_it_is_not_over_is_said(tmp_path):
    (words,) = choice(found(tmp_path, confirm=CONFIRM[:5]))
    assert words == "The confirmation is not over; trial 2 is the best of the search."


def test_the_table_keeps_the_order_of_the_search_and_says_who_won(tmp_path):
    table = page_trials_table(found(tmp_path, confirm=CONFIRM))
    assert table.headings[:3] == ["trial", "gxlt_f1", "mean of fresh seeds"]
    rows = table.texts
    assert [row[:3] for row in rows] == [
        ["2", "42.0", "37.00"], ["1", "30.0", "41.00"], ["3", "9.5", "–"], ["4", "–", "–"],
    ]  # fmt: skip
    states = [row[table.headings.index("state")] for row in rows]
    assert states[:3] == ["finished", "finished, won the confirmation", "stopped"]


def test_scores_are_those_of_the_winners_median_seed(tmp_path):
    for given, mean in (({}, "45.0"), ({"champion": []}, "41.0")):  # read, or as it reported
        table = scores_table(found(tmp_path / mean, confirm=CONFIRM, **given))
        assert table.headings[2] == "trial 1, seed 101"
        assert {row[0]: row[2] for row in table.texts}["gxlt_f1"] == mean


def test_a_reading_of_the_champion_is_the_winners_alone(tmp_path):
    expected = f"""
expected:
  best: {{gxlt_f1: 60}}
  CE: {{where: {{{COEFFICIENT}: 0.0}}, gxlt_f1: 50}}
  SKD: {{where: {{{COEFFICIENT}: map}}, gxlt_f1: 55}}
"""
    ours = systems(found(tmp_path, study=CONFIRMING + expected, confirm=CONFIRM))
    assert {name: one.number for name, one in ours.items()} == {"best": 1, "CE": 1, "SKD": 2}
    means = {name: one.scores["gxlt_f1", "mean"] for name, one in ours.items()}
    assert means == {"best": pytest.approx(45), "CE": pytest.approx(45), "SKD": 42}


def test_what_the_selection_set_shares_with_training_is_said_beside_its_scores(tmp_path):
    shared = "xquad (shared paragraphs)"
    assert scores_table(found(tmp_path, state={"select": shared}.items())).caption.startswith(
        f"Scores on {shared}, "
    )
