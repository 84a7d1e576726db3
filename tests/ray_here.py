"""Ray for tests: a cluster of its own, small on any machine, with nothing left behind.

In: nothing. Out: an environment for this process or for those that it starts.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from xmrc.search.cluster import ray_cluster

CPUS = 2
NOT_OURS = ("RAY_", "TUNE_", "MLFLOW_", "XMRC_", "HF_")  # what the caller's shell may have set


@contextmanager
def a_home() -> Iterator[Path]:
    """A home folder. Its path is short, as Ray puts sockets below it."""
    folder = Path(tempfile.mkdtemp(prefix="xmrc-", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def clean_environment(home: Path, cpus: int = CPUS) -> dict[str, str]:
    """For a process that starts Ray: its own home, `python` is this one, nothing else is set."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(NOT_OURS)}
    return {
        **kept,
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "RAY_TMPDIR": str(home),
        "RAY_OVERRIDE_RESOURCES": f'{{"CPU": {cpus}, "GPU": 0}}',
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "160",  # so that no table is cut
    }


@contextmanager
def cluster_here() -> Iterator[None]:
    """A cluster that this process is connected to."""
    with a_home() as home, pytest.MonkeyPatch.context() as patch:
        for key in [key for key in os.environ if key.startswith(NOT_OURS)]:
            patch.delenv(key)
        for key, value in clean_environment(home).items():
            patch.setenv(key, value)
        with ray_cluster():
            yield
