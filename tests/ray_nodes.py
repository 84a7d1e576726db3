"""A Ray cluster of several nodes on this machine, which come and go. In: a home. Out: its nodes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ray._private.node import Node
from ray.cluster_utils import Cluster
from ray_here import NOT_OURS, clean_environment


@contextmanager
def ray_nodes(home: Path) -> Iterator[Cluster]:
    """Nodes are added and removed by the test; the head alone is there, and trains nothing."""
    environment = clean_environment(home)
    del environment["RAY_OVERRIDE_RESOURCES"]  # every node has its own
    with pytest.MonkeyPatch.context() as patch:
        for key in [key for key in os.environ if key.startswith(NOT_OURS)]:
            patch.delenv(key)
        for key, value in environment.items():
            patch.setenv(key, value)
        cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
        )
        try:
            yield cluster
        finally:
            cluster.shutdown()


def runs(node: Node, title: str) -> bool:
    """Whether a process of Ray's that is called so runs on a node: each is its raylet's child."""
    (raylet,) = node.all_processes["raylet"]
    children = Path(f"/proc/{raylet.process.pid}/task").glob("*/children")
    return any(
        _title(pid).startswith(title) for path in children for pid in path.read_text().split()
    )


def _title(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:  # it has ended
        return ""
