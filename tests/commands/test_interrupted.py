"""A study that is told to end while others want its place, and goes on, as a user would."""

import shlex
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from command_runs import NOISE, Done, Running, Storage, module, run, settings
from mlflow.entities import Run
from ray_here import a_home

from xmrc.files import read_document
from xmrc.search.folder import StudyFolder
from xmrc.search.lock import living_owner

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

YAML = """
name: endless
settings:
  encoder: demo
  base: null
  start_from_base: false
  data: {train: demo/train, select: demo/dev, languages: [en, es], ntl: 1, limit: 8,
         max_length: 128, max_question_tokens: 32, stride: 16}
  training: {epochs: 1000, batch_size: 8, learning_rate: 2e-3, dropout: 0.0}
space:
  training.weight_decay: {choice: [0.0, 0.1]}
search: {sampler: grid, evaluate_every: 1.0, scheduler: none}
resources: {cpus_per_worker: 1}
"""


@dataclass
class Story:
    """Two searches of a study at once. Each step is how it ended, as it was told."""

    storage: Storage
    file: Path
    first: Path  # the runs
    second: Path
    pid: int  # of the first search
    refused: Done  # `--resume` of the first run while it is searched
    beside: Done  # the second search, ended by Ctrl-C, twice
    terminated: Done  # the first search, by SIGTERM
    seconds: float  # that it took
    at_sigterm: dict[str, dict[str, Any]]  # the ledger by trial, then
    marked: dict[str, Run]  # the runs in MLflow by trial, then; the study's under ""
    early: Done  # resumed, and ended by SIGTERM before Ray has started
    resumed: Done  # resumed again, ended by SIGTERM once its trials had gone on
    reopened: dict[str, Run]  # the runs in MLflow while they went on


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    with a_home() as home:
        yield told(home)


def told(home: Path) -> Story:
    storage, file = Storage(home / "my runs"), home / "endless.yaml"
    file.write_text(YAML)
    command = module("tune", "--space", str(file), *settings(f"storage={storage.root}"))

    search = Running(command, home)
    (first,) = search.wait_until(lambda: searched(storage))
    search.wait_until(lambda: min(evaluations(first), default=0) > 1)
    refused = run([*command, "--resume"], home)
    other = Running(command, home)
    second = other.wait_until(lambda: searched(storage)[1:])[0]
    other.wait_until(lambda: "run_id" in StudyFolder(second).state())
    other.process.send_signal(signal.SIGINT)
    beside = other.kill(signal.SIGINT)
    began = monotonic()
    terminated = search.kill(signal.SIGTERM)
    seconds = monotonic() - began
    at_sigterm, marked = ledger(first), runs_of(storage, first)

    again = shlex.split(terminated.err.splitlines()[-1])
    hasty = Running(again, home)
    hasty.wait_until(lambda: searched(storage))
    early = hasty.kill(signal.SIGTERM)
    resumed = Running(again, home)
    reached = max(len(one["history"]) for one in at_sigterm.values())
    resumed.wait_until(lambda: min(evaluations(first)) > reached + 1)
    reopened = runs_of(storage, first)
    ended = resumed.kill(signal.SIGTERM)
    return Story(
        storage, file, first, second, search.process.pid, refused, beside, terminated, seconds,
        at_sigterm, marked, early, ended, reopened,
    )  # fmt: skip


def searched(storage: Storage) -> list[Path]:
    """The runs that a living search has."""
    return [path for path in sorted(storage.root.glob("endless/*")) if living_owner(path)]


def ledger(folder: Path) -> dict[str, dict[str, Any]]:
    file = folder / "trials.json"
    return {one["id"]: one for one in read_document(file)} if file.exists() else {}


def evaluations(folder: Path) -> list[int]:
    return [len(one["history"]) for one in ledger(folder).values()]


def runs_of(storage: Storage, folder: Path) -> dict[str, Run]:
    """In MLflow, by trial; the study's own under the empty name."""
    client, parent = storage.mlflow, StudyFolder(folder).state()["run_id"]
    study = client.get_run(parent)
    condition = f"tags.`mlflow.parentRunId` = '{parent}'"
    children = client.search_runs([study.info.experiment_id], condition)
    return {"": study, **{one.data.tags["xmrc.trial_id"]: one for one in children}}


def test_a_resume_beside_the_living_search_is_refused(story: Story) -> None:
    assert (story.refused.code, story.refused.out) == (2, "")
    (line,) = story.refused.err.splitlines()
    assert line.startswith(f"error: {story.first}: must be written to by one search at a time")
    assert f"pid {story.pid}, since 20" in line


def test_a_second_start_says_so_and_has_a_folder_of_its_own(story: Story) -> None:
    line = story.beside.line("endless: also running in ")
    assert line.startswith(f"endless: also running in {story.first} (")
    assert f"pid {story.pid}, since 20" in line
    assert story.second != story.first


@pytest.mark.parametrize(
    ("end", "word", "code"),
    [("beside", "interrupted", 130), ("terminated", "terminated", 143),
     ("early", "terminated", 143), ("resumed", "terminated", 143)],
)  # fmt: skip
def test_what_it_says_at_its_end(story: Story, end: str, word: str, code: int) -> None:
    done: Done = getattr(story, end)
    folder = story.second if end == "beside" else story.first
    options = ["--space", str(story.file), "--set", f"storage={story.storage.root}"]
    command = ["python", "-m", "xmrc.tune", *options, "--resume", folder.name]
    assert done.err.splitlines() == [f"{word}; this goes on with it:", shlex.join(command)]
    assert done.code == code
    assert not NOISE.search(done.out)
    assert "registered" not in done.out


def test_it_takes_no_half_minute(story: Story) -> None:
    assert story.seconds < 30
    print(f"ended in {story.seconds:.1f} s")


def test_mlflow_knows_that_the_study_and_its_trials_have_ended(story: Story) -> None:
    assert {one["state"] for one in story.at_sigterm.values()} == {"running"}
    assert story.marked.keys() == {"", *story.at_sigterm}
    assert {one.info.status for one in story.marked.values()} == {"KILLED"}
    for trial, record in story.at_sigterm.items():
        assert story.storage.steps(story.marked[trial])[: len(record["history"])] == [
            row["evaluation"] for row in record["history"]
        ]


def test_a_resumed_study_and_its_trials_run_again(story: Story) -> None:
    assert story.reopened.keys() == story.marked.keys()
    assert {one.info.status for one in story.reopened.values()} == {"RUNNING"}
    after = ledger(story.first)
    assert after.keys() == story.at_sigterm.keys()
    for trial, record in story.at_sigterm.items():
        reached = len(record["history"])
        assert after[trial]["history"][:reached] == record["history"]
        steps = story.storage.steps(story.reopened[trial])
        assert steps == sorted(set(steps))


def test_nobody_has_the_runs_any_more(story: Story) -> None:
    assert searched(story.storage) == []
    assert list(story.storage.root.rglob("lock.json*")) == []
