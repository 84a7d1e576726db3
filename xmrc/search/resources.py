"""What fits. In: the study's resources, the cluster's nodes. Out: one trial's, how many at once.

A trial of one worker runs in the trial's own process. A trial of several has a driver beside
them, which takes `DRIVER_CPUS`; its workers ask for that much less, so that whole-CPU workers may
fill a machine. Never more trials at once than fit: two half-placed ones would wait for each other.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import ray
import torch

from xmrc.errors import ResourceError
from xmrc.learning.worker import WorkerResources
from xmrc.search.machine import usable_cpus
from xmrc.settings import ResourceSettings

DRIVER_CPUS = 0.01


@dataclass(frozen=True)
class Node:
    """The CPUs and GPUs of one machine."""

    cpus: float
    gpus: float


@dataclass(frozen=True)
class Fit:
    """The workers of one trial, and how many trials run at once."""

    trial: WorkerResources
    at_once: int

    def describe(self) -> str:
        """One line for people: `2 workers of 1 CPU, 1 GPU; 4 trials at once`."""
        workers = "1 worker" if self.trial.workers == 1 else f"{self.trial.workers} workers"
        gpus = f", {self.trial.gpus:g} GPU" if self.trial.gpus else ""
        trials = "1 trial" if self.at_once == 1 else f"{self.at_once} trials"
        return f"{workers} of {self.trial.cpus:g} CPU{gpus}; {trials} at once"


def this_machine() -> list[Node]:
    """The machine that we run on, without starting anything."""
    return [Node(float(usable_cpus()), float(torch.cuda.device_count()))]


def cluster_nodes() -> list[Node]:
    """The living nodes of the connected Ray cluster."""
    alive = (node["Resources"] for node in ray.nodes() if node["Alive"])
    return [Node(node.get("CPU", 0.0), node.get("GPU", 0.0)) for node in alive]


def fit_trials(settings: ResourceSettings, nodes: Sequence[Node]) -> Fit:
    """Resolve `auto` and count the trials that fit.

    Errors: ResourceError if not even one does.
    """
    trial = _worker_resources(settings, nodes)
    places = sum(_workers_on(node, trial) for node in nodes)
    at_once = places // trial.workers
    if at_once == 0:
        cpus, gpus = sum(node.cpus for node in nodes), sum(node.gpus for node in nodes)
        raise ResourceError(
            f"resources: one trial must fit: workers {trial.workers} with {trial.cpus:g} CPUs and "
            f"{trial.gpus:g} GPUs each, but {len(nodes)} node(s) with {cpus:g} CPUs and "
            f"{gpus:g} GPUs in all hold {places} such worker(s)"
        )
    return Fit(trial, at_once)


def trial_request(resources: WorkerResources) -> dict[str, float]:
    """What the trial's own process asks of the cluster."""
    if resources.workers > 1:
        return {"CPU": DRIVER_CPUS}
    return {"CPU": resources.cpus, "GPU": resources.gpus}


def _worker_resources(settings: ResourceSettings, nodes: Sequence[Node]) -> WorkerResources:
    gpus, cpus = settings.gpus_per_worker, settings.cpus_per_worker
    if cpus != "auto" and settings.workers > 1 and cpus <= DRIVER_CPUS:
        raise ResourceError(
            f"resources.cpus_per_worker: must be above {DRIVER_CPUS}, which the driver of several "
            f"workers takes, got {cpus:g}"
        )
    if gpus == "auto":
        gpus = 1.0 if any(node.gpus >= 1 for node in nodes) else 0.0
    return WorkerResources(settings.workers, 1.0 if cpus == "auto" else float(cpus), float(gpus))


def _workers_on(node: Node, trial: WorkerResources) -> int:
    by_cpu = math.floor(node.cpus / trial.cpus)
    return by_cpu if trial.gpus == 0 else min(by_cpu, math.floor(node.gpus / trial.gpus))
