"""The search itself. In: a study, what its trials start from. Out: a ledger of ended trials.

Optuna proposes, Ray Tune runs, ASHA stops, the recorder writes down.
"""

import math
from collections.abc import Callable
from pathlib import Path

import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from ray.tune import TuneConfig
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search.optuna import OptunaSearch

from xmrc.errors import XmrcError
from xmrc.learning.job import TrainingJob
from xmrc.search.checkpoints import SEARCH, TrialFolders
from xmrc.search.ledger import Ledger
from xmrc.search.observed import publish_tables
from xmrc.search.recorder import Recorder
from xmrc.search.resources import Fit
from xmrc.search.run import Run
from xmrc.search.space import SearchSpace, trial_count
from xmrc.search.tuner import by_id, run_tuner
from xmrc.settings import SearchSettings, Study

_SAMPLERS: dict[str, Callable[..., BaseSampler]] = {
    "tpe": TPESampler,
    "random": RandomSampler,
    "grid": RandomSampler,  # has nothing to draw: every point is given
}


class NoTrialError(XmrcError):
    """No trial has reported anything, so there is nothing to choose from."""


def search_trials(run: Run, job: TrainingJob, fit: Fit) -> Ledger:
    """Search, or go on with it; `job` has the values that are not searched.

    Errors as in `ended_ledger`.
    """
    study, search = run.study, run.study.search
    space, trials = SearchSpace(study.space), trial_count(study)
    recorder = Recorder(
        run.folder.ledger,
        search.metric,
        space.values_of,
        TrialFolders(run.folder.path, SEARCH),
        run.address,
        trials=trials,
        at_once=fit.at_once,
        keep=search.keep,
    )
    run_tuner(
        lambda params: job.with_values(space.values_of(params)),
        fit.trial,
        run.folder.path,
        SEARCH,
        config=TuneConfig(
            search_alg=_proposals(study, space),
            scheduler=_scheduler(search, study),
            num_samples=trials,
            max_concurrent_trials=fit.at_once,
            trial_dirname_creator=by_id,
        ),
        score=search.metric,
        max_failures=search.max_failures,
        callbacks=[recorder],
    )
    publish_tables(run.tracker, run.folder.path)
    return ended_ledger(run.folder.ledger, study, trials)


def ended_ledger(path: Path, study: Study, trials: int) -> Ledger:
    """The ledger of trials that are all over.

    Errors: KeyboardInterrupt if Ray Tune was interrupted, NoTrialError if nothing was reported.
    """
    ledger = Ledger.open(path, study.search.metric)
    if len(ledger.ended) < trials:
        raise KeyboardInterrupt(f"{len(ledger.ended)} trials have ended; --resume goes on")
    if not ledger.ranking:
        causes = "; ".join(sorted({record.cause for record in ledger.trials.values()}))
        raise NoTrialError(f"{study.name}: every trial failed: {causes}")
    return ledger


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


def _scheduler(search: SearchSettings, study: Study) -> TrialScheduler:
    """ASHA on our own count of evaluations, which a resume does not reset; or none."""
    if search.scheduler == "none":
        return FIFOScheduler()
    domain = study.space.get("training.epochs")
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
