"""`python -m xmrc.compare`: folders, groups of seeds, MLflow runs, and bad input."""

import os
import random
import subprocess
import sys

import pytest
from gxlt_scores import scored_row
from mlflow import MlflowClient

from xmrc import command
from xmrc import compare as compare_command
from xmrc import tables as tables_of
from xmrc.scoring.evaluation_files import write_tables
from xmrc.scoring.predictions import scored_frame


def write_run(folder, *, mean=0.5, seed=0, ids=60, languages=("en", "de"), label=""):
    """An evaluation; the questions of every one are equally hard."""
    ease, chance = random.Random(9), random.Random(f"{mean} {seed}")
    scores = []
    for number in range(ids):
        hard = ease.gauss(0, 0.2)
        for question in languages:
            for context in languages:
                f1 = min(max(mean + hard + chance.gauss(0, 0.1), 0.0), 1.0)
                right = float(f1 > 0.5)
                rank = 1 if right else 2 if f1 > 0.4 else None
                pair, scored = f"{question}-{context}", (100 * f1, 100 * right)
                scores.append(scored_row(f"q{number}", pair, *scored, rank=rank, windows=1))
    write_tables(folder, scored_frame(scores), label)
    return str(folder)


@pytest.fixture
def compare(monkeypatch, capsys):
    """Run the command in this process: exit code, what it printed, what it complained of."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["compare", *arguments])
        code = 0
        try:
            command.run(compare_command.main)
        except SystemExit as end:
            code = end.code
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def tables(monkeypatch):
    """The tables that the command prints, the last run's."""
    shown = []

    def as_terminal(table):
        if table.title.startswith("against"):
            shown.clear()
        shown.append(table)
        return tables_of.as_terminal(table)

    monkeypatch.setattr(compare_command, "as_terminal", as_terminal)
    return shown


def test_two_folders(tmp_path):
    """As a user runs it, in a process of its own."""
    runs = [write_run(tmp_path / name, mean=mean) for name, mean in (("a", 0.5), ("b", 0.6))]
    done = subprocess.run(
        [sys.executable, "-m", "xmrc.compare", *runs],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    out = done.stdout
    assert f"A: {runs[0]}\nB: {runs[1]}\n" in out
    assert "the 60 question ids are the unit" in out
    for shown in ("xlt_f1", "gxlt_em", "xlt_em", "context de", "question en", "against A"):
        assert shown in out
    assert "significant after Holm's correction: 4 of 4 pairs" in " ".join(out.split())
    assert "Wilcoxon over the pairs of A and B, as a description: f1 p" in out
    assert "A, recall-limited in" in out


def test_the_second_of_two_is_nine_points_better(tmp_path, compare, tables):
    runs = [write_run(tmp_path / name, mean=mean) for name, mean in (("a", 0.5), ("b", 0.6))]
    assert compare(*runs)[0] == 0
    assert [table.title for table in tables] == ["against A", *["B less A"] * 4]
    row = tables[0].frame.iloc[0]
    assert (row["score"], row["run"]) == ("gxlt_f1", "B")
    assert row["difference"] == pytest.approx(row["second"] - row["first"])
    assert row["difference"] == pytest.approx(9, abs=3)
    assert row["p_holm"] < 0.001


def test_several_runs_are_compared_with_the_first(tmp_path, compare):
    runs = [write_run(tmp_path / f"{n}", seed=n) for n in range(3)]
    code, out, _ = compare(*runs)
    assert code == 0
    assert "B less A" in out
    assert "C less A" in out
    assert "C less B" not in out


def test_runs_say_how_their_scores_overlap_with_training(tmp_path, compare):
    one, other = (
        write_run(tmp_path / name, label=label)
        for name, label in (("a", "shared paragraphs"), ("b", ""))
    )
    code, out, _ = compare(one, other)
    assert code == 0
    assert out.startswith(f"A: {one} (shared paragraphs)\nB: {other}\n")


def test_groups_of_seeds(tmp_path, compare, tables):
    first = [write_run(tmp_path / f"a{seed}", seed=seed) for seed in range(3)]
    second = [write_run(tmp_path / f"b{seed}", mean=0.55, seed=seed) for seed in range(4)]
    code, out, _ = compare(",".join(first), ",".join(second))
    assert code == 0
    assert f"A: {', '.join(first)}" in out
    assert "the seeds are the unit" in out
    assert tables[0].frame["difference"][0] == pytest.approx(5, abs=2)


def test_the_folder_of_a_study_has_its_champions(tmp_path, compare):
    study = tmp_path / "study"
    study.mkdir()
    write_run(study / "champion", mean=0.6)
    code, out, _ = compare(str(study), write_run(tmp_path / "a"))
    assert code == 0
    assert f"A: {study}" in out


@pytest.fixture
def mlflow_runs(tmp_path, monkeypatch):
    """Two runs of which the first has the evaluation of a champion, and the server's address."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = MlflowClient(uri)
    experiment = client.create_experiment("study", str(tmp_path / "mlartifacts"))
    full, empty = (client.create_run(experiment).info.run_id for _ in range(2))
    write_run(tmp_path / "champion", mean=0.6)
    client.log_artifact(full, str(tmp_path / "champion" / "examples.parquet"), "champion")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return uri, full, empty


def test_runs_in_mlflow(tmp_path, compare, tables, mlflow_runs):
    uri, full, empty = mlflow_runs
    folder = write_run(tmp_path / "a")
    compare(folder, str(tmp_path / "champion"))
    expected = tables[0].texts
    code, out, _ = compare(folder, full, "--tracking-uri", uri)
    assert code == 0
    assert f"B: {full}" in out
    assert tables[0].texts == expected
    assert compare(folder, full, "--storage", str(tmp_path))[1] == out

    code, _, problem = compare(folder, empty, "--tracking-uri", uri)
    assert code == 2
    names = "must have the file examples.parquet or champion/examples.parquet"
    assert problem == f"error: run {empty} at {uri}: {names}\n"

    code, _, problem = compare(folder, "0" * 32, "--tracking-uri", uri)
    assert code == 2
    assert problem == f"error: run {'0' * 32}: no such run at {uri}\n"


def test_registered_models(tmp_path, compare, tables, mlflow_runs):
    """The version is of a trial's run, and the evaluation lies beside that of its study."""
    uri, full, empty = mlflow_runs
    client = MlflowClient(uri)
    client.create_registered_model("gxlt")
    for study in (full, empty):
        tags = {"mlflow.parentRunId": study}
        trial = client.create_run(client.get_run(study).info.experiment_id, tags=tags).info
        client.create_model_version("gxlt", trial.artifact_uri, trial.run_id)
    client.set_registered_model_alias("gxlt", "champion", "1")
    folder, options = write_run(tmp_path / "a"), ("--tracking-uri", uri)
    compare(folder, str(tmp_path / "champion"))
    expected = tables[0].texts
    for name in ("models:/gxlt@champion", "models:/gxlt/1"):
        code, out, _ = compare(folder, name, *options)
        assert code == 0
        assert f"B: {name}" in out
        assert tables[0].texts == expected

    without = f"run {empty} at {uri}: must have the file champion/examples.parquet"
    for name, message in (
        ("models:/gxlt/2", f"models:/gxlt/2: {without}"),
        ("models:/gxlt@nobody", f"models:/gxlt@nobody: no such model at {uri}"),
        ("models:/gxlt/7", f"models:/gxlt/7: no such model at {uri}"),
        ("models:/other@champion", f"models:/other@champion: no such model at {uri}"),
    ):
        code, out, problem = compare(folder, name, *options)
        assert (code, out, problem) == (2, "", f"error: {message}\n")


def test_a_model_that_no_run_has_made(tmp_path, compare, mlflow_runs):
    uri, *_ = mlflow_runs
    client = MlflowClient(uri)
    client.create_registered_model("foreign")
    client.create_model_version("foreign", str(tmp_path))
    code, _, problem = compare(
        write_run(tmp_path / "a"), "models:/foreign/1", "--tracking-uri", uri
    )
    message = f"models:/foreign/1: must have been registered by a run at {uri}"
    assert (code, problem) == (2, f"error: {message}\n")


def test_bad_input_is_one_line_with_exit_code_2(tmp_path, compare, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    good, same = write_run(tmp_path / "good"), str(tmp_path / "." / "good") + "/"
    other = write_run(tmp_path / "other", languages=("en", "zh"))
    fewer = write_run(tmp_path / "fewer", ids=59)
    one = [write_run(tmp_path / f"one{n}", ids=1, seed=n) for n in range(2)]
    (tmp_path / "empty").mkdir()
    for arguments, message in (
        ([good], "RUN: must name 2 to 26 runs, got 1"),
        ([good, same], "must name each run once"),
        ([good, "nowhere"], "models:/NAME/VERSION; nowhere is none of them"),
        ([good, "models:/x"], "models:/x: must be models:/NAME@ALIAS or models:/NAME/VERSION"),
        ([good, "models:/x@y"], "models:/x@y: there is no tracking database"),
        ([good, str(tmp_path / "empty")], "empty: must hold examples.parquet"),
        ([good, other], "must be over the same examples: 180 of the 240 of"),
        ([good, fewer], f"4 of the 240 of {good} are not in {fewer}"),
        ([good, f"{other},{fewer}"], f"{good} is single"),
        (one, "at least 2 question ids, got 1"),
        ([good, "0" * 32], "there is no tracking database"),
        ([good, ","], "must be words separated by commas"),
    ):
        code, out, problem = compare(*arguments)
        assert (code, out) == (2, ""), arguments
        assert message in problem, arguments
        assert problem.count("\n") == 1
        assert problem.startswith("error: ")
    assert not (tmp_path / "runs").exists()
