"""A Ray cluster that others submit jobs to. In: a home. Out: the address of its dashboard.

It is as the README says: a token that is asked for, and a job that is given time to end.
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from command_runs import Done, Running, run
from ray_here import CPUS, clean_environment

PATIENCE = 120.0  # seconds until a head answers


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass(frozen=True)
class Head:
    """A head that runs; `clone` is the folder that jobs are submitted from."""

    home: Path
    clone: Path
    address: str  # of its dashboard
    gcs: str  # HOST:PORT, for those that connect to it
    token: str

    @property
    def joined(self) -> dict[str, str]:
        """The environment of who connects to it."""
        return {"RAY_ADDRESS": self.gcs, **_with(self.token)}

    def ray(self, *words: str, token: str | None = None) -> Done:
        """`ray …` of somebody who knows the token, or another one."""
        return run(["ray", *words], self.home, cwd=self.clone, **self._known(token))

    def begin(self, *words: str) -> Running:
        """`ray …` of somebody who knows the token, to be watched."""
        return Running(["ray", *words], self.home, cwd=self.clone, **self._known(None))

    def _known(self, token: str | None) -> dict[str, str]:
        known = self.token if token is None else token
        return {"RAY_API_SERVER_ADDRESS": self.address, **_with(known)}


def _with(token: str) -> dict[str, str]:
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}


@contextmanager
def ray_head(home: Path, clone: Path) -> Iterator[Head]:
    """`ray start --head`, in a process group of its own that is ended with it."""
    gcs, dashboard, token = free_port(), free_port(), secrets.token_hex(16)
    words = [
        str(Path(sys.executable).with_name("ray")), "start", "--head", "--block",
        f"--port={gcs}", f"--dashboard-port={dashboard}",
        f"--num-cpus={CPUS}", f"--temp-dir={home / 'ray'}", "--include-dashboard=true",
        f"--dashboard-agent-listen-port={free_port()}", f"--metrics-export-port={free_port()}",
    ]  # fmt: skip
    environment = clean_environment(home) | _with(token) | {"RAY_JOB_STOP_WAIT_TIME_S": "60"}
    with (home / "head.log").open("w") as log:
        process = subprocess.Popen(
            words, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            address = f"http://127.0.0.1:{dashboard}"
            _wait(address, token, process, home / "head.log")
            yield Head(home, clone, address, f"127.0.0.1:{gcs}", token)
        finally:
            process.terminate()
            try:
                process.wait(60)
            finally:
                _end_group(process.pid)


def _wait(address: str, token: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until the head takes jobs."""
    asked = urllib.request.Request(
        f"{address}/api/jobs/", headers={"Authorization": f"Bearer {token}"}
    )
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(asked, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise TimeoutError(log.read_text())


def _end_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
