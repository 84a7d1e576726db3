"""Commands as a user types them. In: words, a home. Out: exit code, lines, what was written."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run
from ray_here import clean_environment

import xmrc
from xmrc.files import read_document

REPOSITORY = Path(xmrc.__file__).parents[1]
PATIENCE = 900  # seconds, for machines that do other things too; nothing here takes as long
NOISE = re.compile(r"\x1b\[|Traceback|Warning|\bWARN|\bERROR\b|\bINFO\b|\(pid=|raylet|it/s\]")


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return [line for line in self.out.splitlines() if line.strip()]

    def line(self, start: str) -> str:
        """The one line that begins with `start`."""
        (found,) = [line for line in self.lines if line.startswith(start)]
        return found


def run(words: list[str], home: Path, cwd: Path = REPOSITORY, **more: str) -> Done:
    """A command with a home of its own; `more` are variables of its environment."""
    environment = {**clean_environment(home), **more}
    done = subprocess.run(
        words, cwd=cwd, env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    return Done(done.returncode, done.stdout, done.stderr)


def module(name: str, *options: str) -> list[str]:
    """`python -m xmrc.NAME`."""
    return [sys.executable, "-m", f"xmrc.{name}", *options]


def settings(*overrides: str) -> list[str]:
    """`--set` before each."""
    return [word for override in overrides for word in ("--set", override)]


class Running:
    """A command that can be watched and killed."""

    def __init__(self, words: list[str], home: Path, cwd: Path = REPOSITORY, **more: str) -> None:
        # they live as long as the process that writes to them
        self._out, self._err = (tempfile.TemporaryFile("w+") for _ in range(2))  # noqa: SIM115
        self.process = subprocess.Popen(
            words,
            cwd=cwd,
            env={**clean_environment(home), **more},
            stdout=self._out,
            stderr=self._err,
            start_new_session=True,
            # A shell has its background jobs ignore Ctrl-C, and they hand that down.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )

    def wait_until(self, condition: Callable[[], Any]) -> Any:
        """What `condition` gives, once it is true; AssertionError if the command ends before."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            found = condition()
            if found:
                return found
            assert self.process.poll() is None, self.end()
            time.sleep(0.02)
        raise TimeoutError(self.kill())

    def watch(self, look: Callable[[], object]) -> Done:
        """Call `look` again and again until the command ends."""
        until = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < until:
            look()
            time.sleep(0.02)
        return self.end()

    def kill(self, number: int = signal.SIGKILL) -> Done:
        """Send a signal to this process alone, and wait for its end."""
        os.kill(self.process.pid, number)
        return self.end()

    @property
    def printed(self) -> str:
        """Standard output until now."""
        return Path(f"/proc/self/fd/{self._out.fileno()}").read_text()

    def end(self) -> Done:
        self.process.wait(timeout=PATIENCE)
        self._err.seek(0)
        return Done(self.process.returncode, self.printed, self._err.read())


@dataclass(frozen=True)
class Storage:
    """What studies have written."""

    root: Path

    def folder(self, study: str) -> Path:
        """The last run of a study."""
        return max(path.parent for path in self.root.glob(f"{study}/*/study.yaml"))

    def trials(self, study: str) -> list[dict[str, Any]]:
        """The ledger, empty before it begins."""
        found = list(self.root.glob(f"{study}/*/trials.json"))
        return read_document(max(found)) if found else []

    def scores(self, study: str, reader: str) -> dict[str, Any]:
        """metrics and pairs of `start` or `champion`."""
        return json.loads((self.folder(study) / reader / "scores.json").read_text())

    @property
    def mlflow(self) -> MlflowClient:
        return MlflowClient(f"sqlite:///{self.root / 'mlflow.db'}")

    def parents(self, study: str) -> list[Run]:
        """The study's runs, the newest first."""
        experiment = self.mlflow.get_experiment_by_name(study)
        runs = self.mlflow.search_runs([experiment.experiment_id])
        return [run for run in runs if "mlflow.parentRunId" not in run.data.tags]

    def children(self, study: str) -> list[Run]:
        """The trials of the newest run, in the order of their start."""
        parent = self.parents(study)[0]
        condition = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
        runs = self.mlflow.search_runs([parent.info.experiment_id], condition)
        return sorted(runs, key=lambda run: run.info.start_time)

    def steps(self, run: Run, metric: str = "gxlt_f1") -> list[int]:
        """Where a metric was written, with repetitions."""
        return [one.step for one in self.mlflow.get_metric_history(run.info.run_id, metric)]

    def versions(self, name: str = "xmrc-gxlt") -> list[str]:
        """Of a registered model, the oldest first."""
        found = self.mlflow.search_model_versions(f"name='{name}'")
        return [str(number) for number in sorted(int(one.version) for one in found)]
