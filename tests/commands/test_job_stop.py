"""A job that is stopped and resumed by another: token, shared folder, MLflow server."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command_runs import REPOSITORY, Done, Storage
from mlflow import MlflowClient
from mlflow_server import Server
from ray_head import Head, ray_head
from ray_here import CPUS, a_home

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

EPOCHS = 6
YAML = f"""
name: short
settings:
  encoder: demo
  base: null
  start_from_base: false
  data: {{train: demo/train, select: demo/dev, languages: [en, es, zh], ntl: 2, limit: 12,
         max_length: 128, max_question_tokens: 32, stride: 16}}
  training: {{epochs: {EPOCHS}, batch_size: 8, dropout: 0.0}}
space:
  training.learning_rate: {{log_float: [5e-4, 3e-3]}}
search: {{trials: 2, evaluate_every: 1.0, scheduler: none}}
resources: {{cpus_per_worker: {CPUS}}}
"""


@dataclass(frozen=True)
class Job:
    """`ray job submit` of the study, and what it is asked with."""

    head: Head
    storage: Path
    mlflow: str

    def words(self, name: str, *more: str) -> list[str]:
        storage, uri = f"storage={self.storage}", f"tracking.uri={self.mlflow}"
        submit = ["job", "submit", "--submission-id", name, "--working-dir", ".", "--"]
        command = ["python", "-m", "xmrc.tune", "--space", "short.yaml"]
        return [*submit, *command, "--set", storage, "--set", uri, *more]


@dataclass(frozen=True)
class Story:
    """Somebody without the token, a job, its stop in the middle of a trial, a second job."""

    storage: Storage
    runs: list[Any]
    versions: int
    stranger: Done
    stop: Done
    stop_seconds: float
    status: Done
    printed: Done
    at_stop: list[dict[str, Any]]
    runs_at_stop: list[Any]
    resumed: Done
    steps: dict[str, list[int]]


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    with a_home() as home:
        clone, shared = home / "clone", home / "shared"
        shared.mkdir()
        shutil.copytree(REPOSITORY / "xmrc", clone / "xmrc")
        (clone / "short.yaml").write_text(YAML)
        server = Server(home)
        server.start()
        try:
            with ray_head(home, clone) as head:
                yield told(Job(head, shared / "runs", server.uri))
        finally:
            server.stop()


def told(job: Job) -> Story:
    storage, client = Storage(job.storage), MlflowClient(job.mlflow)
    stranger = job.head.ray(*job.words("stranger"), token="0" * 32)
    first = job.head.begin(*job.words("first"))
    first.wait_until(lambda: halfway(storage))
    began = time.monotonic()
    stop = job.head.ray("job", "stop", "first")
    stop_seconds = time.monotonic() - began
    printed, status = first.end(), job.head.ray("job", "status", "first")
    at_stop, runs_at_stop = storage.trials("short"), all_runs(client)
    resumed = job.head.ray(*job.words("second", "--resume"))
    runs = all_runs(client)
    history = {
        run.data.tags["xmrc.trial_id"]: [
            one.step for one in client.get_metric_history(run.info.run_id, "gxlt_f1")
        ]
        for run in runs
        if "xmrc.trial_id" in run.data.tags
    }
    return Story(
        storage=storage,
        runs=runs,
        versions=len(client.search_model_versions("name='xmrc-gxlt'")),
        stranger=stranger,
        stop=stop,
        stop_seconds=stop_seconds,
        status=status,
        printed=printed,
        at_stop=at_stop,
        runs_at_stop=runs_at_stop,
        resumed=resumed,
        steps=history,
    )


def halfway(storage: Storage) -> bool:
    """A trial has been evaluated, and is not about to end."""
    trials = storage.trials("short")
    return any(1 <= len(one["history"]) < EPOCHS - 2 for one in trials)


def all_runs(client: MlflowClient) -> list[Any]:
    experiment = client.get_experiment_by_name("short")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def test_nobody_submits_without_the_token(story: Story) -> None:
    assert story.stranger.code != 0
    assert "submitted successfully" not in story.stranger.out + story.stranger.err
    assert "uthentication" in story.stranger.err


def test_a_stopped_job_ends_tidily_and_says_how_to_go_on(story: Story) -> None:
    assert story.stop.code == 0
    assert "Job 'first' was stopped" in story.status.out
    printed = story.printed.out + story.printed.err
    assert "--resume" in printed
    assert "Traceback" not in printed
    assert "SIGTERM" not in printed, "Ray's own trace of the signal"
    assert story.stop_seconds < 45


def test_no_run_is_left_running(story: Story) -> None:
    assert story.runs_at_stop
    assert {run.info.status for run in story.runs_at_stop} <= {"KILLED", "FINISHED"}


def test_the_second_job_goes_on_where_the_first_was(story: Story) -> None:
    printed = story.resumed.out + story.resumed.err
    assert story.resumed.code == 0, printed
    assert "Traceback" not in printed
    assert len(list(story.storage.root.glob("short/*/study.yaml"))) == 1
    trials = {one["id"]: one for one in story.storage.trials("short")}
    assert [one["state"] for one in trials.values()] == ["finished", "finished"]
    for one in story.at_stop:
        assert trials[one["id"]]["history"][: len(one["history"])] == one["history"]


def test_the_server_has_every_epoch_once_and_one_champion(story: Story) -> None:
    assert len(story.runs) == 3, "the study and its trials"
    assert {run.info.status for run in story.runs} == {"FINISHED"}
    assert list(story.steps.values()) == [[*range(1, EPOCHS + 1)]] * 2
    assert story.versions == 1
