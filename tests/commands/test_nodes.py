"""Nodes that come and go under a search: real ones of Ray's, all on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from command_runs import REPOSITORY, Done, Running, Storage, module, settings
from ray_here import a_home
from ray_nodes import Nodes, ray_nodes

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

SHORT = (
    "settings.base=null", "settings.start_from_base=false", "settings.data.limit=12",
    "settings.data.ntl=1", "settings.data.languages=[en, es]", "settings.training.batch_size=8",
    "space={training.learning_rate: {log_float: [1e-3, 4e-3]}}",
    "search.start_from=[]", "search.scheduler=none",
)  # fmt: skip


@contextmanager
def a_cluster() -> Iterator[tuple[Nodes, Path]]:
    """A head that trains nothing, and a home."""
    with a_home() as home, ray_nodes(home) as cluster:
        yield cluster, home


def begin(cluster: Nodes, home: Path, *overrides: str) -> tuple[Running, Storage]:
    """A short search on a cluster, and where it writes."""
    storage = Storage(home / "runs")
    space = str(REPOSITORY / "search_spaces" / "demo.yaml")
    words = settings(*SHORT, f"storage={storage.root}", *overrides)
    command = module("tune", "--space", space, *words)
    return Running(command, home, RAY_ADDRESS=cluster.address), storage


def under_way(storage: Storage, trials: int, epochs: int) -> bool:
    """So many trials are training at this moment, none of them about to end."""
    running = [one for one in storage.trials("demo") if one["state"] == "running"]
    return sum(1 <= len(one["history"]) < epochs - 2 for one in running) == trials


def check_ended(done: Done, storage: Storage, trials: int, epochs: int) -> list[dict[str, Any]]:
    """Every trial once, every epoch once, here and in MLflow; a winner. What the ledger says."""
    assert (done.code, done.err) == (0, ""), done
    ledger = storage.trials("demo")
    assert [one["id"] for one in ledger] == [f"trial-{i}" for i in range(1, trials + 1)]
    for one in ledger:
        assert one["state"] == "finished", one["cause"]
        assert [row["evaluation"] for row in one["history"]] == [*range(1, epochs + 1)]
    for child in storage.children("demo"):
        assert (child.info.status, storage.steps(child)) == ("FINISHED", [*range(1, epochs + 1)])
    assert storage.versions() == ["1"]
    return ledger


def test_a_search_waits_for_nodes_uses_those_that_join_and_outlives_one_that_goes() -> None:
    """The first has what Ray takes for a GPU, which two trials share."""
    epochs = 80
    with a_cluster() as (cluster, home):
        running, storage = begin(
            cluster, home, f"settings.training.epochs={epochs}", "search.trials=3",
            "resources.wait=10", "resources.gpus_per_worker=0.5",
        )  # fmt: skip
        running.wait_until(lambda: "waiting for nodes, 10 minutes at most" in running.printed)
        assert "1 node(s) with 0 CPUs and 0 GPUs" in running.printed
        assert not storage.trials("demo")
        cluster.add(num_cpus=2, num_gpus=1)
        running.wait_until(lambda: under_way(storage, 2, epochs))
        second = cluster.add(num_cpus=1, num_gpus=1)
        running.wait_until(lambda: under_way(storage, 3, epochs))
        before = {one["id"]: one["history"] for one in storage.trials("demo")}
        cluster.remove(second)
        for one in check_ended(running.end(), storage, 3, epochs):
            known = before[one["id"]]  # nothing of it was trained again
            assert one["history"][: len(known)] == known


def test_a_search_that_waits_in_vain_says_what_is_missing() -> None:
    with a_cluster() as (cluster, home):
        running, storage = begin(cluster, home, "resources.wait=0.05")
        done = running.end()
        assert done.code == 2
        (line,) = done.err.splitlines()
        assert "resources: one trial must fit: workers 1 with 1 CPUs and 0 GPUs each" in line
        assert not storage.trials("demo")


def test_two_workers_on_two_nodes_outlive_one_of_them() -> None:
    """The trial goes on where there is room: on the third node, beside the one that is left."""
    epochs = 20
    with a_cluster() as (cluster, home):
        nodes = [cluster.add(num_cpus=1) for _ in range(3)]
        running, storage = begin(
            cluster, home,
            f"settings.training.epochs={epochs}", "search.trials=1",
            "resources.workers=2", "resources.cpus_per_worker=1",
        )  # fmt: skip
        running.wait_until(lambda: under_way(storage, 1, epochs))
        (before,) = storage.trials("demo")
        one, _ = [node for node in nodes if node.runs("ray::RayTrainWorker")]
        cluster.remove(one)
        (trial,) = check_ended(running.end(), storage, 1, epochs)
        known = before["history"]
        assert trial["history"][: len(known)] == known
