"""`python -m xmrc.train`: the settings once, here on two workers that share each batch."""

import os
import signal
from pathlib import Path

import pytest
from command_runs import Running, Storage, module, run, settings
from ray_here import a_home

pytestmark = pytest.mark.timeout(1800)


@pytest.mark.studies
def test_the_settings_are_trained_once_on_two_workers() -> None:
    with a_home() as home:
        storage = Storage(home / "runs")
        overrides = settings(
            f"storage={storage.root}",
            "resources.workers=2",
            "settings.base=null",
            "settings.start_from_base=false",
            "settings.data.limit=10",
            "settings.training.epochs=1",
        )
        words = module("train", "--space", "search_spaces/demo.yaml", *overrides)
        done = run(words, home)
        assert (done.code, done.err) == (0, "")
        (trial,) = storage.trials("demo-train")
        assert (trial["state"], trial["values"]) == ("finished", {})
        (child,) = storage.children("demo-train")
        assert child.data.params == {}
        assert child.data.metrics["gxlt_f1"] == trial["best"]
        assert storage.versions() == ["1"]


@pytest.mark.studies
def test_a_killed_worker_comes_back_and_the_trial_goes_on() -> None:
    """SIGKILL of one of two workers after the first evaluation: nothing is trained twice."""
    with a_home() as home:
        storage = Storage(home / "runs")
        overrides = settings(
            f"storage={storage.root}",
            "resources.workers=2",
            "settings.base=null",
            "settings.start_from_base=false",
            "settings.data.limit=12",
            "settings.training.epochs=6",
            "settings.training.batch_size=8",
        )
        running = Running(module("train", "--space", "search_spaces/demo.yaml", *overrides), home)

        def reached() -> bool:
            trials = storage.trials("demo-train")
            return bool(trials) and 1 <= len(trials[0]["history"]) < 4

        running.wait_until(reached)
        os.kill(a_worker_of(home), signal.SIGKILL)
        done = running.end()
        assert (done.code, done.err) == (0, "")
        (trial,) = storage.trials("demo-train")
        assert trial["state"] == "finished"
        assert [row["evaluation"] for row in trial["history"]] == [1, 2, 3, 4, 5, 6]
        (child,) = storage.children("demo-train")
        assert storage.steps(child) == [1, 2, 3, 4, 5, 6]


def a_worker_of(home: Path) -> int:
    """The process of a Ray Train worker whose cluster lives under `home`."""
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and _is_worker(process, home):
            return int(process.name)
    raise AssertionError("no worker is there")


def _is_worker(process: Path, home: Path) -> bool:
    try:
        named = (process / "cmdline").read_bytes().startswith(b"ray::RayTrainWorker")
        return named and f"HOME={home}".encode() in (process / "environ").read_bytes()
    except OSError:  # it has ended
        return False
