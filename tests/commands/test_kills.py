"""Whatever is killed, a study ends as if nothing had happened.

The same two trials again and again: undisturbed, with a search that is killed five times, with a
trial's process that is lost, with a worker that is lost.
"""

import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command_runs import Done, Running, Storage, module, settings
from ray_here import CPUS, a_home

from xmrc.seals import is_intact

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

EPOCHS = 8
YAML = f"""
name: killed
storage: {{storage}}
settings:
  encoder: demo
  base: null
  start_from_base: false
  data: {{{{train: demo/train, select: demo/dev, languages: [en, es], ntl: 1, limit: 12,
          max_length: 128, max_question_tokens: 32, stride: 16}}}}
  objective: {{{{distill: {{{{coefficient: map}}}}}}}}
  training: {{{{epochs: {EPOCHS}, batch_size: 8, dropout: 0.0, precision: fp32}}}}
space:
  training.learning_rate: {{{{log_float: [5e-4, 3e-3]}}}}
search: {{{{trials: 2, evaluate_every: 1.0, scheduler: none}}}}
resources: {{{{cpus_per_worker: {CPUS}}}}}
"""


@dataclass(frozen=True)
class Study:
    """How a study ended, and where."""

    done: Done
    storage: Storage

    @property
    def trials(self) -> list[dict[str, Any]]:
        return self.storage.trials("killed")


@contextmanager
def begun(*overrides: str) -> Iterator[tuple[Callable[..., Running], Storage, Path]]:
    """What starts the study, or goes on with it; its storage; its home."""
    with a_home() as home:
        storage, file = Storage(home / "runs"), home / "killed.yaml"
        file.write_text(YAML.format(storage=storage.root))
        command = module("tune", "--space", str(file), *settings(*overrides))
        yield lambda *more: Running([*command, *more], home), storage, home


@pytest.fixture(scope="module")
def undisturbed() -> Iterator[Study]:
    with begun() as (start, storage, _):
        yield Study(start().end(), storage)


def check_whole(study: Study) -> None:
    """Every trial once, every epoch once, one champion; every checkpoint as it was written."""
    assert (study.done.code, study.done.err) == (0, "")
    numbers = [*range(1, EPOCHS + 1)]
    assert [one["id"] for one in study.trials] == ["trial-1", "trial-2"]
    for one in study.trials:
        assert one["state"] == "finished", one["cause"]
        assert [row["evaluation"] for row in one["history"]] == numbers
    (parent,) = study.storage.parents("killed")
    assert parent.info.status == "FINISHED"
    children = study.storage.children("killed")
    assert sorted(run.data.tags["xmrc.trial_id"] for run in children) == [
        one["id"] for one in study.trials
    ]
    for child in children:
        assert child.info.status == "FINISHED"
        for metric in ("gxlt_f1", "loss", "c_kl"):
            assert study.storage.steps(child, metric) == numbers
    assert study.storage.versions() == ["1"]
    kept = [*study.storage.folder("killed").glob("search/*/checkpoint_*")]
    assert len(kept) == 2
    assert all(is_intact(checkpoint / "model") for checkpoint in kept)
    assert not [checkpoint for checkpoint in kept if (checkpoint / "state").exists()]


def check_same(study: Study, undisturbed: Study) -> None:
    """The same values, the same curves, the same champion."""
    check_whole(study)
    facts = ("id", "values", "best", "checkpoint", "history")
    for one, other in zip(study.trials, undisturbed.trials, strict=True):
        assert {fact: one[fact] for fact in facts} == {fact: other[fact] for fact in facts}
    found, wanted = (one.storage.scores("killed", "champion") for one in (study, undisturbed))
    assert found == wanted


def check_alike(study: Study, undisturbed: Study) -> None:
    """The same values and, to float32's rounding on another number of threads, the same curves."""
    check_whole(study)
    for one, other in zip(study.trials, undisturbed.trials, strict=True):
        assert one["values"] == other["values"]
        for row, wanted in zip(one["history"], other["history"], strict=True):
            for part in ("loss", "loss_span", "c_kl"):
                assert row[part] == pytest.approx(wanted[part], rel=5e-2)


def test_undisturbed_it_is_whole_and_ray_has_left_nothing(undisturbed: Study) -> None:
    check_whole(undisturbed)
    names = {path.name for path in undisturbed.storage.root.rglob("*")}
    assert not [name for name in names if name.startswith(("experiment_state", "tuner.pkl"))]
    assert not [name for name in names if name.endswith((".pkl", ".pickle"))]


def test_a_search_that_is_killed_five_times_in_a_row(undisturbed: Study) -> None:
    """At random moments: between proposal and start, in training, while a checkpoint is written."""
    moments = random.Random(7)
    with begun() as (start, storage, _):
        running = start()
        for _ in range(5):
            before = reached(storage)
            further = before + moments.randint(0, 2)
            running.wait_until(lambda further=further: reached(storage) >= further)
            wait_for_change(running, storage, moments.randint(0, 3))
            assert running.kill().code == -signal.SIGKILL
            assert reached(storage) >= before, "what was known is known"
            running = start("--resume")
        check_same(Study(running.end(), storage), undisturbed)


def reached(storage: Storage) -> int:
    """Evaluations that the ledger knows of; -1 before there is one."""
    trials = storage.trials("killed")
    return sum(len(one["history"]) for one in trials) if trials else -1


def wait_for_change(running: Running, storage: Storage, files: int) -> None:
    """Until so many files of checkpoints have come or gone."""
    for _ in range(files):
        now = listed(storage)
        running.wait_until(lambda now=now: listed(storage) != now)


def listed(storage: Storage) -> set[Path]:
    return set(storage.root.glob("killed/*/search/**/*"))


def test_a_trial_whose_process_is_killed_goes_on(undisturbed: Study) -> None:
    """One of two that run at once; the other does not notice."""
    with begun("resources.cpus_per_worker=1") as (start, storage, home):
        running = start()
        running.wait_until(lambda: in_the_middle(storage))
        os.kill(process_of(home, b"ray::ImplicitFunc"), signal.SIGKILL)
        check_alike(Study(running.end(), storage), undisturbed)


def test_a_killed_worker_of_two_comes_back_and_the_trial_goes_on(undisturbed: Study) -> None:
    """Its curve is that of one undisturbed worker, to float32's rounding."""
    two = ("resources.workers=2", "resources.cpus_per_worker=1")
    with begun(*two) as (start, storage, home):
        running = start()
        running.wait_until(lambda: in_the_middle(storage))
        os.kill(process_of(home, b"ray::RayTrainWorker"), signal.SIGKILL)
        check_alike(Study(running.end(), storage), undisturbed)


def in_the_middle(storage: Storage) -> bool:
    return any(
        one["state"] == "running" and 2 <= len(one["history"]) < EPOCHS - 1
        for one in storage.trials("killed")
    )


def process_of(home: Path, title: bytes) -> int:
    """A process of Ray's that is called so, whose cluster lives under `home`."""
    found = [one for one in Path("/proc").iterdir() if one.name.isdigit() and _is(one, home, title)]
    assert found, f"no {title.decode()} is there"
    return int(found[0].name)


def _is(process: Path, home: Path, title: bytes) -> bool:
    try:
        named = (process / "cmdline").read_bytes().startswith(title)
        return named and f"HOME={home}\0".encode() in (process / "environ").read_bytes()
    except OSError:  # it has ended
        return False


def test_a_damaged_last_checkpoint_is_named_and_passed_over(undisturbed: Study) -> None:
    """And the record alone is enough: of all else that a killed search left, nothing is needed."""
    with begun() as (start, storage, _):
        running = start()
        running.wait_until(lambda: in_the_middle(storage))
        running.kill()
        folder = storage.folder("killed")
        last = max(path.parents[1] for path in folder.glob("search/*/*/state/state.pt"))
        tensors = bytearray((last / "state" / "state.pt").read_bytes())
        tensors[5000:9096] = bytes(255 - byte for byte in tensors[5000:9096])
        (last / "state" / "state.pt").write_bytes(tensors)
        shutil.rmtree(folder / "observed")
        resumed = start("--resume")
        study = Study(resumed.end(), storage)
        assert f"{last}: must be as it was written, and it is not" in study.done.out
        check_same(study, undisturbed)
