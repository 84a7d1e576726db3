"""What is trained next. In: a ledger, where new points come from. Out: configurations for Ray Tune.

The ledger decides, not what Ray has written down: what has ended there is never proposed again,
and what ran when a search was killed comes first, under its own name.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FixedTrial, TrialState, create_trial
from ray.tune.search import Searcher

from xmrc.search.ledger import FAILED, Ledger, TrialRecord
from xmrc.search.phases import TrialFiles
from xmrc.search.space import SearchSpace
from xmrc.settings import Study

TRIAL, VALUES = "trial", "values"  # keys of a configuration
FAILURE = "failure"  # of a result: why a trial could not be trained
STORAGE_FULL = "storage_full"  # beside it: whether for want of space
_SAMPLERS: dict[str, Callable[..., BaseSampler]] = {"tpe": TPESampler, "random": RandomSampler}


class _Points(Protocol):
    """Where the values of trials come from."""

    def ask(self, number: int) -> Mapping[str, Any]:
        """The settings, by dotted key, of the trial of this number."""

    def tell(self, number: int, score: float | None) -> None:
        """How well it did in the end; None if it failed."""


@dataclass(frozen=True)
class GivenPoints:
    """Points that are known before the first of them is tried."""

    points: Sequence[Mapping[str, Any]]

    def ask(self, number: int) -> Mapping[str, Any]:
        """The trials are numbered from 1, in the order of the points."""
        return self.points[number - 1]

    def tell(self, number: int, score: float | None) -> None:
        """Nothing is learned from it."""


class _OptunaPoints:
    """Points that Optuna's sampler proposes, after those that the study starts from.

    A proposal follows from the seed, the number of the trial and what is known by then: so a
    search that was resumed proposes what it would have proposed.
    """

    def __init__(self, study: Study, ledger: Ledger) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space, self._settings = SearchSpace(study.space), study.search
        self._first = self._space.points(study.search.start_from)
        self._optuna = optuna.create_study(direction="maximize")
        self._asked: dict[int, optuna.Trial] = {}
        for record in ledger.ended:
            if record.state != FAILED and record.best is not None:
                self._optuna.add_trial(self._ended(record))
        self._known = {record.number: record for record in ledger.unfinished}

    def ask(self, number: int) -> Mapping[str, Any]:
        """What the trial has already, what the study starts from, or what the sampler proposes."""
        if number in self._known:
            self._optuna.enqueue_trial(self._space.points([self._known[number].values])[0])
        elif number <= len(self._first):
            self._optuna.enqueue_trial(self._first[number - 1])
        seed = np.random.SeedSequence((self._settings.seed, number)).generate_state(1)[0]
        self._optuna.sampler = _SAMPLERS[self._settings.sampler](seed=int(seed))
        trial = self._asked[number] = self._optuna.ask()
        self._space(trial)
        return self._space.values_of(trial.params)

    def tell(self, number: int, score: float | None) -> None:
        """Failed trials teach the sampler nothing."""
        state = TrialState.FAIL if score is None else TrialState.COMPLETE
        self._optuna.tell(self._asked[number], score, state)

    def _ended(self, record: TrialRecord) -> optuna.trial.FrozenTrial:
        """As the sampler would have seen it."""
        (params,) = self._space.points([record.values])
        drawn = FixedTrial(params)
        self._space(drawn)
        return create_trial(params=params, distributions=drawn.distributions, value=record.best)


def search_points(study: Study, ledger: Ledger) -> _Points:
    """Every point of a grid, or what Optuna proposes."""
    if study.search.sampler != "grid":
        return _OptunaPoints(study, ledger)
    space = SearchSpace(study.space)
    return GivenPoints([space.values_of(point) for point in space.grid()])


class Proposals(Searcher):
    """Hands the trials of a phase to Ray Tune, `room()` of them at once, each with its own name.

    Once more than `failures_allowed` have failed there is no next one: what runs then goes on.
    """

    def __init__(
        self,
        files: TrialFiles,
        ledger: Ledger,
        points: _Points,
        *,
        trials: int,
        room: Callable[[], int],
        failures_allowed: float = math.inf,
    ) -> None:
        super().__init__()
        self._failures_allowed = failures_allowed
        self._files, self._ledger, self._points, self._room = files, ledger, points, room
        ended = {record.number for record in ledger.ended}
        self.left = sorted(set(range(1, trials + 1)) - ended)
        self._live: dict[str, int] = {}  # Ray's name of a trial to its number

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Ray pickles it for a restore that nobody asks for

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """The next trial, if there is room for it. Ray Tune asks for no more than are left."""
        if len(self._ledger.failed) > self._failures_allowed:
            return Searcher.FINISHED
        if self._live and len(self._live) >= self._room():
            return None
        number = self._live[trial_id] = self.left.pop(0)
        name, values = self._files.name(number), dict(self._points.ask(number))
        if name not in self._ledger.trials:
            self._ledger.propose(name, number, values, time.time())
        return {TRIAL: name, VALUES: values}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """A trial is over, whatever became of it."""
        number = self._live.pop(trial_id)
        reported = result or {}
        failed = error or FAILURE in reported
        self._points.tell(number, None if failed else reported.get("best"))

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger has it all."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the ledger had it all."""
