"""`xmrc.evaluate --out` writes every file that it promises, and says what keeps the reader back."""

import sys
from pathlib import Path

import pytest
from checkpoints import tiny_checkpoint

from xmrc import evaluate
from xmrc.data.corpora import across_languages, load_corpus
from xmrc.scoring.evaluation_files import TABLES, read_examples, read_scores
from xmrc.scoring.gxlt import summarise


def test_an_evaluation_has_its_tables_and_a_diagnosis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, model = tmp_path / "out", tmp_path / "model"
    tiny_checkpoint("wordpiece", model)
    options = ["--model", str(model), "--storage", str(tmp_path / "runs")]
    options += ["--corpus", "demo/dev", "--languages", "en,es", "--limit", "3", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["evaluate", *options])
    evaluate.main()
    files = {*evaluate.FILES, *TABLES}
    assert {path.name for path in out.iterdir()} == files
    scored = read_examples(out / "examples.parquet")
    corpus = load_corpus("demo/dev", root=None, languages=["en", "es"], limit=3)
    assert len(scored) == len(across_languages(corpus).examples) == 12
    assert (scored["windows"] >= 1).all()
    assert scored["windows"].notna().all()
    again, kept = summarise(scored).metrics, read_scores(out / "scores.json").metrics
    assert again == pytest.approx(dict(kept))
    printed = capsys.readouterr().out
    assert " language pairs: " in printed
