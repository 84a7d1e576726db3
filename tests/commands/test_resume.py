"""A study that is interrupted, killed and resumed, as a user would."""

import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from command_runs import Done, Running, Storage, module
from ray_here import CPUS, a_home

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

YAML = f"""
name: short
storage: {{storage}}
settings:
  encoder: demo
  base: null
  start_from_base: false
  data: {{{{train: demo/train, select: demo/dev, languages: [en, es, zh], ntl: 2, limit: 12,
          max_length: 128, max_question_tokens: 32, stride: 16}}}}
  objective: {{{{distill: {{{{coefficient: 1.0}}}}}}}}
  training: {{{{epochs: 6, batch_size: 8, dropout: 0.0}}}}
space:
  training.learning_rate: {{{{log_float: [5e-4, 3e-3]}}}}
search: {{{{trials: 3, evaluate_every: 1.0, scheduler: none}}}}
resources: {{{{cpus_per_worker: {CPUS}}}}}
"""


@dataclass
class Story:
    """One after the other: Ctrl-C in the first trial, SIGKILL in a later one, the end."""

    storage: Storage
    interrupted: Done
    killed: Done
    finished: Done
    at_interrupt: list[dict[str, Any]]
    at_kill: list[dict[str, Any]]
    seen: dict[str, list[int]] = field(default_factory=dict)  # evaluations of each trial, in time


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    with a_home() as home:
        yield told(home)


def told(home: Path) -> Story:
    storage = Storage(home / "runs")
    study = home / "short.yaml"
    study.write_text(YAML.format(storage=storage.root))
    command = module("tune", "--space", str(study))

    def halfway(after: int) -> list[dict[str, Any]]:
        """The ledger, once `after` trials have ended and another is in the middle."""
        trials = storage.trials("short")
        ended = [one for one in trials if one["state"] != "running"]
        begun = [
            one for one in trials
            if one["state"] == "running" and 2 <= len(one["history"]) < one["evaluations"] - 1
        ]  # fmt: skip
        return trials if begun and len(ended) >= after else []

    first = Running(command, home)
    at_interrupt = first.wait_until(lambda: halfway(after=0))
    interrupted = first.kill(signal.SIGINT)
    second = Running([*command, "--resume"], home)
    at_kill = second.wait_until(lambda: halfway(after=1))
    killed = second.kill()
    third = Running([*command, "--resume"], home)
    seen: dict[str, list[int]] = {}

    def look() -> None:
        for one in storage.trials("short"):
            counts = seen.setdefault(one["id"], [])
            if not counts or counts[-1] != len(one["history"]):
                counts.append(len(one["history"]))

    finished = third.watch(look)
    return Story(storage, interrupted, killed, finished, at_interrupt, at_kill, seen)


def by_id(trials: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {one["id"]: one for one in trials}


def test_ctrl_c_says_what_goes_on_with_it(story: Story) -> None:
    assert story.interrupted.code == 130
    run = story.storage.folder("short").name
    study = story.storage.root.parent / "short.yaml"
    assert story.interrupted.err.splitlines() == [
        "interrupted; this goes on with it:",
        f"python -m xmrc.tune --space {study} --resume {run}",
    ]
    assert "registered" not in story.interrupted.out


def test_a_killed_search_leaves_no_half_champion(story: Story) -> None:
    assert story.killed.code == -signal.SIGKILL
    assert "registered" not in story.killed.out


def test_the_resumed_study_ends_well(story: Story) -> None:
    assert (story.finished.code, story.finished.err) == (0, "")
    trials = story.storage.trials("short")
    assert [one["number"] for one in trials] == [1, 2, 3]
    assert {one["state"] for one in trials} == {"finished"}
    assert all([row["evaluation"] for row in one["history"]] == [*range(1, 7)] for one in trials)
    folders = list(story.storage.root.glob("short/*"))
    assert len(folders) == 1


def test_finished_trials_are_kept_as_they_were(story: Story) -> None:
    after = by_id(story.storage.trials("short"))
    ended = [one for one in story.at_kill if one["state"] == "finished"]
    assert ended
    for one in ended:
        same = ("number", "values", "history", "best", "state", "seconds")
        assert {key: after[one["id"]][key] for key in same} == {key: one[key] for key in same}


@pytest.mark.parametrize("moment", ["at_interrupt", "at_kill"])
def test_the_running_trial_goes_on_where_it_was(story: Story, moment: str) -> None:
    after = by_id(story.storage.trials("short"))
    (running,) = [one for one in getattr(story, moment) if one["state"] == "running"]
    reached = len(running["history"])
    assert after[running["id"]]["number"] == running["number"]
    assert after[running["id"]]["history"][:reached] == running["history"]
    if moment == "at_kill":  # it never stood at an earlier evaluation again
        counts = story.seen[running["id"]]
        assert counts[0] >= reached
        assert counts == sorted(counts)
        assert counts[-1] == 6


def test_mlflow_has_every_step_once(story: Story) -> None:
    (parent,) = story.storage.parents("short")
    assert parent.info.status == "FINISHED"
    children = story.storage.children("short")
    assert [run.data.tags["xmrc.trial_id"] for run in children] == [
        one["id"] for one in story.storage.trials("short")
    ]
    for child in children:
        assert child.info.status == "FINISHED"
        for metric in ("gxlt_f1", "loss", "c_kl", "epoch"):
            assert story.storage.steps(child, metric) == [1, 2, 3, 4, 5, 6]


def test_the_champion_is_registered_once(story: Story) -> None:
    assert story.storage.versions() == ["1"]
    assert "is version 1" in story.finished.line("registered: ")
