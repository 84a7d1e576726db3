"""A paper's numbers beside ours, found by hand."""

import pytest
from study_folders import (
    CHAMPION,
    COEFFICIENT,
    CONFIRM,
    CONFIRMING,
    NTL,
    START,
    STUDY,
    TRIALS,
    VARIANT,
    study_folder,
)

from xmrc.pages.findings import read_findings
from xmrc.pages.paper import paper_tables, printed_and_ours, scores_by_language, systems
from xmrc.scoring.predictions import scored_frame
from xmrc.search.observed import ObservedTables

EXPECTED = f"""
expected:
  base: {{gxlt_f1: {{mean: 49.7, de: 40}}, xlt_em: {{en: 50}}}}
  best: {{gxlt_f1: 60, xlt_f1: {{de: 55}}, final: {{mlqa/test: {{gxlt_f1: 61}}}}}}
  CE: {{where: {{{COEFFICIENT}: 0.0}}, gxlt_em: 20, xlt_em: {{en: 1}}}}
  SKD: {{where: {{{COEFFICIENT}: map, {VARIANT}: first_hit}}, gxlt_f1: 2}}
  fixed: {{where: {{data.train: demo/train, {NTL}: 1}}, gxlt_f1: 3}}
  nobody: {{where: {{{NTL}: 6}}, gxlt_f1: 4}}
"""


@pytest.fixture
def findings(tmp_path):
    return read_findings(study_folder(tmp_path, study=STUDY + EXPECTED))


def compared(findings):
    """A dict for each row, None where nothing of ours is."""
    frame = printed_and_ours(findings)
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


def test_who_stands_for_whom(findings):
    numbers = {name: one and one.number for name, one in systems(findings).items()}
    assert numbers == {"base": None, "best": 2, "CE": 1, "SKD": 2, "fixed": 1, "nobody": None}
    assert systems(findings)["nobody"] is None


def test_the_numbers(findings):
    rows = compared(findings)
    found = {
        (row["system"], row["corpus"], row["metric"], row["language"]): row["ours"] for row in rows
    }
    assert found == {
        ("base", "demo/dev", "gxlt_f1", "mean"): pytest.approx(40),  # (60 + 20 + 40 + 40) / 4
        ("base", "demo/dev", "gxlt_f1", "de"): pytest.approx(30),  # contexts in German
        ("base", "demo/dev", "xlt_em", "en"): 100,
        ("best", "demo/dev", "gxlt_f1", "mean"): pytest.approx(45),
        ("best", "demo/dev", "xlt_f1", "de"): pytest.approx(50),
        ("best", "mlqa/test", "gxlt_f1", "mean"): None,
        ("CE", "demo/dev", "gxlt_em", "mean"): 25,
        ("CE", "demo/dev", "xlt_em", "en"): None,  # no table of language pairs
        ("SKD", "demo/dev", "gxlt_f1", "mean"): pytest.approx(45),
        ("fixed", "demo/dev", "gxlt_f1", "mean"): 30,
        ("nobody", "demo/dev", "gxlt_f1", "mean"): None,
    }
    assert [row["paper"] for row in rows if row["system"] == "base"] == [49.7, 40, 50]


def test_every_trial_has_numbers_by_language(tmp_path):
    """From what it reported at its best evaluation, the second."""
    expected = f"""
expected:
  CE:
    where: {{{COEFFICIENT}: 0.0}}
    gxlt_f1: {{mean: 1, en: 1, de: 1}}
    xlt_squad_em: {{en: 1, de: 1}}
    topk_em_3: {{de: 1}}
"""
    folder = study_folder(tmp_path, study=STUDY + expected)
    names = ("epoch", "step", "question_language", "context_language", "n", "f1", "em")
    names = ("evaluation", *names, "squad_f1", "squad_em")
    rows = [
        (1, 1.0, 10, "en", "en", 2, 99, 99, 99, 99),
        (2, 2.0, 20, "en", "en", 2, 40, 30, 41, 31),
        (2, 2.0, 20, "de", "en", 2, 20, 10, 21, 11),
        (2, 2.0, 20, "en", "de", 2, 10, 5, 11, 6),
        (2, 2.0, 20, "de", "de", 2, 50, 45, 51, 46),
    ]
    other = (2, 2.0, 20, "en", "en", 2, 98, 98, 98, 98)
    tables = ObservedTables.open(folder)
    tables.put(1, {"pairs": [dict(zip(names, row, strict=True)) for row in rows]})
    tables.put(2, {"pairs": [dict(zip(names, other, strict=True))]})
    findings = read_findings(folder)
    rows = compared(findings)
    assert [(row["metric"], row["language"], row["ours"]) for row in rows] == [
        ("gxlt_f1", "mean", 30),
        ("gxlt_f1", "en", 30),
        ("gxlt_f1", "de", 30),
        ("xlt_squad_em", "en", 31),
        ("xlt_squad_em", "de", 46),
        ("topk_em_3", "de", None),
    ]


def test_final_corpora_have_the_scores_of_base_and_winner(tmp_path):
    mlqa = "{gxlt_f1: {mean: 61, de: 60}, topk_em_3: {de: 1}}"
    scored = f"final: {{mlqa/test: {mlqa}, xquad: {{gxlt_f1: 3}}}}"
    expected = f"""
expected:
  base: {{{scored}}}
  best: {{{scored}}}
  SKD: {{where: {{{COEFFICIENT}: map}}, {scored}}}
  CE: {{where: {{{COEFFICIENT}: 0.0}}, {scored}}}
"""
    finals = {"mlqa/test": {"base": CHAMPION, "champion": START}}
    folder = study_folder(
        tmp_path, study=CONFIRMING + expected, confirm=CONFIRM, finals=finals
    )  # trial 1, of cross-entropy alone, has won
    findings = read_findings(folder)
    rows = compared(findings)
    found = {}
    for row in rows:
        place = row["corpus"], row["metric"], row["language"]
        found.setdefault(row["system"], []).append((*place, row["ours"]))
    base, winner = (
        [
            ("mlqa/test", "gxlt_f1", "mean", pytest.approx(mean)),
            ("mlqa/test", "gxlt_f1", "de", pytest.approx(de)),
            ("mlqa/test", "topk_em_3", "de", 100),
            ("xquad", "gxlt_f1", "mean", None),
        ]
        for mean, de in ((45, 45), (40, 30))
    )
    nothing = [(*row[:3], None) for row in base]
    assert found == {"base": base, "best": winner, "CE": winner, "SKD": nothing}
    captions = [table.caption for table in paper_tables(findings)]
    assert captions == ["mlqa/test (shared paragraphs), 0 to 100", "xquad, 0 to 100"]


def test_without_readings_the_ledger_is_what_there_is(tmp_path):
    folder = study_folder(tmp_path, study=STUDY + EXPECTED, start=[], champion=[])
    ours = systems(read_findings(folder))
    assert ours["base"] is None
    assert ours["best"].scores["gxlt_f1", "mean"] == TRIALS[1]["best"]


def test_scores_by_language():
    scores, start = (scores_by_language(scored_frame(rows)) for rows in (CHAMPION, START))
    assert scores["gxlt_em", "en"] == 50  # of two questions about English texts
    assert scores["gxlt_squad_f1", "de"] == pytest.approx(45)
    assert scores["topk_em_3", "mean"] == 100
    assert start["topk_em_3", "de"] == 100
    assert start["topk_em_1", "de"] == 0
