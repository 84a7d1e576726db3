"""Ray Tune's events, written down. In: callbacks of the driver. Out: ledger, tables, MLflow, lines.

The only writer of them all. It is pickled with the search and lives on after a resume, so what it
holds open is opened in `setup` and never travels.
"""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ray import tune
from ray.exceptions import RayTaskError
from ray.tune.experiment import Trial
from rich.console import Console

from xmrc.search.checkpoints import TrialFiles
from xmrc.search.ledger import RUNNING, Ledger, TrialRecord
from xmrc.search.observed import ObservedTables
from xmrc.search.phases import Phase
from xmrc.search.progress import Display, open_display, say
from xmrc.tracking.interrupts import uninterrupted
from xmrc.tracking.tracker import Tracker


@dataclass(frozen=True)
class TrackingAddress:
    """How to reach the study's run in MLflow again."""

    uri: str | None  # as the settings have it: what the environment names may hold a password
    storage: str
    experiment: str
    study: str
    run_id: str

    def open(self) -> Tracker:
        """Connect and go on with the study's run."""
        with uninterrupted():
            tracker = Tracker.open(self.uri, self.storage, self.experiment)
            tracker.start_study(self.study, {}, {}, self.run_id)
        return tracker


class Recorder(tune.Callback):
    """Keeps the ledger, tells MLflow, shows the progress, and throws away what need not be kept."""

    def __init__(
        self,
        files: TrialFiles,
        values_of: Callable[[Mapping[str, Any]], dict[str, Any]],
        address: TrackingAddress,
        *,
        trials: int,
        at_once: int,
        keep: int,
    ) -> None:
        self._files, self._values_of, self._address = files, values_of, address
        self._trials, self._at_once, self._keep = trials, at_once, keep
        self._ledger: Ledger
        self._tracker: Tracker
        self._console: Console
        self._display: Display
        self._tables: ObservedTables

    def __getstate__(self) -> dict[str, Any]:
        live = ("_ledger", "_tracker", "_console", "_display", "_tables")
        return {name: value for name, value in self.__dict__.items() if name not in live}

    def setup(self, *args: Any, **kwargs: Any) -> None:
        """The search begins, or goes on."""
        self._ledger = self._files.open_ledger()
        self._tracker = self._address.open()
        self._tables = ObservedTables.open(self._files.folder, self._files.phase.tables)
        self._console = Console()
        self._display = open_display(self._console, self._trials, self._at_once)
        self._begun, self._silence = False, False

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """A killed search may have started trials that Ray Tune did not come to write down."""
        if self._begun:
            return
        self._begun = True
        known = {trial.trial_id for trial in trials}
        for record in list(self._ledger.trials.values()):
            if record.state == RUNNING and record.id not in known:
                self._ledger.forget(record.id)
                self._tables.forget(record.number)
                self._tracker.end_trial(record.id, "failed", "lost when the search was killed")

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Also called when a trial is tried again."""
        values = self._values_of(trial.config)
        record = self._ledger.start(trial.trial_id, values, time.time())
        _start_run(self._tracker, record, self._files.phase)
        self._show(record)

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Trial],
        trial: Trial,
        result: dict[str, Any],
        **info: Any,
    ) -> None:
        """A trial has evaluated; its whole history comes along, so nothing is missed for good."""
        self._ledger.evaluated(
            trial.trial_id, result["history"], result["evaluations"], time.time()
        )
        record = self._ledger.trials[trial.trial_id]
        self._tables.put(record.number, result["observed"])
        _log_history(self._tracker, record)
        self._show(record)

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """A trial has finished, or was stopped early."""
        self._end(trial, "")

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """A trial has failed for good; the search goes on."""
        self._end(trial, cause_of(trial.get_pickled_error()))

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Let go of the terminal and of MLflow."""
        self._display.close()
        self._tracker.close()  # what it could not write is written again from the ledger

    def _show(self, record: TrialRecord) -> None:
        """A trial has changed; and a line when MLflow falls silent, the search going on."""
        self._display.update(self._ledger, record)
        trouble = self._tracker.trouble
        if trouble and not self._silence:
            say(self._console, trouble)
        self._silence = bool(trouble)

    def _end(self, trial: Trial, cause: str) -> None:
        if trial.trial_id not in self._ledger.trials:  # lost before it could start
            self.on_trial_start(0, [], trial)
        checkpoint = self._files.best(trial.trial_id)
        record = self._ledger.end(trial.trial_id, cause, checkpoint, time.time())
        self._tracker.end_trial(record.id, record.state, record.cause)
        self._show(record)
        for behind in self._ledger.ranking[self._keep :]:
            if behind.checkpoint is not None:
                self._files.discard(behind.id)
                self._ledger.discarded(behind.id)


def _log_history(tracker: Tracker, record: TrialRecord) -> None:
    """Write a trial's evaluations to MLflow; what is there already stays as it is."""
    for evaluation in record.history:
        metrics = {name: value for name, value in evaluation.items() if name != "evaluation"}
        tracker.log_evaluation(record.id, int(evaluation["evaluation"]), metrics)


def replay(tracker: Tracker, record: TrialRecord, phase: Phase) -> None:
    """Write all that is known of a trial; MLflow keeps only what it lacks."""
    _start_run(tracker, record, phase)
    _log_history(tracker, record)
    tracker.end_trial(record.id, record.state, record.cause)


def _start_run(tracker: Tracker, record: TrialRecord, phase: Phase) -> None:
    """The run of a trial in MLflow, which shows it as `trial-3`."""
    tracker.start_trial(record.id, f"{phase.run_name}-{record.number}", record.values, phase.tags)


def cause_of(error: BaseException | None) -> str:
    """One line that says why a trial failed."""
    while isinstance(error, RayTaskError) and error.cause is not error:
        error = error.cause
    if error is None:
        return "the trial's process was lost"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    last = lines[-1] if lines else "no message"
    from_worker = re.fullmatch(r"(?:\w+\.)+(\w+: .*)", last)  # below Ray Train's own error
    return from_worker[1] if from_worker else f"{type(error).__name__}: {last}"
