"""Who has won, on the page, by hand: trial 1 has seeds of 41, 39, 43, trial 2 of 36, 40, 35."""

import pytest
from PIL import Image
from scipy.stats import ttest_ind
from study_folders import CHAMPION, CONFIRM, CONFIRMING, START, again, study_folder

from xmrc.pages.findings import read_findings
from xmrc.pages.results import confirmation_section, final_sets_section

VERDICT = {"alias": "challenger", "reason": "Not champion: not significantly better.", "tags": {}}
SETS = {
    "mlqa/test": {"base": START, "champion": CHAMPION},
    "demo/test": {"base": CHAMPION, "champion": CHAMPION},
}


def confirmation(tmp_path, **given):
    folder = study_folder(tmp_path, **{"study": CONFIRMING, "confirm": CONFIRM, **given})
    return confirmation_section(read_findings(folder), folder / "report")


def test_candidates_have_means_deviations_and_intervals(tmp_path):
    candidates, _ = confirmation(tmp_path).tables
    rows = candidates.texts
    assert [(row[0], row[3]) for row in rows] == [
        (trial, score) for trial in "12" for score in ("gxlt_f1", "gxlt_em", "xlt_f1", "xlt_em")
    ]
    half = 4.302653 * 2 / 3**0.5
    shown = f"{41 - half:.2f} to {41 + half:.2f}"
    assert rows[0] == [
        "1", "ntl=1 coefficient=0 learning_rate=0.001", "3", "gxlt_f1", "41.00", "2.00", shown,
    ]  # fmt: skip
    assert rows[2][3:6] == ["xlt_f1", "51.00", "2.00"]  # ten more, as reported
    assert rows[4][4:6] == ["37.00", "2.65"]  # the root of 7


def test_the_two_are_compared(tmp_path):
    _, differences = confirmation(tmp_path).tables
    test = ttest_ind([41, 39, 43], [36, 40, 35], equal_var=False)
    low, high = test.confidence_interval(0.95)
    p = f"{test.pvalue:.3f}"
    assert differences.texts == [["1", "2", "+4.00 ", f"{low:+.2f} to {high:+.2f}", p, p, ""]]
    assert differences.caption.startswith("Differences of mean gxlt_f1: ")


def test_a_candidate_of_one_seed_has_dashes(tmp_path):
    failed = [{**one, "state": "failed", "cause": "lost"} for one in CONFIRM[4:]]
    candidates, differences = confirmation(tmp_path, confirm=[*CONFIRM[:4], *failed]).tables
    one_seed = next(row for row in candidates.texts if row[0] == "1")
    assert one_seed[2:] == ["1", "gxlt_f1", "41.00", "–", "–"]
    assert differences.texts == [["2", "1", "-4.00 ", "–", "–", "–", ""]]


def test_a_clear_difference_is_called_significant(tmp_path):
    clear = [again(n, 2, 100 + n, 50.0 + n) for n in (1, 2, 3)]
    _, differences = confirmation(tmp_path, confirm=[*clear, *CONFIRM[3:]]).tables
    assert (differences.texts[0][2], differences.texts[0][-1]) == ("+11.00*", "significant")


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({}, []),
        ({"verdict": VERDICT}, [f"{VERDICT['reason']} It is not registered yet."]),
        (
            {"verdict": VERDICT, "version": "3"},
            [f"{VERDICT['reason']} It is version 3, models:/xmrc-gxlt@challenger."],
        ),
    ],
)
def test_the_verdict_of_the_promotion(state, said, tmp_path):
    words = confirmation(tmp_path, state=state).words
    assert "scored on demo/dev" in words[0]
    assert words[1:] == said


def test_the_picture(tmp_path):
    (picture,) = confirmation(tmp_path).pictures
    with Image.open(picture.path) as image:
        assert image.width > 1000  # four panels
        colours = image.convert("RGB").getcolors(1 << 20)
    assert {(0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)} <= {colour for _, colour in colours}


def test_without_a_confirmation_there_is_no_confirmation(tmp_path):
    assert not confirmation(tmp_path, confirm=())


def final_sets(tmp_path, **given):
    folder = study_folder(tmp_path, study=CONFIRMING, **given)
    return final_sets_section(read_findings(folder), folder / "report")


def test_base_and_winner_stand_side_by_side(tmp_path):
    found = final_sets(tmp_path, confirm=CONFIRM, finals=SETS)
    assert "by the base and by trial 1, seed 101" in found.words[0]
    mlqa, demo = found.tables
    assert mlqa.caption == "mlqa/test (shared paragraphs), 0 to 100"
    assert mlqa.headings == ["metric", "base", "trial 1, seed 101", "difference"]
    rows = {row[0]: row[1:] for row in mlqa.texts}
    assert rows["gxlt_f1"] == ["40.0", "45.0", "+5.0"]
    assert rows["xlt_f1"] == ["50.0", "65.0", "+15.0"]
    assert rows["gxlt_cross_f1"] == ["30.0", "25.0", "-5.0"]
    assert {row[3] for row in demo.texts} == {"+0.0"}


def test_every_set_has_its_pictures_with_its_label(tmp_path):
    pictures = final_sets(tmp_path, finals=SETS).pictures
    assert [one.path.stem for one in pictures] == [
        "final-mlqa-test", "final-mlqa-test-difference",
        "final-demo-test", "final-demo-test-difference",
    ]  # fmt: skip
    assert all(one.path.stat().st_size > 5000 for one in pictures)
    assert pictures[0].caption == "F1 of trial 2 on mlqa/test (shared paragraphs)."


def test_sets_that_are_half_scored_are_left_out(tmp_path):
    folder = study_folder(tmp_path, study=CONFIRMING, finals=SETS)
    (folder / "final" / "labels.json").unlink()
    assert not final_sets_section(read_findings(folder), folder / "report")
    assert not final_sets(tmp_path / "none")
