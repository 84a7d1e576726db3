"""`python -m xmrc.report`, as a user runs it."""

import subprocess
import sys

import pytest
from study_folders import TRIALS, study_folder

from xmrc import command
from xmrc import report as report_command


def report(*options, cwd):
    command = [sys.executable, "-m", "xmrc.report", *options]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)


@pytest.mark.studies
def test_a_page_and_its_pictures(tmp_path):
    folder = study_folder(tmp_path / "runs")
    ran = report("--study", "small", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    page = folder / "report" / "index.html"
    assert ran.stdout == f"written to {page}, with its pictures as PNG files\n"
    assert page.read_text().startswith("<!doctype html>")
    assert {"history.png", "gxlt-f1-best.png"} <= {file.name for file in page.parent.iterdir()}


@pytest.mark.studies
def test_another_storage_another_place(tmp_path):
    study_folder(tmp_path / "elsewhere", trials=TRIALS[:1])
    options = ["--storage", "elsewhere", "--out", "page"]
    ran = report("--study", "small", *options, cwd=tmp_path)
    assert ran.returncode == 0
    assert (tmp_path / "page" / "index.html").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--study", "large"], "--study: must be a study that has run under "),
        ([], "one of the arguments --study --upload is required"),
        (["--study", "small", "--out", "taken"], "taken: cannot be written: "),
    ],
)
def test_a_mistake_is_one_line(options, said, tmp_path, monkeypatch, capsys):
    study_folder(tmp_path / "runs", trials=TRIALS[:1])
    (tmp_path / "taken").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["report", *options])
    with pytest.raises(SystemExit) as left:
        command.run(report_command.main)
    printed = capsys.readouterr()
    assert (left.value.code, printed.out) == (2, "")
    assert printed.err.startswith(f"error: {said}")
    assert printed.err.count("\n") == 1
