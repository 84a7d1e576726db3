"""Training on several workers. In: a `TrainingJob`, what a worker gets. Out: Ray Train's reports.

The only room of Ray Train. A worker is a process with its own device; DDP joins their gradients.
"""

import contextlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import ray.train
import ray.train.torch
from ray.exceptions import RayError
from ray.train import UserCallback
from ray.train.v2._internal.exceptions import RayTrainError
from ray.train.v2.api.config import FailureConfig, LoggingConfig, RunConfig, ScalingConfig
from ray.train.v2.api.exceptions import TrainingFailedError, WorkerGroupError
from ray.train.v2.torch.torch_trainer import TorchTrainer
from torch import nn

from xmrc.errors import XmrcError
from xmrc.learning.checkpoints import Checkpoints
from xmrc.learning.distributed import gather_from_workers
from xmrc.learning.job import TrainingJob, open_training
from xmrc.learning.meeting import meeting_place
from xmrc.learning.memory import MemoryExceededError
from xmrc.learning.step import Worker

_LOST = ("CUDA error", "NCCL", "gloo", "Connection reset", "Connection closed")


@dataclass(frozen=True)
class WorkerResources:
    """The workers of one trial: how many, and what each of them holds."""

    workers: int
    cpus: float
    gpus: float
    memory: int = 0  # bytes; 0: not looked at

    @property
    def request(self) -> dict[str, float]:
        """What one of them asks of Ray, by its names for resources."""
        asked = {"CPU": self.cpus, "GPU": self.gpus}
        return {**asked, "memory": self.memory} if self.memory else asked

    @property
    def threads(self) -> int:
        """CPU threads of a worker: its whole CPUs, at least one."""
        return max(1, int(self.cpus))


@dataclass(frozen=True)
class _RayTrainContext:
    """A worker's view of Ray Train, which is told of no checkpoint: they lie where all see them."""

    checkpoints: Checkpoints

    @property
    def worker(self) -> Worker:
        """This worker among the workers of its group."""
        context = ray.train.get_context()
        device = ray.train.torch.get_device()
        return Worker(context.get_world_rank(), context.get_world_size(), device)

    def wrap(self, model: nn.Module) -> nn.Module:
        """DDP around the model, where there is more than one worker."""
        return ray.train.torch.prepare_model(model)

    def report(self, metrics: dict[str, Any]) -> None:
        """Every worker reports; rank 0's metrics are the ones that count."""
        ray.train.report(metrics)


class WorkersLostError(Exception):
    """The group is gone, and no worker said why."""


def train_on_workers(
    job: TrainingJob,
    resources: WorkerResources,
    checkpoints: Checkpoints,
    *,
    name: str,
    callbacks: Sequence[UserCallback] = (),
) -> None:
    """Run a job on a group of workers; it goes on from its newest checkpoint.

    Where a worker runs out of memory the group begins again with smaller micro-batches. Errors:
    what a worker raised, or what Ray says of one that was lost; else WorkersLostError.
    """
    while True:
        try:
            _train_group(job, resources, checkpoints, name, callbacks)
            return
        except TrainingFailedError as error:
            cause = _cause_in(error)
            if not isinstance(cause, MemoryExceededError) or cause.max_tokens is None:
                raise cause from error
        job = replace(job, max_tokens=cause.max_tokens)


def _train_group(
    job: TrainingJob,
    resources: WorkerResources,
    checkpoints: Checkpoints,
    name: str,
    callbacks: Sequence[UserCallback],
) -> None:
    with tempfile.TemporaryDirectory() as of_ray:  # which keeps notes there that nobody reads
        TorchTrainer(
            _work,
            train_loop_config={"job": job, "checkpoints": checkpoints},
            scaling_config=ScalingConfig(
                num_workers=resources.workers,
                use_gpu=resources.gpus > 0,
                resources_per_worker=resources.request,
            ),
            torch_config=meeting_place(),
            run_config=RunConfig(
                name=name,
                storage_path=of_ray,
                callbacks=list(callbacks),
                failure_config=FailureConfig(max_failures=0),  # Ray Tune tries again
                logging_config=LoggingConfig(log_level="ERROR"),
            ),
        ).fit()


def _work(config: dict[str, Any]) -> None:
    context = _RayTrainContext(config["checkpoints"])
    first = context.worker.rank == 0
    with context.checkpoints.held() if first else contextlib.nullcontext():
        gather_from_workers("ready")  # before anybody looks where to go on
        with open_training(config["job"], context) as train:
            train()


def says_lost(error: Exception) -> bool:
    """Whether it was raised as a device or the connection to another worker was lost."""
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _LOST)


def _cause_in(error: TrainingFailedError) -> Exception:
    """What ended the group: an error of ours, else a lost worker, else what a worker raised.

    Connections break in the wake of any of them.
    """
    failures = list(error.worker_failures.values()) if isinstance(error, WorkerGroupError) else []
    ours = [one for one in failures if isinstance(one, XmrcError)]
    lost = [one for one in failures if isinstance(one, RayTrainError | RayError)]
    if ours:
        return ours[0]
    if lost or not failures:
        return WorkersLostError(str(lost[0] if lost else error))
    return min(failures, key=says_lost)
