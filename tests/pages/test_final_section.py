"""The final sets on the page: base and winner, with what they share with training beside them."""

from study_folders import CHAMPION, CONFIRM, CONFIRMING, START, study_folder

from xmrc.pages.final_section import finals
from xmrc.pages.findings import read_findings

SETS = {
    "mlqa/test": {"base": START, "champion": CHAMPION},
    "demo/test": {"base": CHAMPION, "champion": CHAMPION},
}


def section(tmp_path, **given):
    folder = study_folder(tmp_path, study=CONFIRMING, **given)
    return finals(read_findings(folder), folder / "report")


def test_base_and_winner_stand_side_by_side(tmp_path):
    found = section(tmp_path, confirm=CONFIRM, finals=SETS)
    assert "by the base and by trial 1, seed 101" in found.words[0]
    mlqa, demo = found.tables
    assert mlqa.caption == "mlqa/test (shared paragraphs), 0 to 100"
    assert list(mlqa.headings) == ["metric", "base", "trial 1, seed 101", "difference"]
    rows = {row[0].text: [cell.text for cell in row[1:]] for row in mlqa.rows}
    assert rows["gxlt_f1"] == ["40.0", "45.0", "+5.0"]
    assert rows["xlt_f1"] == ["50.0", "65.0", "+15.0"]
    assert rows["gxlt_cross_f1"] == ["30.0", "25.0", "−5.0"]
    assert {row[3].text for row in demo.rows} == {"+0.0"}


def test_every_set_has_its_pictures_with_its_label(tmp_path):
    pictures = section(tmp_path, finals=SETS).pictures
    assert [one.path.stem for one in pictures] == [
        "final-mlqa-test", "final-mlqa-test-difference",
        "final-demo-test", "final-demo-test-difference",
    ]  # fmt: skip
    assert all(one.path.stat().st_size > 5000 for one in pictures)
    assert pictures[0].caption == "F1 of trial 2 on mlqa/test (shared paragraphs)."


def test_sets_that_are_half_scored_are_left_out(tmp_path):
    folder = study_folder(tmp_path, study=CONFIRMING, finals=SETS)
    (folder / "final" / "labels.json").unlink()
    assert not finals(read_findings(folder), folder / "report")
    assert not section(tmp_path / "none")
