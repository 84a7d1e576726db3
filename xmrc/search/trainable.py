"""What Ray Tune calls in the process of a trial. In: a configuration. Out: the trial's reports.

A trial of one worker trains right there, which starts in a third of the time; one of several
workers is the driver of a Ray Train group. Both run the same training function.
"""

import gc
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from ray import tune
from ray.exceptions import RayError
from ray.tune.integration.ray_train import TuneReportCallback
from torch import nn

from xmrc.errors import XmrcError
from xmrc.learning.checkpoints import Checkpoints, StorageFullError
from xmrc.learning.job import TrainingJob, open_training
from xmrc.learning.step import Worker
from xmrc.learning.worker import (
    WorkerResources,
    WorkersLostError,
    says_lost,
    train_on_workers,
)
from xmrc.search.causes import cause_of
from xmrc.search.full_disk import is_full
from xmrc.search.phases import TrialFiles
from xmrc.search.proposals import FAILURE, STORAGE_FULL, TRIAL, VALUES
from xmrc.search.resources import DRIVER_CPUS


def trainable_of(
    job: TrainingJob, files: TrialFiles, resources: WorkerResources
) -> Callable[[dict[str, Any]], None]:
    """The training of a trial, by its configuration.

    What would go wrong again is reported as the trial's end; Ray Tune tries again only after what
    is raised.
    """

    def trainable(config: dict[str, Any]) -> None:
        gc.freeze()  # what was imported is not looked through again, now or at the end
        name = config[TRIAL]
        checkpoints = files.of(name)
        try:
            own = job.with_values(config[VALUES])
            if resources.workers > 1:
                beside = replace(resources, cpus=resources.cpus - DRIVER_CPUS)
                heard = [TuneReportCallback()]
                train_on_workers(own, beside, checkpoints, name=name, callbacks=heard)
                return
            context = _TuneContext(checkpoints)
            with checkpoints.held(), open_training(own, context) as train:
                train()
        except Exception as error:
            if may_end_otherwise(error):
                raise
            tune.report(_failure(error))

    return trainable


def _failure(error: Exception) -> dict[str, Any]:
    """The last report of a trial that cannot be trained."""
    full = isinstance(error, StorageFullError) or is_full(error)
    never = {"evaluation": 0, "best": float("-inf")}  # neither ASHA nor Optuna counts it
    return {FAILURE: cause_of(error), STORAGE_FULL: full, **never}


def may_end_otherwise(error: Exception) -> bool:
    """Whether a second try is worth it: a process, a node, a device or a connection was lost."""
    if isinstance(error, XmrcError):
        return False
    if isinstance(error, OSError):
        return not is_full(error)
    return says_lost(error) or isinstance(error, RayError | WorkersLostError)


@dataclass(frozen=True)
class _TuneContext:
    """The only worker of a trial, in the trial's own process."""

    checkpoints: Checkpoints

    @property
    def worker(self) -> Worker:
        """Alone, on the GPU that the trial was given, if any."""
        return Worker(device=torch.device("cuda" if torch.cuda.is_available() else "cpu"))

    def wrap(self, model: nn.Module) -> nn.Module:
        """One worker needs no wrapping."""
        return model

    def report(self, metrics: dict[str, Any]) -> None:
        """To Ray Tune, which is told of no checkpoint."""
        tune.report(metrics)
