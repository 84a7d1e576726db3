"""One trial. In: a job, its workers. Out: reports to Ray Tune.

A trial of one worker trains in the trial's own process, which starts in a third of the time; one of
several workers is the driver of a Ray Train group. Both run the same training function.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ray import tune
from ray.tune.integration.ray_train import TuneReportCallback
from torch import nn

from xmrc.learning.job import TrainingJob, train_reader
from xmrc.learning.step import Worker
from xmrc.learning.worker import WorkerResources, train_on_workers
from xmrc.search.checkpoints import TrialFolders
from xmrc.search.resources import DRIVER_CPUS


@dataclass(frozen=True)
class _TuneContext:
    """The only worker of a trial, in the trial's own process."""

    folders: TrialFolders
    trial: str

    @property
    def place(self) -> Worker:
        """Alone, on the GPU that the trial was given, if any."""
        return Worker(device=torch.device("cuda" if torch.cuda.is_available() else "cpu"))

    def wrap(self, model: nn.Module) -> nn.Module:
        """One worker needs no wrapping."""
        return model

    @contextlib.contextmanager
    def latest_checkpoint(self) -> Iterator[Path | None]:
        """What this trial reported last, also after a retry or a resumed search.

        As it lies on disk: Ray Tune writes down a second late what it has been told, and a search
        that is killed in between would do again what is done.
        """
        yield self.folders.newest(self.trial)

    def report(self, metrics: dict[str, Any], checkpoint: Path | None) -> None:
        """Metrics, and a folder to keep."""
        kept = None if checkpoint is None else tune.Checkpoint.from_directory(str(checkpoint))
        tune.report(metrics, checkpoint=kept)


def run_trial(
    job: TrainingJob, resources: WorkerResources, folders: TrialFolders, *, max_failures: int
) -> None:
    """Train a job inside a Tune trial, on one worker or on several."""
    trial = tune.get_context().get_trial_id()
    if resources.workers == 1:
        train_reader(job, _TuneContext(folders, trial))
        return
    train_on_workers(
        job,
        WorkerResources(resources.workers, resources.cpus - DRIVER_CPUS, resources.gpus),
        name=trial,  # the same after a resume: it goes on where it was
        storage=str(folders.workers),
        max_failures=max_failures,
        callbacks=[TuneReportCallback()],
    )


def trial_request(resources: WorkerResources) -> dict[str, float]:
    """What the trial's own process asks of the cluster."""
    if resources.workers > 1:
        return {"CPU": DRIVER_CPUS}
    return {"CPU": resources.cpus, "GPU": resources.gpus}
