"""Ray Tune. In: a run, the training of a trial. Out: a ledger of ended trials.

Optuna proposes, Ray Tune runs, ASHA stops, the recorder writes down. Base and confirmation are
searches of their own, by the same tuner: whatever holds for trials (workers, failures, resuming)
holds for them too.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from ray import tune
from ray.tune import TuneConfig, Tuner
from ray.tune.experiment import Trial
from ray.tune.integration.ray_train import TuneReportCallback
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search.optuna import OptunaSearch
from torch import nn

from xmrc.learning.job import TrainingJob, open_training
from xmrc.learning.step import Worker
from xmrc.learning.worker import WorkerResources, train_on_workers
from xmrc.search.checkpoints import TrialFiles
from xmrc.search.ledger import Ledger, check_ended
from xmrc.search.observed import publish_tables
from xmrc.search.phases import SEARCH
from xmrc.search.progress import clock
from xmrc.search.recorder import Recorder, replay
from xmrc.search.resources import DRIVER_CPUS, trial_request
from xmrc.search.run import Run
from xmrc.search.space import SearchSpace, trial_count
from xmrc.settings import Study

POINT = "point"  # the key of a configuration that stands for all of it
_YOUNG = 60.0  # seconds; Ray Tune writes down where its trials are every second
_SAMPLERS: dict[str, Callable[..., BaseSampler]] = {
    "tpe": TPESampler,
    "random": RandomSampler,
    "grid": RandomSampler,  # has nothing to draw: every point is given
}


def search_trials(run: Run, job: TrainingJob) -> Ledger:
    """Search, or go on with it; `job` has the values that are not searched.

    Errors: KeyboardInterrupt if Ray Tune was interrupted, NoTrialError if nothing was reported.
    """
    study, files, began = run.study, run.files(SEARCH), time.time()
    space, trials = SearchSpace(study.space), trial_count(study)
    recorder = Recorder(
        files,
        space.values_of,
        run.address,
        trials=trials,
        at_once=run.fit.at_once,
        keep=study.search.keep,
    )
    tuner = build_tuner(
        run,
        files,
        lambda params: job.with_values(space.values_of(params)),
        config=TuneConfig(
            search_alg=_proposals(study, space), scheduler=_scheduler(study), num_samples=trials
        ),
        callbacks=[recorder],
        max_failures=study.search.max_failures,
    )
    tuner.fit()
    publish_tables(run.tracker, run.folder.path)
    ledger = files.open_ledger()
    check_ended(ledger, study.name, trials)
    run.say(f"search: {len(ledger.trials)} trials in {clock(time.time() - began)}")
    for record in ledger.trials.values():  # whatever MLflow missed while it was away
        replay(run.tracker, record, SEARCH)
    return ledger


def build_tuner(
    run: Run,
    files: TrialFiles,
    job_of: Callable[[Mapping[str, Any]], TrainingJob],
    *,
    config: TuneConfig | None = None,
    callbacks: list[tune.Callback],
    max_failures: int,
    points: Sequence[Mapping[str, Any]] = (),
) -> Tuner:
    """What runs the trainings of a phase, or goes on with those that were begun there.

    `job_of` gives the training of a configuration; `points` are the configurations where no search
    algorithm proposes them.
    """
    trainable = tune.with_resources(
        _trainable(job_of, files, run.fit.trial, max_failures), trial_request(run.fit.trial)
    )
    place = files.folder / files.phase.name
    if Tuner.can_restore(str(place)):
        return Tuner.restore(
            str(place), trainable=trainable, resume_unfinished=True, restart_errored=False
        )
    return Tuner(
        trainable,
        param_space={POINT: tune.grid_search([dict(point) for point in points])} if points else {},
        tune_config=replace(
            config or TuneConfig(),
            max_concurrent_trials=run.fit.at_once,
            trial_dirname_creator=lambda trial: str(trial.trial_id),  # not changed by a resume
        ),
        run_config=tune.RunConfig(
            name=place.name,
            storage_path=str(place.parent),
            verbose=0,
            callbacks=[*callbacks, _Thinning(files)],
            failure_config=tune.FailureConfig(max_failures=max_failures),
        ),
    )


def _trainable(
    job_of: Callable[[Mapping[str, Any]], TrainingJob],
    files: TrialFiles,
    resources: WorkerResources,
    max_failures: int,
) -> Callable[[dict[str, Any]], None]:
    """What Ray Tune calls in the process of a trial.

    A trial of one worker trains right there, which starts in a third of the time; one of several
    workers is the driver of a Ray Train group. Both run the same training function.
    """

    def trainable(config: dict[str, Any]) -> None:
        job, trial = job_of(config), tune.get_context().get_trial_id()
        if resources.workers == 1:
            train = open_training(job, _TuneContext(files, trial))
            train()
            return
        train_on_workers(
            job,
            replace(resources, cpus=resources.cpus - DRIVER_CPUS),
            name=trial,  # the same after a resume: it goes on where it was
            storage=str(files.workers),
            max_failures=max_failures,
            callbacks=[TuneReportCallback()],
        )

    return trainable


@dataclass(frozen=True)
class _TuneContext:
    """The only worker of a trial, in the trial's own process."""

    files: TrialFiles
    trial: str

    @property
    def worker(self) -> Worker:
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
        yield self.files.newest(self.trial)

    def report(self, metrics: dict[str, Any], checkpoint: Path | None) -> None:
        """Metrics, and a folder to keep."""
        kept = None if checkpoint is None else tune.Checkpoint.from_directory(str(checkpoint))
        tune.report(metrics, checkpoint=kept)


class _Thinning(tune.Callback):
    """Keeps a trial's best checkpoint, its last one and the young.

    Ray Tune, told to keep some alone, deletes one as much as a second before it writes down which
    other one the trial goes on from: a search that is killed in between could not go on.
    """

    def __init__(self, files: TrialFiles) -> None:
        self._files = files

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Another checkpoint is there."""
        self._files.thin(trial.trial_id, seconds=_YOUNG)

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Nothing goes on from here."""
        self._files.thin(trial.trial_id, seconds=0)


def _proposals(study: Study, space: SearchSpace) -> OptunaSearch:
    """Optuna's sampler, after the points that are tried first; of a grid these are all."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    search = study.search
    grid = search.sampler == "grid"
    first = space.grid() if grid else space.points(search.start_from)
    return OptunaSearch(
        space,
        metric="best",
        mode="max",
        sampler=_SAMPLERS[search.sampler](seed=search.seed),
        points_to_evaluate=first or None,
    )


def _scheduler(study: Study) -> TrialScheduler:
    """ASHA on our own count of evaluations, which a resume does not reset; or none."""
    search, domain = study.search, study.space.get("training.epochs")
    if search.scheduler == "none":
        return FIFOScheduler()
    epochs = max([study.settings.training.epochs, *(domain.values if domain else ())])
    evaluations = math.floor(epochs / search.evaluate_every) + 1  # at most
    return ASHAScheduler(
        time_attr="evaluation",
        metric="best",
        mode="max",
        max_t=evaluations + 1,  # never kill a trial at its last report
        grace_period=min(search.grace, evaluations),  # a shorter trial is never stopped
        reduction_factor=search.reduction_factor,
    )
