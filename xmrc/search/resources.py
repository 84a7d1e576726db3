"""What fits. In: the study's resources, the cluster's nodes. Out: one trial's, how many at once.

A trial of one worker runs in the trial's own process. A trial of several has a driver beside
them, which takes `DRIVER_CPUS`; its workers ask for that much less, so that whole-CPU workers may
fill a machine. Never more trials at once than fit: two half-placed ones would wait for each other.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import ray
import torch

from xmrc.errors import ResourceError
from xmrc.learning.worker import WorkerResources
from xmrc.search.machine import usable_cpus, usable_memory
from xmrc.search.needs import NOT_LOOKED_AT, MemoryNeeds, in_gib
from xmrc.settings import ResourceSettings

DRIVER_CPUS = 0.01
_SECONDS_BETWEEN_LOOKS = 1.0
_PARTS = 10_000  # of a GPU, the smallest that Ray knows


class _NoRoomError(ResourceError):
    """Not one trial fits on the nodes that there are."""


@dataclass(frozen=True)
class Node:
    """One machine: its CPUs, its GPUs, bytes of its memory and of each GPU's (inf: unknown)."""

    cpus: float
    gpus: float
    memory: float = math.inf
    gpu_memory: float = math.inf


@dataclass(frozen=True)
class Fit:
    """The workers of one trial, and how many trials run at once."""

    trial: WorkerResources
    at_once: int

    def describe(self) -> str:
        """One line for people: `2 workers of 1 CPU, 1 GPU, 1.9 GiB; 4 trials at once`."""
        workers = "1 worker" if self.trial.workers == 1 else f"{self.trial.workers} workers"
        gpus = f", {self.trial.gpus:g} GPU" if self.trial.gpus else ""
        memory = f", {in_gib(self.trial.memory)}" if self.trial.memory else ""
        trials = "1 trial" if self.at_once == 1 else f"{self.at_once} trials"
        return f"{workers} of {self.trial.cpus:g} CPU{gpus}{memory}; {trials} at once"


def this_machine() -> list[Node]:
    """The machine that we run on, without starting anything."""
    gpus = float(torch.cuda.device_count())
    return [Node(float(usable_cpus()), gpus, usable_memory(), _gpu_memory_here())]


def cluster_nodes() -> list[Node]:
    """The living nodes of the connected Ray cluster; Ray does not say how large their GPUs are."""
    here = ray.get_runtime_context().get_node_id()
    found = []
    for node in (one for one in ray.nodes() if one["Alive"]):
        has = node["Resources"].get
        gpu_memory = _gpu_memory_here() if node["NodeID"] == here else math.inf
        found.append(Node(has("CPU", 0.0), has("GPU", 0.0), has("memory", math.inf), gpu_memory))
    return found


def fit_trials(
    settings: ResourceSettings, nodes: Sequence[Node], needs: MemoryNeeds = NOT_LOOKED_AT
) -> Fit:
    """Resolve `auto` and count the trials that fit; `needs` are those of one worker.

    Errors: ResourceError if not even one does.
    """
    trial = _worker_resources(settings, nodes, needs)
    at_once = _places(trial, nodes) // trial.workers
    if at_once == 0:
        raise _NoRoomError(f"resources: one trial must fit: {_too_little(trial, nodes)}")
    return Fit(trial, at_once)


def await_fit(settings: ResourceSettings, needs: MemoryNeeds, say: Callable[[str], None]) -> Fit:
    """As `fit_trials` on the connected cluster, for whose nodes `resources.wait` may wait.

    An autoscaler is asked for a trial's room meanwhile. Errors: ResourceError if none has come.
    """
    try:
        return fit_trials(settings, cluster_nodes(), needs)
    except _NoRoomError as error:
        if settings.wait == 0:
            raise
        say(f"waiting for nodes, {settings.wait:g} minutes at most: {error}")
    from ray.autoscaler.sdk import request_resources  # slow, and few searches wait

    trial = _worker_resources(settings, cluster_nodes(), needs)
    request_resources(bundles=[trial.request] * trial.workers)
    try:
        return _first_fit(settings, needs, time.monotonic() + 60 * settings.wait)
    finally:
        request_resources(bundles=[])  # from here on the trials themselves ask


def room(fit: Fit, settings: ResourceSettings) -> int:
    """How many trials may live at once on the nodes that are alive now, at least one.

    Where the study waits for nodes it is one more: an autoscaler adds what waiting trials ask for.
    """
    now = _places(fit.trial, cluster_nodes()) // fit.trial.workers
    return max(1, now + (settings.wait > 0))


def trial_request(resources: WorkerResources) -> dict[str, float]:
    """What the trial's own process asks of the cluster."""
    return {"CPU": DRIVER_CPUS} if resources.workers > 1 else resources.request


def _first_fit(settings: ResourceSettings, needs: MemoryNeeds, until: float) -> Fit:
    while True:
        try:
            return fit_trials(settings, cluster_nodes(), needs)
        except _NoRoomError:
            if time.monotonic() >= until:
                raise
            time.sleep(_SECONDS_BETWEEN_LOOKS)


def _worker_resources(
    settings: ResourceSettings, nodes: Sequence[Node], needs: MemoryNeeds
) -> WorkerResources:
    gpus, cpus = settings.gpus_per_worker, settings.cpus_per_worker
    if cpus != "auto" and settings.workers > 1 and cpus <= DRIVER_CPUS:
        raise ResourceError(
            f"resources.cpus_per_worker: must be above {DRIVER_CPUS}, which the driver of several "
            f"workers takes, got {cpus:g}"
        )
    if gpus == "auto":
        gpus = 1.0 if any(node.gpus >= 1 for node in nodes) else 0.0
    if gpus > 1 and gpus != int(gpus):
        raise ResourceError(
            f"resources.gpus_per_worker: must be a part of a GPU, or whole ones, got {gpus:g}"
        )
    cpus = 1.0 if cpus == "auto" else float(cpus)
    share = _share_of_gpu(float(gpus), nodes, needs.gpu)
    return WorkerResources(settings.workers, cpus, share, needs.host)


def _share_of_gpu(asked: float, nodes: Sequence[Node], memory: int) -> float:
    """A part of a GPU is at least what its memory makes of it, so that no more are put on one."""
    smallest = min((node.gpu_memory for node in nodes if node.gpus), default=math.inf)
    if not 0 < asked < 1 or memory == 0 or smallest == math.inf:
        return asked
    return max(asked, math.floor(_PARTS / max(1, smallest // memory)) / _PARTS)


def _places(trial: WorkerResources, nodes: Sequence[Node]) -> int:
    """Workers that the nodes hold, none of them split."""
    return sum(_workers_on(node, trial) for node in nodes)


def _workers_on(node: Node, trial: WorkerResources) -> int:
    limits = [math.floor(node.cpus / trial.cpus)]
    if trial.gpus >= 1:
        limits.append(math.floor(node.gpus / trial.gpus))
    elif trial.gpus:  # a part is never one of two GPUs
        limits.append(math.floor(node.gpus) * math.floor(1 / trial.gpus))
    if trial.memory and node.memory < math.inf:
        limits.append(math.floor(node.memory / trial.memory))
    return min(limits)


def _too_little(trial: WorkerResources, nodes: Sequence[Node]) -> str:
    """What a trial asks for, and what is there."""
    cpus, gpus = sum(node.cpus for node in nodes), sum(node.gpus for node in nodes)
    memory, largest = "", max((node.memory for node in nodes), default=0.0)
    if trial.memory > largest:
        memory = (
            f"; each takes about {in_gib(trial.memory)} of memory (resources.memory_per_worker), "
            f"and no node has more than {in_gib(largest)}"
        )
    return (
        f"workers {trial.workers} with {trial.cpus:g} CPUs and {trial.gpus:g} GPUs each, but "
        f"{len(nodes)} node(s) with {cpus:g} CPUs and {gpus:g} GPUs in all hold "
        f"{_places(trial, nodes)} such worker(s){memory}"
    )


def _gpu_memory_here() -> float:
    """Bytes of the smallest GPU of this machine."""
    devices = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    return float(min((device.total_memory for device in devices), default=math.inf))
