"""A study submitted as a job to a running Ray cluster, with the words of the README.

Its trial trains on two workers, which share each batch.
"""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command_runs import REPOSITORY, Storage, run, settings
from ray_here import CPUS, a_home, clean_environment

pytestmark = [pytest.mark.studies, pytest.mark.timeout(1800)]

SHORT = settings(
    "search.trials=1",
    "resources.workers=2",
    "settings.data.limit=10",
    "settings.base=null",
    "settings.start_from_base=false",
    "settings.training.epochs=1",
    "search.start_from=[]",
)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def head(home: Path) -> Iterator[str]:
    """`ray start --head`, in a process group of its own that is ended with it; its address."""
    dashboard = free_port()
    words = [
        str(Path(sys.executable).with_name("ray")), "start", "--head", "--block",
        f"--port={free_port()}", f"--dashboard-port={dashboard}", f"--num-cpus={CPUS}",
        f"--temp-dir={home / 'ray'}", "--include-dashboard=true",
        f"--dashboard-agent-listen-port={free_port()}", f"--metrics-export-port={free_port()}",
    ]  # fmt: skip
    with (home / "head.log").open("w") as log:
        process = subprocess.Popen(
            words, env=clean_environment(home), stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield f"http://127.0.0.1:{dashboard}"
        finally:
            process.terminate()
            process.wait(60)


def submitted(home: Path) -> tuple[int, str]:
    """The job's exit code and what it printed, from a clone that is no checkout."""
    clone = home / "clone"
    for part in ("xmrc", "search_spaces"):
        shutil.copytree(REPOSITORY / part, clone / part)
    with head(home) as address:
        command = ["ray", "job", "submit", "--working-dir", ".", "--", "python", "-m", "xmrc.tune"]
        words = [*command, "--space", "search_spaces/demo.yaml", *SHORT]
        for _ in range(30):  # the dashboard takes its time to answer
            done = run(words, home, cwd=clone, RAY_API_SERVER_ADDRESS=address)
            if "submitted successfully" in done.out + done.err:
                return done.code, done.out + done.err
        raise AssertionError(done.out + done.err)


def test_a_job_runs_the_study_and_keeps_it_under_the_home_folder() -> None:
    with a_home() as home:
        code, printed = submitted(home)
        assert code == 0, printed
        assert "succeeded" in printed
        storage = Storage(home / "xmrc" / "runs")
        (trial,) = storage.trials("demo")
        assert trial["state"] == "finished"
        (child,) = storage.children("demo")
        assert child.data.metrics["gxlt_f1"] == trial["best"]
        assert storage.versions() == ["1"]
        assert f"everything is kept in {storage.root}" in printed
        assert f"--storage {storage.root}" in printed, "the next commands find it"
        assert "Traceback" not in printed
        assert os.listdir(storage.root / "cache" / "tokens")
