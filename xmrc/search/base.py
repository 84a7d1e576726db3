"""The base reader. In: a run. Out: the checkpoint that trials start from.

Trained once per content hash and kept in the cache, for every trial and every later study.
"""

import shutil
import time
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.experiment import Trial

from xmrc.data.cache import Cache
from xmrc.errors import XmrcError
from xmrc.learning.job import TrainingJob
from xmrc.seals import SEAL
from xmrc.search.causes import cause_of
from xmrc.search.ledger import FAILED, FINISHED, RUNNING, Ledger
from xmrc.search.phases import BASE_TRAINING, TrialFiles
from xmrc.search.prepare import base_job, base_key, given_base
from xmrc.search.progress import clock
from xmrc.search.proposals import FAILURE, TRIAL, GivenPoints, Proposals
from xmrc.search.run import Run
from xmrc.search.tuner import open_tuner


class _BaseFailedError(XmrcError):
    """The training that everything else depends on has failed."""


def find_start(run: Run) -> str:
    """The checkpoint that trials start from: the base, or the encoder itself.

    Errors: as in `find_base`.
    """
    settings = run.study.settings
    from_base = settings.base is not None and settings.start_from_base
    return find_base(run) if from_base else run.prepared.encoder


def find_base(run: Run) -> str:
    """The checkpoint of the base, found or trained now; also trained again where it was damaged.

    Errors: an XmrcError with the cause if the base cannot be trained, DataError if its model is
    not there, KeyboardInterrupt if Ray Tune was interrupted.
    """
    base = run.study.settings.base
    assert base is not None
    if base.model is not None:
        return given_base(base.model)
    job = base_job(run.study.settings, run.prepared, run.fit.trial.threads)
    key = base_key(job)
    cache = Cache(run.prepared.cache)
    began, trained = time.time(), False

    def train(target: Path) -> None:
        nonlocal trained
        trained = True
        run.say(f"base: training on {base.corpus} ({base.epochs} epochs)")
        shutil.copytree(_train_base(run, job), target, dirs_exist_ok=True)
        (target / SEAL).unlink()  # the cache seals it anew, with its own

    found = cache.build("base", key, train)
    files = run.files(BASE_TRAINING)
    files.of(files.name(1)).discard()
    spent = clock(time.time() - began)
    run.say(f"base: trained in {spent}" if trained else f"base: found in {found}")
    return str(found)


def _train_base(run: Run, job: TrainingJob) -> Path:
    """Train, or go on with it, reporting once an epoch; the folder of the reader."""
    files = run.files(BASE_TRAINING)
    ledger, name = files.open_ledger(), files.name(1)
    known = ledger.trials.get(name)
    if known is not None and known.state != RUNNING:
        if known.state == FINISHED and files.of(name).best() is not None:
            return run.reader(known)
        ledger = Ledger(ledger.path, ledger.metric)  # it is tried again
    proposals = Proposals(files, ledger, GivenPoints([{}]), trials=1, room=run.room)
    with open_tuner(run, job, files, proposals, [_BaseRecorder(run, files, ledger)]) as tuner:
        tuner.fit()
    record = ledger.trials[name]
    if record.state == FAILED:
        raise _BaseFailedError(f"base: the training failed: {record.cause}")
    if record.state != FINISHED:
        raise KeyboardInterrupt("base: half trained")
    return run.reader(record)


class _BaseRecorder(tune.Callback):
    """Keeps the ledger of the base, and says how far it is whenever it reports but at its end."""

    def __init__(self, run: Run, files: TrialFiles, ledger: Ledger) -> None:
        self._run, self._files, self._ledger = run, files, ledger
        self._failure, self._heard = "", time.time()

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Ray pickles it for a restore that nobody asks for

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """The training begins, or goes on."""
        self._ledger.start(trial.config[TRIAL], time.time())
        self._heard = time.time()

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """`base: epoch 1 of 3, loss 2.31, about 12:30 left`."""
        if FAILURE in result:
            self._failure = result[FAILURE]
            return  # a storage that is full ends a study that has no more than this yet
        now, done, every = time.time(), len(result["history"]), result["evaluations"]
        self._ledger.evaluated(trial.config[TRIAL], result["history"], every, now)
        left = (every - done) * (now - self._heard)
        self._heard = now
        if left:
            epochs = f"epoch {done} of {every}, loss {result['loss']:.2f}"
            self._run.say(f"base: {epochs}, about {clock(left)} left")

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """It has gone to its end, or cannot be trained."""
        self._end(trial, self._failure)

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """It was lost for good."""
        self._end(trial, cause_of(trial.get_pickled_error()))

    def _end(self, trial: Trial, cause: str) -> None:
        name = trial.config[TRIAL]
        self._ledger.end(name, cause, self._files.of(name).settle(), time.time())
