"""Ray Tune's events, written down. In: callbacks of the driver. Out: ledger, tables, MLflow, lines.

The only writer of them all.
"""

import time
from functools import partial
from typing import Any

from ray import tune
from ray.tune.experiment import Trial

from xmrc.search.causes import cause_of
from xmrc.search.ledger import Ledger, TrialRecord
from xmrc.search.observed import ObservedTables
from xmrc.search.phases import Phase, TrialFiles
from xmrc.search.progress import open_display
from xmrc.search.proposals import FAILURE, STORAGE_FULL, TRIAL
from xmrc.search.run import Run
from xmrc.tracking.tracker import Tracker


class Recorder(tune.Callback):
    """Keeps the ledger, tells MLflow, shows the progress, and throws away what need not be kept."""

    def __init__(
        self, run: Run, files: TrialFiles, ledger: Ledger, *, trials: int, keep: int
    ) -> None:
        self._run, self._files, self._ledger, self._keep = run, files, ledger, keep
        self._tables = ObservedTables.open(files.folder, files.phase.tables)
        self._trials = trials
        ledger.write = run.writer.write
        self._failures: dict[str, str] = {}  # why trials could not be trained, by their names
        self._silence = False

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Ray pickles it for a restore that nobody asks for

    def setup(self, *args: Any, **info: Any) -> None:
        """The trials begin: have a place of the terminal, until their end."""
        run = self._run
        self._display = open_display(run.console, self._trials, run.fit.at_once)

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Also called when a trial is tried again."""
        record = self._ledger.start(trial.config[TRIAL], time.time())
        _start_run(self._run.tracker, record, self._files.phase)
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
        name = trial.config[TRIAL]
        if FAILURE in result:
            self._failures[name] = result[FAILURE]
            if result[STORAGE_FULL]:
                self._run.writer.wait()
            return
        self._ledger.evaluated(name, result["history"], result["evaluations"], time.time())
        record = self._ledger.trials[name]
        self._run.writer.write(partial(self._tables.put, record.number, result["observed"]))
        _log_history(self._run.tracker, record)
        self._show(record)

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """A trial has finished, was stopped early, or cannot be trained."""
        name = trial.config[TRIAL]
        self._end(name, self._failures.get(name, ""))

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """A trial was lost for good; the search goes on."""
        self._end(trial.config[TRIAL], cause_of(trial.get_pickled_error()))

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Let go of the terminal."""
        self._display.close()

    def _show(self, record: TrialRecord) -> None:
        """A trial has changed; and a line when MLflow falls silent, the search going on."""
        self._display.update(self._ledger, record)
        trouble = self._run.tracker.trouble
        if trouble and not self._silence:
            self._run.say(trouble)
        self._silence = bool(trouble)

    def _end(self, name: str, cause: str) -> None:
        record = self._ledger.end(name, cause, self._files.of(name).settle(), time.time())
        self._run.tracker.end_trial(record.id, record.state, record.cause)
        self._show(record)
        for behind in self._ledger.ranking[self._keep :]:
            if behind.checkpoint is not None:
                self._files.of(behind.id).discard()
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
