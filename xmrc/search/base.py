"""The base reader. In: a run. Out: the checkpoint that trials start from.

Trained once per content hash and kept in the cache, for every trial and every later study.
"""

import shutil
import time
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.experiment import Trial
from rich.console import Console

from xmrc.data.cache import Cache
from xmrc.errors import XmrcError
from xmrc.learning.job import MODEL, TrainingJob
from xmrc.search.phases import Phase
from xmrc.search.prepare import base_job, base_key, given_base
from xmrc.search.progress import clock, say
from xmrc.search.recorder import cause_of
from xmrc.search.run import Run
from xmrc.search.tuner import build_tuner

_BASE = Phase("base")
_MAX_FAILURES = 1  # restarts of the base's training after a lost worker


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

    found = cache.build("base", key, train)
    spent = clock(time.time() - began)
    run.say(f"base: trained in {spent}" if trained else f"base: found in {found}")
    return str(found)


def _train_base(run: Run, job: TrainingJob) -> Path:
    """Train, or go on with it, reporting once an epoch; the folder of the reader."""
    files = run.files(_BASE)
    lines, job_of = _EpochLines(), lambda _: job
    tuner = build_tuner(run, files, job_of, callbacks=[lines], max_failures=_MAX_FAILURES)
    result = tuner.fit()[0]
    if result.error is not None:
        raise _BaseFailedError(f"base: the training failed: {cause_of(result.error)}")
    reported = result.metrics or {}
    if "history" not in reported or len(reported["history"]) < reported["evaluations"]:
        raise KeyboardInterrupt("base: half trained; --resume goes on")
    checkpoint = files.best(reported["trial_id"])
    assert checkpoint is not None, "Ray keeps the best checkpoint"
    return checkpoint / MODEL


class _EpochLines(tune.Callback):
    """Says how far the training is, whenever it reports but at its end.

    It is pickled with the search, so its console is opened in `setup` and never travels.
    """

    def __init__(self) -> None:
        self._heard: float
        self._console: Console

    def __getstate__(self) -> dict[str, Any]:
        return {}

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
            say(self._console, f"base: {epochs}, about {clock(left)} left")
