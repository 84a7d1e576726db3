"""Ray Tune. In: a run, the training of a trial. Out: a ledger of ended trials.

Optuna proposes, Ray Tune runs, ASHA stops, the recorder writes down. Base and confirmation are
searches of their own, by the same tuner: whatever holds for trials (workers, failures, resuming)
holds for them too. Every start and every resume is a new experiment of Ray's, whose own notes lie
in a temporary folder and are never read: the ledger says what is left to do.
"""

import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ray import tune
from ray.tune import TuneConfig, Tuner
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from xmrc.errors import XmrcError
from xmrc.learning.job import TrainingJob
from xmrc.search.ledger import Ledger, check_ended
from xmrc.search.observed import publish_tables
from xmrc.search.phases import SEARCH, TrialFiles
from xmrc.search.progress import clock
from xmrc.search.proposals import Proposals, search_points
from xmrc.search.recorder import Recorder, replay
from xmrc.search.resources import trial_request
from xmrc.search.run import Run
from xmrc.search.space import trial_count
from xmrc.search.stopping import scheduler_of
from xmrc.search.trainable import trainable_of
from xmrc.settings import Study


class _FailedSearchError(XmrcError):
    """More trials have failed than the study allows."""


def search_trials(run: Run, job: TrainingJob) -> Ledger:
    """Search, or go on with it; `job` has the values that are not searched.

    Errors: KeyboardInterrupt if Ray Tune was interrupted, NoTrialError if nothing was reported,
    an XmrcError with the causes if more fail than `search.max_failed_trials`.
    """
    study, files, began = run.study, run.files(SEARCH), time.time()
    ledger, trials = files.open_ledger(), trial_count(study)
    scheduler, behind = scheduler_of(study, ledger)
    for name in behind:
        ledger.end(name, "", files.of(name).settle(), time.time())
    _say_what_goes_on(run, files, ledger)
    allowed = _failures_allowed(study, trials)
    recorder = Recorder(run, files, ledger, trials=trials, keep=study.search.keep)
    points = search_points(study, ledger)
    proposals = Proposals(
        files, ledger, points, trials=trials, room=run.room, failures_allowed=allowed
    )
    with open_tuner(run, job, files, proposals, [recorder], scheduler) as tuner:
        if proposals.left:
            tuner.fit()
    publish_tables(run.tracker, run.folder.path)
    _check_failures(ledger, study, trials, allowed)
    check_ended(ledger, study.name, trials)
    run.say(f"search: {len(ledger.trials)} trials in {clock(time.time() - began)}")
    for record in ledger.trials.values():  # whatever MLflow missed while it was away
        replay(run.tracker, record, SEARCH)
    return ledger


@contextmanager
def open_tuner(
    run: Run,
    job: TrainingJob,
    files: TrialFiles,
    proposals: Proposals,
    callbacks: Sequence[tune.Callback],
    scheduler: TrialScheduler | None = None,
) -> Iterator[Tuner]:
    """What runs all trainings of a phase that its ledger does not know as ended."""
    trainable = trainable_of(job, files, run.fit.trial)
    with tempfile.TemporaryDirectory(prefix="xmrc-tune-") as of_ray:
        yield Tuner(
            tune.with_resources(trainable, trial_request(run.fit.trial)),
            tune_config=TuneConfig(
                search_alg=proposals,
                scheduler=scheduler or FIFOScheduler(),
                num_samples=max(1, len(proposals.left)),
                trial_dirname_creator=lambda trial: str(trial.trial_id),
            ),
            run_config=tune.RunConfig(
                name=files.phase.name,
                storage_path=of_ray,
                verbose=0,
                callbacks=list(callbacks),
                failure_config=tune.FailureConfig(max_failures=run.study.search.max_failures),
            ),
        )


def _failures_allowed(study: Study, trials: int) -> int:
    """`search.max_failed_trials`, else a third of all, rounded up."""
    asked = study.search.max_failed_trials
    return math.ceil(trials / 3) if asked is None else asked


def _check_failures(ledger: Ledger, study: Study, trials: int, allowed: int) -> None:
    if len(ledger.failed) > allowed:
        raise _FailedSearchError(
            f"{study.name}: {len(ledger.failed)} of {trials} trials failed, and "
            f"search.max_failed_trials allows {allowed}: {ledger.causes}"
        )


def _say_what_goes_on(run: Run, files: TrialFiles, ledger: Ledger) -> None:
    """Where the trials stand that a killed search has left, damaged checkpoints by their names."""
    for record in ledger.unfinished:
        checkpoints = files.of(record.id)
        newest = checkpoints.newest()
        for path in checkpoints.damaged():
            run.say(f"{path}: must be as it was written, and it is not: passed over")
        where = "from its start" if newest is None else f"from {newest.name}"
        run.say(f"{record.id} goes on {where}, {len(record.history)} evaluations were heard of")
