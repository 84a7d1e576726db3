"""Ray Tune, run or resumed. In: a job for each configuration. Out: Tune's results.

A base is a search of one trial, so whatever holds for trials (workers, failures, resuming) holds
for it too.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune import ResultGrid, TuneConfig, Tuner
from ray.tune.experiment import Trial
from rich.console import Console

from xmrc.errors import XmrcError
from xmrc.learning.job import MODEL, TrainingJob
from xmrc.learning.worker import WorkerResources
from xmrc.search.checkpoints import TrialFolders
from xmrc.search.progress import clock, say
from xmrc.search.recorder import cause_of
from xmrc.search.trial import run_trial, trial_request

_YOUNG = 60.0  # seconds; Ray Tune writes down where its trials are every second
POINT = "point"  # the key of a configuration that stands for all of it
_JobOf = Callable[[Mapping[str, Any]], TrainingJob]


class _TrialFailedError(XmrcError):
    """A training that everything else depends on has failed."""


class _EpochLines(tune.Callback):
    """Says how far a single training is, whenever it reports but at its end.

    It is pickled with the search, so its console is opened in `setup` and never travels.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._heard: float
        self._console: Console

    def __getstate__(self) -> dict[str, Any]:
        return {"_name": self._name}

    def setup(self, *args: Any, **kwargs: Any) -> None:
        """The training begins, or goes on."""
        self._console, self._heard = Console(), time.time()

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """`base: epoch 1 of 3, loss 2.31, about 12:30 left`."""
        now, done, every = time.time(), len(result["history"]), result["evaluations"]
        left = (every - done) * (now - self._heard)
        self._heard = now
        if left:
            epochs = f"epoch {done} of {every}, loss {result['loss']:.2f}"
            say(self._console, f"{self._name}: {epochs}, about {clock(left)} left")


class _Thinning(tune.Callback):
    """Keeps a trial's best checkpoint, its last one and the young.

    Ray Tune, told to keep some alone, deletes one as much as a second before it writes down which
    other one the trial goes on from: a search that is killed in between could not go on.
    """

    def __init__(self, folders: TrialFolders, metric: str | None) -> None:
        self._folders, self._metric = folders, metric

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Another checkpoint is there."""
        self._folders.thin(trial.trial_id, self._metric, seconds=_YOUNG)

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Nothing goes on from here."""
        self._folders.thin(trial.trial_id, self._metric, seconds=0)


def run_tuner(
    job_of: _JobOf,
    resources: WorkerResources,
    folder: Path,
    name: str,
    *,
    config: TuneConfig,
    score: str | None,
    max_failures: int,
    callbacks: list[tune.Callback],
    points: Sequence[Mapping[str, Any]] = (),
) -> ResultGrid:
    """Run the trials under `folder/name`, or go on with those that were begun there.

    `points` are the configurations where no search algorithm proposes them.
    """

    def trainable(values: dict[str, Any]) -> None:
        run_trial(job_of(values), resources, folders, max_failures=max_failures)

    folders = TrialFolders(folder, name)
    asking = tune.with_resources(trainable, trial_request(resources))
    place = str(folder / name)
    if Tuner.can_restore(place):
        return Tuner.restore(
            place, trainable=asking, resume_unfinished=True, restart_errored=False
        ).fit()
    return Tuner(
        asking,
        param_space={POINT: tune.grid_search([dict(point) for point in points])} if points else {},
        tune_config=config,
        run_config=tune.RunConfig(
            name=name,
            storage_path=str(folder),
            verbose=0,
            callbacks=[*callbacks, _Thinning(folders, score)],
            failure_config=tune.FailureConfig(max_failures=max_failures),
        ),
    ).fit()


def train_once(
    job: TrainingJob,
    resources: WorkerResources,
    folder: Path,
    name: str,
    max_failures: int,
) -> Path:
    """Train a single job, which reports once an epoch; returns the folder of its reader.

    Errors: TrialFailedError with the cause; KeyboardInterrupt if Ray Tune was interrupted.
    """
    results = run_tuner(
        lambda _: job,
        resources,
        folder,
        name,
        config=TuneConfig(num_samples=1, trial_dirname_creator=by_id),
        score=job.metric,
        max_failures=max_failures,
        callbacks=[_EpochLines(name)],
    )
    result = results[0]
    if result.error is not None:
        raise _TrialFailedError(f"{name}: the training failed: {cause_of(result.error)}")
    reported = result.metrics or {}
    if "history" not in reported or len(reported["history"]) < reported["evaluations"]:
        raise KeyboardInterrupt(f"{name}: half trained; --resume goes on")
    checkpoint = TrialFolders(folder, name).best(reported["trial_id"], job.metric)
    assert checkpoint is not None, "Ray keeps the best checkpoint"
    return checkpoint / MODEL


def by_id(trial: Trial) -> str:
    """The folder of a trial: its id, which a resume does not change."""
    return str(trial.trial_id)
