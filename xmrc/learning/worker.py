"""Training on several workers. In: a `TrainingJob`, what a worker gets. Out: Ray Train's reports.

The only room of Ray Train. A worker is a process with its own device; DDP joins their gradients.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray.train
import ray.train.torch
from ray.train import Checkpoint
from ray.train.v2.api.config import (
    CheckpointConfig,
    FailureConfig,
    LoggingConfig,
    RunConfig,
    ScalingConfig,
)
from ray.train.v2.torch.torch_trainer import TorchTrainer
from torch import nn

from xmrc.learning.job import TrainingJob, open_training
from xmrc.learning.meeting import meeting_place
from xmrc.learning.step import Worker


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


class _RayTrainContext:
    """A worker's view of Ray Train."""

    @property
    def worker(self) -> Worker:
        """This worker among the workers of its group."""
        context = ray.train.get_context()
        device = ray.train.torch.get_device()
        return Worker(context.get_world_rank(), context.get_world_size(), device)

    def wrap(self, model: nn.Module) -> nn.Module:
        """DDP around the model, where there is more than one worker."""
        return ray.train.torch.prepare_model(model)

    @contextlib.contextmanager
    def latest_checkpoint(self) -> Iterator[Path | None]:
        """What this run reported last, also after a worker was lost or the search was resumed."""
        checkpoint = ray.train.get_checkpoint()
        if checkpoint is None:
            yield None
            return
        with checkpoint.as_directory() as folder:
            yield Path(folder)

    def report(self, metrics: dict[str, Any], checkpoint: Path | None) -> None:
        """Every worker reports; rank 0's metrics and folder are the ones that count."""
        kept = None if checkpoint is None else Checkpoint.from_directory(str(checkpoint))
        ray.train.report(metrics, checkpoint=kept)


def train_on_workers(
    job: TrainingJob,
    resources: WorkerResources,
    *,
    name: str,
    storage: str,
    max_failures: int,
    callbacks: list[Any],
) -> None:
    """Run a job on a group of workers; a run of the same `name` and `storage` goes on where it was.

    A lost worker restarts the group from the latest checkpoint, `max_failures` times.
    """
    TorchTrainer(
        _work,
        train_loop_config={"job": job},
        scaling_config=ScalingConfig(
            num_workers=resources.workers,
            use_gpu=resources.gpus > 0,
            resources_per_worker=resources.request,
        ),
        torch_config=meeting_place(),
        run_config=RunConfig(
            name=name,
            storage_path=storage,
            callbacks=callbacks,
            checkpoint_config=CheckpointConfig(
                num_to_keep=1, checkpoint_score_attribute=job.metric
            ),
            failure_config=FailureConfig(max_failures=max_failures),
            logging_config=LoggingConfig(log_level="ERROR"),
        ),
    ).fit()


def _work(config: dict[str, TrainingJob]) -> None:
    train = open_training(config["job"], _RayTrainContext())
    train()
