"""The confirmation on the page, by hand: trial 1 has seeds of 41, 39, 43, trial 2 of 36, 40, 35."""

import pytest
from PIL import Image
from scipy.stats import ttest_ind
from study_folders import CONFIRM, CONFIRMING, study_folder

from xmrc.pages.confirmation_section import confirmation
from xmrc.pages.findings import read_findings

VERDICT = {"alias": "challenger", "reason": "Not champion: not significantly better.", "tags": {}}


def section(tmp_path, **given):
    folder = study_folder(tmp_path, **{"study": CONFIRMING, "confirm": CONFIRM, **given})
    return confirmation(read_findings(folder), folder / "report")


def cells(table):
    return [[cell.text for cell in row] for row in table.rows]


def test_candidates_have_means_deviations_and_intervals(tmp_path):
    candidates, _ = section(tmp_path).tables
    rows = cells(candidates)
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
    _, differences = section(tmp_path).tables
    test = ttest_ind([41, 39, 43], [36, 40, 35], equal_var=False)
    low, high = test.confidence_interval(0.95)
    (row,) = cells(differences)
    assert row == [
        "1", "2", "+4.00", f"−{-low:.2f} to +{high:.2f}", f"{test.pvalue:.3f}",
        f"{test.pvalue:.3f}", "",
    ]  # fmt: skip


def test_a_candidate_of_one_seed_has_dashes(tmp_path):
    failed = [{**one, "state": "failed", "cause": "lost"} for one in CONFIRM[4:]]
    candidates, differences = section(tmp_path, confirm=[*CONFIRM[:4], *failed]).tables
    one_seed = next(row for row in cells(candidates) if row[0] == "1")
    assert one_seed[2:] == ["1", "gxlt_f1", "41.00", "–", "–"]
    assert cells(differences)[0] == ["2", "1", "−4.00", "–", "–", "–", ""]


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
    words = section(tmp_path, state=state).words
    assert "scored on demo/dev" in words[0]
    assert words[1:] == said


def test_the_picture(tmp_path):
    (picture,) = section(tmp_path).pictures
    with Image.open(picture.path) as image:
        assert image.width > 1000  # four panels
        colours = image.convert("RGB").getcolors(1 << 20)
    assert {(0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)} <= {colour for _, colour in colours}


def test_without_a_confirmation_there_is_no_section(tmp_path):
    assert not section(tmp_path, confirm=())
