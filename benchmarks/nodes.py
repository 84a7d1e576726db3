"""Trials per hour on 1, 2 and 4 simulated nodes of one CPU, with trials that only sleep.

In: nothing. Out: a table, and a line of JSON: four nodes beside four times one node.

    python benchmarks/nodes.py

The search is the study's own, with its proposals, ledger, progress and MLflow; only the training is
replaced. All nodes are on this machine: what starts a trial's process costs its CPUs a few seconds,
which on real nodes is done by each for itself.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray import tune
from ray.cluster_utils import Cluster
from rich.console import Console

from xmrc.search import tuner
from xmrc.search.cluster import ray_cluster
from xmrc.search.prepare import check_study
from xmrc.search.run import open_run
from xmrc.settings import load_study

NODES, GOAL = (1, 2, 4), 0.9
STUDY = Path(__file__).parents[1] / "search_spaces" / "demo.yaml"


def main() -> None:
    options = parse()
    if options.nodes:
        print(json.dumps(trials_per_hour(options.nodes, options.seconds, options.waves)))
        return
    rates = {nodes: in_a_process(nodes, options) for nodes in NODES}
    for nodes, rate in rates.items():
        share = rate / (nodes * rates[1])
        print(f"{nodes} nodes: {rate:6.1f} trials an hour, {share:6.1%} of linear")
    ours, linear = rates[NODES[-1]], NODES[-1] * rates[1]
    numbers = {"ours": round(ours, 1), "theirs": round(linear, 1), "ratio": round(ours / linear, 3)}
    print(json.dumps({"name": "trials per hour on 4 nodes", **numbers, "goal": GOAL}))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of a trial")
    parser.add_argument("--waves", type=int, default=2, help="trials on each node")
    parser.add_argument("--nodes", type=int, help="measure this number alone")
    return parser.parse_args()


def in_a_process(nodes: int, options: argparse.Namespace) -> float:
    """Ray Tune does not survive a second cluster in the same process."""
    words = [sys.executable, __file__, "--nodes", str(nodes)]
    words += ["--seconds", str(options.seconds), "--waves", str(options.waves)]
    return float(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout.splitlines()[-1])


def trials_per_hour(nodes: int, seconds: float, waves: int) -> float:
    """From the start of the first trial to the end of the last."""
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    for _ in range(nodes - 1):
        cluster.add_node(num_cpus=1)
    os.environ["RAY_ADDRESS"] = cluster.address
    try:
        with tempfile.TemporaryDirectory() as storage, ray_cluster():
            records = searched(Path(storage), seconds, trials=nodes * waves)
    finally:
        cluster.shutdown()
    began = min(one.started for one in records)
    return 3600 * len(records) / (max(one.started + one.seconds for one in records) - began)


def searched(storage: Path, seconds: float, trials: int) -> list[Any]:
    """The ledger of a search whose trials sleep."""
    study = load_study(
        STUDY,
        [
            f"storage={storage}",
            f"search.trials={trials}",
            "search.start_from=[]",
            "search.scheduler=none",
            "settings.data.limit=10",
            "settings.base=null",
            "settings.start_from_base=false",
        ],
    )
    tuner.trainable_of = lambda *_: sleeping(seconds)
    with open_run(study, check_study(study), None, Console(stderr=True)) as run:
        ledger = tuner.search_trials(run, run.job(None))
        run.tracker.end_study("finished")
        run.tracker.close()
    return list(ledger.trials.values())


def sleeping(seconds: float) -> Callable[[dict[str, Any]], None]:
    """Reports what a training of one evaluation does."""

    def trainable(config: dict[str, Any]) -> None:
        time.sleep(seconds)
        row = {"evaluation": 1, "epoch": 1.0, "gxlt_f1": 50.0, "loss": 1.0}
        report = {"evaluation": 1, "evaluations": 1, "best": 50.0}
        tune.report({**report, "history": [row], "observed": {}})

    return trainable


if __name__ == "__main__":
    main()
