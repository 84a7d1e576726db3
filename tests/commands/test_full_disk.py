"""A storage that fills up in the middle of a search: what waits, what is said, what is lost."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command_runs import Running, Storage, module, settings
from ray_here import a_home

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own of 120 MB; whoever may not mount one skips."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=120m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("needs to mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Leave no byte free."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError:
            return filler


def test_the_trial_fails_with_the_reason_and_the_search_waits_for_room() -> None:
    with a_home() as home, small_disk(home / "disk") as disk:
        storage = Storage(disk / "runs")
        overrides = settings(
            f"storage={storage.root}", "search.trials=3", "search.start_from=[]",
            "search.scheduler=none", "settings.base=null", "settings.start_from_base=false",
            "settings.data.limit=10", "settings.training.epochs=6", "resources.cpus_per_worker=2",
        )  # fmt: skip
        running = Running(module("tune", "--space", "search_spaces/demo.yaml", *overrides), home)
        running.wait_until(lambda: [one for one in storage.trials("demo") if one["history"]])
        filler = fill(disk)
        running.wait_until(lambda: "is full" in running.printed)
        assert "the search waits until" in running.printed
        filler.unlink()
        done = running.end()
        assert done.code == 0, done.err
        assert "there is room again, the search goes on" in done.out
        states = [one["state"] for one in storage.trials("demo")]
        assert sorted(states) == ["failed", "finished", "finished"]
        (failed,) = [one for one in storage.trials("demo") if one["state"] == "failed"]
        assert "No space left on device" in failed["cause"]
        assert storage.versions() == ["1"]
        for child in storage.children("demo"):
            assert child.data.tags["xmrc.state"] in ("failed", "finished")
            steps = storage.steps(child)
            assert steps == sorted(set(steps))
