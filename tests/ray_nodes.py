"""A Ray cluster of several nodes on this machine, which come and go. In: a home. Out: its nodes.

It lives in a process of its own: Ray keeps of a process what it once was, connected, with a token.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray_here import clean_environment


@dataclass(frozen=True)
class Node:
    """One that was added."""

    number: int
    raylet: int  # the process whose children the node's workers are

    def runs(self, title: str) -> bool:
        """Whether a process of Ray's that is called so runs here."""
        children = Path(f"/proc/{self.raylet}/task").glob("*/children")
        return any(
            _title(pid).startswith(title) for path in children for pid in path.read_text().split()
        )


def _title(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:  # it has ended
        return ""


@dataclass(frozen=True)
class Nodes:
    """A cluster, the head of which is there and trains nothing."""

    process: "subprocess.Popen[str]"
    address: str

    def add(self, **resources: float) -> Node:
        """A node of so many CPUs and GPUs."""
        return Node(**self._ask(add=resources))

    def remove(self, node: Node) -> None:
        """As if it had gone away."""
        self._ask(remove=node.number)

    def _ask(self, **what: Any) -> Any:
        assert self.process.stdin is not None
        print(json.dumps(what), file=self.process.stdin, flush=True)
        return _answer(self.process)


def _answer(process: "subprocess.Popen[str]") -> Any:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


@contextmanager
def ray_nodes(home: Path) -> Iterator[Nodes]:
    """Nodes are added and removed by the test; all are gone at the end."""
    environment = clean_environment(home)
    del environment["RAY_OVERRIDE_RESOURCES"]  # every node has its own
    with (home / "nodes.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, __file__], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
        )  # fmt: skip
    with process:  # which waits for its end, once nothing more is asked
        yield Nodes(process, _answer(process))


def serve() -> None:
    """Lines of JSON from standard input, an answer to each, until its end."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    print(json.dumps(cluster.address), flush=True)
    nodes = []
    for line in sys.stdin:
        asked, answer = json.loads(line), None
        if "remove" in asked:
            cluster.remove_node(nodes[asked["remove"]])
        else:
            nodes.append(cluster.add_node(**asked["add"]))
            (raylet,) = nodes[-1].all_processes["raylet"]
            answer = {"number": len(nodes) - 1, "raylet": raylet.process.pid}
        print(json.dumps(answer), flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    serve()
