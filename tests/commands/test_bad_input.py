"""What a user gets wrong is one line: what, where and which rule; nothing is written."""

import json
import os
import sys
from pathlib import Path

import pytest

from xmrc import command, train, tune

GOOD = """
name: bad
storage: {storage}
settings:
  encoder: demo
  base: null
  start_from_base: false
  data: {{train: demo/train, select: demo/dev, languages: [en, es], ntl: 1, limit: 4,
         max_length: 128, max_question_tokens: 32, stride: 16}}
space: {{data.ntl: {{int: [0, 1]}}}}
search: {{trials: 1}}
"""


@pytest.fixture
def said(tmp_path, monkeypatch, capsys):
    """Run a command with the good study and some overrides; its one line."""
    for name in ("MLFLOW_TRACKING_URI", "XMRC_DATA", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    storage = tmp_path / "runs"

    def run(*overrides, main=tune.main, text=GOOD, options=()):
        study = tmp_path / "bad.yaml"
        study.write_text(text.format(storage=storage) if text is GOOD else text)
        sets = [word for one in overrides for word in ("--set", one)]
        monkeypatch.setattr(sys, "argv", ["tune", "--space", str(study), *sets, *options])
        with pytest.raises(SystemExit) as stopped:
            command.run(main)
        out, err = capsys.readouterr()
        assert (stopped.value.code, out) == (2, "")
        assert err.startswith("error: ")
        assert err.count("\n") == 1, err
        assert not list(storage.glob("bad*")), "no study has begun"
        assert not list(storage.glob("cache/base/*"))
        return err

    return run


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        # what the settings themselves refuse (all of it is in tests/settings)
        ("settings.data.ntll=3", ["settings.data.ntll", "ntl"]),
        ("settings.objective.distill={temperature: 0}", ["temperature", "greater than 0", "0"]),
        ("space={data.train: {choice: [xquad]}}", ["space.data.train", "read once", "[xquad]"]),
        ("storage=s3://bucket/runs", ["storage", "folder", "s3://bucket/runs"]),
        ("expected={f1_of_gold: 3}", ["expected", "f1_of_gold"]),
        # what only the encoder, the corpora and the tracking server can refuse
        ("settings.data.max_length=500", ["settings.data.max_length", "128", "500"]),
        ("settings.encoder=/nowhere/at/all", ["/nowhere/at/all"]),
        ("settings.data.train=xqad", ["xqad", "xquad"]),
        ("settings.data.train=xquad", ["xquad", "XMRC_DATA"]),
        ("settings.data.languages=[en, fr]", ["fr", "demo/"]),
        ("settings.data.select=demo/train", ["settings.data.select", "allow_overlap"]),
        ("settings.encoder=~nobody-of-that-name/x", ["~nobody-of-that-name/x"]),
        ("settings.data.train=~nobody-of-that-name/x.json", ["~nobody-of-that-name/x.json"]),
        ("settings.base={model: ~nobody-of-that-name/x}", ["settings.base.model", "~nobody"]),
        # what is no address is not shown: it may be a login whose host was forgotten
        ("tracking.uri='http://[::1'", ["tracking.uri", "http://...: Invalid IPv6 URL"]),
        ("tracking.uri=postgresql://h:abc/x", ["tracking.uri", "postgresql://...", "'abc'"]),
        ("tracking.uri=sqlite:foo", ["tracking.uri", "sqlite:foo"]),
    ],
)
def test_a_wrong_setting_is_named_with_its_rule(said, override, parts):
    line = said(override)
    assert all(part in line for part in parts), line


def test_yaml_that_does_not_parse_has_its_place(said):
    assert "bad.yaml" in said(text="name: bad\nsettings: {a: [1\n")


def test_a_study_file_that_is_not_there(said, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tune", "--space", str(tmp_path / "none.yaml")])
    with pytest.raises(SystemExit) as stopped:
        command.run(tune.main)
    assert stopped.value.code == 2
    assert "none.yaml" in capsys.readouterr().err


def squad(path: Path, *questions: tuple[str, str, int]) -> Path:
    """A SQuAD-format file of (id, answer, start) over one context."""
    context = "Ada wrote the first program in 1843."
    qas = [
        {"id": id, "question": "Who?", "answers": [{"text": text, "answer_start": start}]}
        for id, text, start in questions
    ]
    paragraphs = [{"context": context, "qas": qas}]
    path.write_text(json.dumps({"data": [{"title": "t", "paragraphs": paragraphs}]}))
    return path


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("broken", "{not json", ["broken.en.json", "not valid JSON"]),
        ("list", "[1, 2]", ["list.en.json", "not SQuAD-format JSON", "[1, 2]"]),
        ("empty", '{"data": []}', ["empty.en.json", "holds no question"]),
        ("deep", "[" * 100_000, ["deep.en.json", "too deep"]),
        (
            "half",
            '{"data": [{"paragraphs": [{"context": "half \\ud800", "qas": []}]}]}',
            ["half.en.json", "data[0].paragraphs[0].context", "Unicode"],
        ),
    ],
)
def test_a_file_that_is_not_squads(said, tmp_path, name, content, parts):
    (tmp_path / f"{name}.en.json").write_text(content)
    train = f"settings.data.train={tmp_path}/{name}.en.json"
    line = said(train, "settings.data.ntl=0", "space=null")
    assert all(part in line for part in parts), line


def test_an_answer_that_is_not_at_its_offset_is_counted_and_named(said, tmp_path):
    path = squad(tmp_path / "off.en.json", ("q1", "Ada", 0), ("q2", "Ada", 5), ("q3", "1843", 0))
    line = said(f"settings.data.train={path}", "settings.data.ntl=0", "space=null")
    assert "answers must stand at their answer_start: 2 do not, first in question 'q2'" in line
    none = squad(tmp_path / "none.en.json", ("q1", "Ada", 3))
    train = f"settings.data.train={none}"
    line = said(train, "settings.data.ntl=0", "space=null", "settings.data.strict=false")
    assert "none.en.json" in line
    assert "no question has its answers at their offsets" in line


def test_languages_that_are_not_aligned(said, tmp_path):
    squad(tmp_path / "part.en.json", ("q1", "Ada", 0), ("q2", "1843", 31))
    squad(tmp_path / "part.es.json", ("q1", "Ada", 0))
    line = said(f"settings.data.train={tmp_path}/part.*.json")
    assert "q2" in line
    assert "es" in line


def test_an_id_that_stands_twice_in_a_parallel_corpus(said, tmp_path):
    squad(tmp_path / "twice.en.json", ("q1", "Ada", 0), ("q1", "1843", 31))
    squad(tmp_path / "twice.es.json", ("q1", "Ada", 0))
    assert "q1" in said(f"settings.data.train={tmp_path}/twice.*.json")


def test_a_corpus_that_is_not_parallel_has_no_targets(said, tmp_path):
    path = squad(tmp_path / "alone.en.json", ("q1", "Ada", 0), ("q2", "1843", 31))
    line = said(f"settings.data.train={path}", "settings.data.languages=[en]")
    assert "ntl" in line
    assert "alone.en.json" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_storage_that_cannot_be_written_to(said, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    assert str(tmp_path / "locked") in said(f"storage={tmp_path}/locked/runs")


def test_a_storage_below_a_file(said, tmp_path):
    (tmp_path / "file").write_text("")
    assert f"{tmp_path}/file" in said(f"storage={tmp_path}/file/runs")


@pytest.mark.parametrize("main", [tune.main, train.main])
def test_a_tracking_server_that_does_not_answer_stops_before_training(said, main):
    line = said("tracking.uri=http://127.0.0.1:9", main=main)
    assert "tracking.uri" in line
    assert "http://127.0.0.1:9" in line


def test_nothing_to_resume(said):
    assert "--resume" in said(options=["--resume"])


@pytest.mark.parametrize("run", ["2030-01-01-000000", "../../etc", "/etc"])
def test_no_run_to_resume(said, run):
    line = said(options=["--resume", run])
    assert "--resume: must be the DATE-TIME of a run under" in line
    assert f"got {run}" in line


def test_a_trial_that_does_not_fit_is_refused(said):
    assert "resources" in said("resources.workers=4000", options=["--plan"])
