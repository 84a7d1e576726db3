"""`python -m xmrc.evaluate`: what it prints and writes, against scores worked out by hand."""

import csv
import json
import math
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from checkpoints import tiny_checkpoint
from marker_reader import MARKER, marker_reader
from running import Ended, everything_in, run_here, run_process
from transformers import ByT5Tokenizer

from xmrc import evaluate
from xmrc.data.demo.corpus import demo_examples
from xmrc.data.examples import Example
from xmrc.data.leakage import Footprint
from xmrc.scoring.evaluation_files import EXAMPLES, read_label
from xmrc.scoring.metrics import exact_match, f1

PLAIN_FILES = {"scores.json", "matrix.csv", "matrix.png", "predictions.jsonl"}
FILLER = "the river crosses the city and the old bridge of the harbour . " * 30

# The reader answers with the marker, "1987". F1 by hand: one token in common; the gold has n.
ENGLISH = {
    "a": (f"Olsen wrote it in {MARKER}.", MARKER),  # em 1, f1 1
    "b": (f"{FILLER} Built in {MARKER} by her.", f"in {MARKER}"),  # f1 2 * 1/2 / (1 + 1/2) = 2/3
    "c": (f"The harbour opened in {MARKER}.", "harbour"),  # f1 0
}
GERMAN = {
    "a": (f"Gebaut {MARKER}. {FILLER}", MARKER),  # em 1, f1 1
    "b": (f"Gebaut im Jahr {MARKER}.", f"im Jahr {MARKER}"),  # f1 2 * 1/3 / (1 + 1/3) = 1/2
    "c": (f"Seit dem {MARKER} offen.", f"dem {MARKER}"),  # without the article: em 1, f1 1
}
F1 = {"en": 100 * (1 + 2 / 3 + 0) / 3, "de": 100 * (1 + 1 / 2 + 1) / 3}
EM = {"en": 100 / 3, "de": 200 / 3}


def squad(contexts: dict[str, tuple[str, str]], question: str) -> dict[str, Any]:
    """SQuAD-format JSON; an answer that is empty stands for a blind set."""
    paragraphs = [
        {
            "context": context,
            "qas": [
                {
                    "id": id,
                    "question": question,
                    "answers": [{"text": gold, "answer_start": context.index(gold)}],
                }
            ],
        }
        for id, (context, gold) in contexts.items()
    ]
    return {"version": "1.1", "data": [{"title": "t", "paragraphs": paragraphs}]}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It has 32 positions, so the long contexts are many windows."""
    return marker_reader(tmp_path_factory.mktemp("reader"), positions=32)


@pytest.fixture(scope="module")
def random_reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint("unigram", tmp_path_factory.mktemp("random"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A parallel corpus, a blind one and one across languages."""
    (tmp_path / "qa.en.json").write_text(json.dumps(squad(ENGLISH, "When was it?")))
    (tmp_path / "qa.de.json").write_text(json.dumps(squad(GERMAN, "Wann war das?")))
    blind = {"a": (ENGLISH["a"][0], ""), "b": (ENGLISH["b"][0], "")}
    (tmp_path / "blind.en.json").write_text(json.dumps(squad(blind, "When was it?")))
    across = "dev-context-en-question-de.json"
    (tmp_path / across).write_text(json.dumps(squad(ENGLISH, "Wann war das?")))
    return tmp_path


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Ended]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XMRC_DATA", raising=False)

    def run(*arguments: object) -> Ended:
        return run_here(evaluate.main, *arguments, monkeypatch=monkeypatch, capsys=capsys)

    return run


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.studies
def test_a_parallel_corpus_is_scored_over_all_its_language_pairs(
    folder: Path, reader: Path
) -> None:
    """In one process, which needs neither Ray nor MLflow nor the hub."""
    ended = run_process(
        "xmrc.evaluate", "--model", reader, "--corpus", "qa.*.json", "--out", "new/out",
        cwd=folder, blocked=("ray", "mlflow", "optuna", "datasets"),
    )  # fmt: skip
    assert (ended.code, ended.err) == (0, "")

    scores = json.loads((folder / "new/out/scores.json").read_text())
    assert list(scores) == ["metrics", "pairs", "sha256"]
    assert set(scores["pairs"]) == {"en-en", "en-de", "de-en", "de-de"}  # question-context
    for pair, values in scores["pairs"].items():
        told = pair.split("-")[1]
        assert values == {"f1": pytest.approx(F1[told]), "em": pytest.approx(EM[told]), "n": 3}
    assert scores["metrics"]["gxlt_f1"] == pytest.approx((F1["en"] + F1["de"]) / 2)
    assert scores["metrics"]["xlt_em"] == pytest.approx(50.0)

    with open(folder / "new/out/matrix.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["question_language"] for row in rows] == ["de", "en"]
    assert all(float(row[told]) == pytest.approx(F1[told]) for row in rows for told in F1)
    assert (folder / "new/out/matrix.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in (folder / "new").iterdir()] == ["out"]

    found = {
        (one["id"], one["question_language"], one["context_language"]): one
        for one in lines_of(folder / "new/out/predictions.jsonl")
    }
    contexts = {"en": ENGLISH, "de": GERMAN}
    assert set(found) == set(product("abc", contexts, contexts))
    for (id, _, told), one in found.items():
        start = contexts[told][id][0].index(MARKER)
        assert (one["answer"], one["start"], one["end"]) == (MARKER, start, start + len(MARKER))

    for shown in ("F1", "EM", f"{F1['de']:.1f}", f"{EM['de']:.1f}", "gxlt_f1 ", "12 examples"):
        assert shown in ended.out


def test_scores_are_those_of_the_predictions(
    run: Callable[..., Ended], random_reader: Path, tmp_path: Path
) -> None:
    ended = run("--model", random_reader, "--corpus", "demo/dev", "--languages", "zh,en,ar",
                "--limit", 4, "--out", "out")  # fmt: skip
    assert ended.code == 0, ended.err
    predictions = lines_of(tmp_path / "out/predictions.jsonl")
    told = {(one.id, one.context_language): one for one in demo_examples("dev")}
    f1s, ems = defaultdict(list), defaultdict(list)
    for one in predictions:
        example = told[one["id"], one["context_language"]]
        golds = [answer.text for answer in example.answers]
        pair = f"{one['question_language']}-{one['context_language']}"
        f1s[pair].append(f1(one["answer"], golds, one["context_language"]))
        ems[pair].append(exact_match(one["answer"], golds, one["context_language"]))
        check_nbest(one, example.context)
    scores = json.loads((tmp_path / "out/scores.json").read_text())
    assert set(scores["pairs"]) == set(f1s)
    assert len(f1s) == 9
    for pair, values in scores["pairs"].items():
        assert values["n"] == len(f1s[pair]) == 4
        assert values["f1"] == pytest.approx(100 * sum(f1s[pair]) / 4)
        assert values["em"] == pytest.approx(100 * sum(ems[pair]) / 4)
    means = [100 * sum(values) / 4 for values in f1s.values()]
    assert scores["metrics"]["gxlt_f1"] == pytest.approx(sum(means) / 9)
    assert sum(values["n"] for values in scores["pairs"].values()) == len(predictions)


def check_nbest(line: dict[str, Any], context: str) -> None:
    """Twenty answers of the context, all different, best first, the best one given twice."""
    nbest = line["nbest"]
    assert len({(span["start"], span["end"]) for span in nbest}) == len(nbest) == 20
    assert all(context[span["start"] : span["end"]] == span["text"] != "" for span in nbest)
    shares = [span["score"] for span in nbest]
    assert shares == sorted(shares, reverse=True)
    assert math.fsum(shares) == pytest.approx(1)
    best = {"text": line["answer"], **{key: line[key] for key in ("start", "end", "score")}}
    assert best == nbest[0]


def test_two_ray_workers_predict_what_one_process_does(
    run: Callable[..., Ended], random_reader: Path, tmp_path: Path, cluster: None
) -> None:
    options = ("--model", random_reader, "--corpus", "demo/dev", "--languages", "en,hi",
               "--limit", 5)  # fmt: skip
    assert run(*options, "--out", "alone").code == 0
    ended = run(*options, "--out", "shared", "--workers", 2)
    assert (ended.code, ended.err) == (0, "")
    alone, shared = (lines_of(tmp_path / out / "predictions.jsonl") for out in ("alone", "shared"))
    assert len(alone) == 20
    for one, other in zip(alone, shared, strict=True):
        ours, theirs = ([s.pop("score") for s in line.pop("nbest")] for line in (one, other))
        assert ours == pytest.approx(theirs, abs=1e-6)
        assert one.pop("score") == pytest.approx(other.pop("score"), abs=1e-6)
        assert one == other


def test_files_across_languages_are_read_as_they_are(
    run: Callable[..., Ended], folder: Path, reader: Path
) -> None:
    ended = run("--model", reader, "--corpus", "dev-context-*.json", "--out", "out")
    assert ended.code == 0, ended.err
    pairs = json.loads((folder / "out/scores.json").read_text())["pairs"]
    assert pairs == {
        "de-en": {"f1": pytest.approx(F1["en"]), "em": pytest.approx(EM["en"]), "n": 3}
    }


@pytest.mark.parametrize(("language", "label"), [("en", "overlaps training"), ("fr", "shared")])
def test_scores_on_what_the_reader_was_trained_on_say_so(
    run: Callable[..., Ended], folder: Path, reader: Path, language: str, label: str
) -> None:
    """Trained on question a in one language; French is in no pair that is scored here."""
    trained = folder / "trained"
    shutil.copytree(reader, trained)
    Footprint.of([Example("a", "", "", (), language, language)]).write(trained)
    for model, told in ((reader, "qa.*.json, F1"), (trained, f"qa.*.json ({label}")):
        ended = run("--model", model, "--corpus", "qa.*.json", "--out", folder / "out")
        assert ended.code == 0, ended.err
        assert told in ended.out
    assert f"qa.*.json ({label}" in ended.out.splitlines()[0]
    assert read_label(folder / "out" / EXAMPLES).startswith(label)


def test_a_blind_set_is_predicted_and_not_scored(
    run: Callable[..., Ended], folder: Path, reader: Path
) -> None:
    out = folder / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    assert run("--model", reader, "--corpus", "qa.en.json", "--out", out).code == 0
    assert {path.name for path in out.iterdir()} >= {*PLAIN_FILES, "notes.txt"}
    ended = run("--model", reader, "--corpus", "blind.en.json", "--out", out)
    assert (ended.code, ended.err) == (0, "")
    assert "not scored: blind.en.json is a blind set, 2 of 2 questions have no gold" in ended.out
    # nothing of the evaluation before is left to be taken for one of this set
    assert {path.name for path in out.iterdir()} == {"predictions.jsonl", "notes.txt"}
    assert [one["answer"] for one in lines_of(out / "predictions.jsonl")] == [MARKER, MARKER]


@pytest.mark.studies
def test_files_are_there_although_nobody_reads_what_is_printed(folder: Path, reader: Path) -> None:
    """`| head` closes the pipe."""
    ours, theirs = os.pipe()
    os.close(ours)
    command = [sys.executable, "-m", "xmrc.evaluate", "--model", str(reader)]
    subprocess.run([*command, "--corpus", "qa.en.json", "--out", "out"], cwd=folder, stdout=theirs)
    os.close(theirs)
    assert {path.name for path in (folder / "out").iterdir()} >= PLAIN_FILES


def test_a_blind_set_needs_a_folder(run: Callable[..., Ended], folder: Path, reader: Path) -> None:
    refused(run("--model", reader, "--corpus", "blind.en.json"), "--out: must name a folder")


def test_real_corpora_come_from_the_environment_or_the_option(
    run: Callable[..., Ended],
    reader: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    real_data: Path,
) -> None:
    options = ("--model", reader, "--corpus", "mlqa/dev", "--limit", 3, "--out")
    assert run(*options, "first", "--data-root", real_data).code == 0
    monkeypatch.setenv("XMRC_DATA", str(real_data))
    assert run(*options, "second").code == 0
    first, second = (tmp_path / out / "predictions.jsonl" for out in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()
    pairs = json.loads((tmp_path / "first/scores.json").read_text())["pairs"]
    assert sum(pair["n"] for pair in pairs.values()) == len(lines_of(first))
    assert len({one["id"] for one in lines_of(first)}) == 3


def refused(ended: Ended, *told: str) -> None:
    """Exit code 2 and one line on standard error, nothing else."""
    assert ended.code == 2, ended
    assert ended.out == ""
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1
    for part in told:
        assert part in ended.err


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"--model": "nowhere"}, ["nowhere: no such folder"]),
        ({"--model": "empty"}, ["empty: must be the folder of a checkpoint", "config.json"]),
        ({"--model": "encoder"}, ["encoder/config.json: architectures", "not BertModel"]),
        ({"--model": "cut"}, ["cut: the model of this folder cannot be opened"]),
        ({"--model": "slow"}, ["slow: the tokenizer must be a fast one", "ByT5Tokenizer"]),
        ({"--model": "models:/a@b"}, ["models:/a@b: there is no tracking database", "runs"]),
        ({"--model": "models:/a"}, ["models:/NAME@ALIAS"]),
        ({"--corpus": "demo/de"}, ["'demo/de'", "nearest: 'demo/dev'"]),
        ({"--corpus": "qa.fr.json"}, ["no file matches", "qa.fr.json"]),
        ({"--corpus": "broken.en.json"}, ["broken.en.json: not valid JSON"]),
        ({"--data-root": "nowhere"}, ["--data-root: must be the folder", "nowhere"]),
        ({"--languages": "en,xx"}, ["has no 'xx'", "de, en"]),
        ({"--languages": "en,,de"}, ["--languages", "'en,,de'"]),
        ({"--limit": "0"}, ["--limit", "at least 1", "'0'"]),
        ({"--limit": "few"}, ["--limit", "whole number", "'few'"]),
        ({"--workers": "0"}, ["--workers", "at least 1", "'0'"]),
        ({"--out": "qa.en.json"}, ["--out: must be a folder", "qa.en.json"]),
        ({"--out": "qa.en.json/below"}, ["qa.en.json/below: cannot be written"]),
        ({"--storage": "qa.en.json"}, ["storage", "qa.en.json"]),
        ({"--colour": "red"}, ["unrecognized arguments: --colour red", "--help"]),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    run: Callable[..., Ended],
    folder: Path,
    reader: Path,
    changes: dict[str, str],
    told: list[str],
) -> None:
    (folder / "empty").mkdir()
    for copy in ("encoder", "cut", "slow"):
        shutil.copytree(reader, folder / copy)
    config = json.loads((reader / "config.json").read_text())
    bare = {**config, "architectures": ["BertModel"]}
    (folder / "encoder/config.json").write_text(json.dumps(bare))
    (folder / "cut/model.safetensors").write_bytes(b"cut")
    for file in (folder / "slow").glob("tokenizer*"):
        file.unlink()
    ByT5Tokenizer().save_pretrained(folder / "slow")
    (folder / "broken.en.json").write_text("{")
    before = everything_in(folder)
    options = {"--model": reader, "--corpus": "qa.*.json", "--out": "out", **changes}
    refused(run(*(part for option in options.items() for part in option)), *told)
    assert everything_in(folder) == before
    assert not (folder / "out").exists()


@pytest.mark.studies
def test_a_corpus_that_is_nowhere_from_the_shell(folder: Path, reader: Path) -> None:
    """Neither below the folder that the environment names nor, without a network, on the hub."""
    before = everything_in(folder)
    ended = run_process(
        "xmrc.evaluate", "--model", reader, "--corpus", "xquad", "--out", "out", cwd=folder,
        environment={"XMRC_DATA": str(folder), "HF_HOME": str(folder / "hub")},
    )  # fmt: skip
    refused(ended, f"'xquad' is not below {folder}", "XMRC_DATA", "hub")
    assert everything_in(folder) == before


def test_the_environment_names_no_folder(
    run: Callable[..., Ended], reader: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XMRC_DATA", "nowhere")
    ended = run("--model", reader, "--corpus", "xquad")
    refused(ended, "XMRC_DATA): must be the folder of the corpora", "nowhere")


def test_an_evaluation_that_fails_leaves_the_one_before(
    run: Callable[..., Ended], folder: Path, reader: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = folder / "out"
    assert run("--model", reader, "--corpus", "qa.en.json", "--out", out).code == 0
    before = everything_in(out)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(evaluate, "gxlt_heatmap", full)
    for place in (out, folder / "other"):
        ended = run("--model", reader, "--corpus", "qa.*.json", "--out", place)
        assert ended.code == 2
        assert ended.err == f"error: {place}: cannot be written: No space left on device\n"
    assert everything_in(out) == before
    assert not (folder / "other").exists()
