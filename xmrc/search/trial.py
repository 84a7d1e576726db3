"""One trial. In: a job, its workers. Out: reports to Ray Tune.

A trial of one worker trains in the trial's own process, which starts in a third of the time; one of
several workers is the driver of a Ray Train group. Both run the same training function.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from ray import tune
from ray.tune.integration.ray_train import TuneReportCallback
from torch import nn

from xmrc.learning.job import STATE, TrainingJob, train_reader
from xmrc.learning.step import Place
from xmrc.learning.worker import WorkerResources, train_on_workers
from xmrc.search.resources import DRIVER_CPUS


class TuneContext:
    """The only worker of a trial, in the trial's own process."""

    @property
    def place(self) -> Place:
        """Alone, on the GPU that the trial was given, if any."""
        return Place(device=torch.device("cuda" if torch.cuda.is_available() else "cpu"))

    def wrap(self, model: nn.Module) -> nn.Module:
        """One worker needs no wrapping."""
        return model

    @contextlib.contextmanager
    def latest_checkpoint(self) -> Iterator[Path | None]:
        """What this trial reported last, also after a retry or a resumed search.

        Of a copy that a kill cut short the state may be missing: the trial starts from the
        beginning, and comes to the same.
        """
        checkpoint = tune.get_checkpoint()
        if checkpoint is None or not (Path(checkpoint.path) / STATE).exists():
            yield None
            return
        with checkpoint.as_directory() as folder:
            yield Path(folder)

    def report(self, metrics: dict[str, Any], checkpoint: Path | None) -> None:
        """Metrics, and a folder to keep."""
        kept = None if checkpoint is None else tune.Checkpoint.from_directory(str(checkpoint))
        tune.report(metrics, checkpoint=kept)


def run_trial(
    job: TrainingJob, resources: WorkerResources, *, storage: str, max_failures: int
) -> None:
    """Train a job inside a Tune trial, on one worker or on several."""
    if resources.workers == 1:
        train_reader(job, TuneContext())
        return
    train_on_workers(
        job,
        WorkerResources(resources.workers, resources.cpus - DRIVER_CPUS, resources.gpus),
        name=tune.get_context().get_trial_id(),  # the same after a resume: it goes on where it was
        storage=storage,
        max_failures=max_failures,
        callbacks=[TuneReportCallback()],
    )


def trial_request(resources: WorkerResources) -> dict[str, float]:
    """What the trial's own process asks of the cluster."""
    if resources.workers > 1:
        return {"CPU": DRIVER_CPUS}
    return {"CPU": resources.cpus, "GPU": resources.gpus}
