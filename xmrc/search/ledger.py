"""What has happened in a study. In: the events of its trials. Out: `trials.json`, always whole.

The ledger is what the table, MLflow and the choice of the best trial are made from; it is written
after every event, so a search that is killed loses nothing that a trial has reported.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from xmrc.errors import XmrcError
from xmrc.files import read_document, write_document

RUNNING, FINISHED, STOPPED, FAILED = "running", "finished", "stopped", "failed"


class NoTrialError(XmrcError):
    """No trial has reported anything, so there is nothing to choose from."""


@dataclass
class TrialRecord:
    """One trial: what was searched, how it went, where its best checkpoint is."""

    id: str
    number: int  # in the order of their start, from 1
    values: dict[str, Any]  # dotted settings key to value
    started: float  # seconds since the epoch
    state: str = RUNNING
    cause: str = ""
    seconds: float = 0.0
    evaluations: int = 0  # of a whole run
    history: list[dict[str, float]] = field(default_factory=list)
    reported: list[float] = field(default_factory=list)  # when each was heard of, since the epoch
    best: float | None = None
    checkpoint: str | None = None  # of the best evaluation, once it has ended; below the ledger's

    @property
    def progress(self) -> float:
        """Share of its evaluations that a trial has done; 1 once it has ended."""
        if self.state != RUNNING:
            return 1.0
        return len(self.history) / self.evaluations if self.evaluations else 0.0


@dataclass
class Ledger:
    """The trials of one study, kept in `path`."""

    path: Path
    metric: str  # what the best is best at; empty: nothing is compared
    trials: dict[str, TrialRecord] = field(default_factory=dict)
    write: Callable[[Callable[[], None]], None] = lambda act: act()  # how a file is written

    @classmethod
    def open(cls, path: Path, metric: str) -> "Ledger":
        """Read the ledger, or begin one."""
        try:
            records = read_document(path)
        except FileNotFoundError:
            records = []
        return cls(path, metric, {record["id"]: TrialRecord(**record) for record in records})

    def propose(self, trial_id: str, number: int, values: Mapping[str, Any], now: float) -> None:
        """A trial is to begin; from here on it is known, whatever happens to the search."""
        self.trials[trial_id] = TrialRecord(trial_id, number, dict(values), now)
        self._write()

    def start(self, trial_id: str, now: float) -> TrialRecord:
        """A trial begins, or goes on: the time in between does not count."""
        record = self.trials[trial_id]
        record.started = now - record.seconds
        self._write()
        return record

    def evaluated(
        self, trial_id: str, history: list[dict[str, float]], evaluations: int, now: float
    ) -> None:
        """A trial reports; its history is complete, also where earlier reports went unheard."""
        record = self.trials[trial_id]
        record.history, record.evaluations = history, evaluations
        record.reported += [now] * (len(history) - len(record.reported))
        record.seconds = now - record.started
        if self.metric:
            record.best = max(one[self.metric] for one in history)
        self._write()

    def end(self, trial_id: str, cause: str, checkpoint: Path | None, now: float) -> TrialRecord:
        """A trial is over; without a cause it finished, or was stopped early."""
        record = self.trials[trial_id]
        below = None if checkpoint is None else checkpoint.relative_to(self.path.parent)
        record.checkpoint = None if below is None else str(below)
        whole = len(record.history) == record.evaluations
        record.state = FAILED if cause else FINISHED if whole else STOPPED
        record.cause = cause or ("" if whole else "stopped early: behind the others")
        record.seconds = now - record.started
        self._write()
        return record

    def discarded(self, trial_id: str) -> None:
        """The checkpoint of a trial that has ended is no longer kept."""
        self.trials[trial_id].checkpoint = None
        self._write()

    @property
    def unfinished(self) -> list[TrialRecord]:
        """Trials that run, or ran when the search was killed, in the order of their start."""
        return [record for record in self.trials.values() if record.state == RUNNING]

    @property
    def failed(self) -> list[TrialRecord]:
        """Trials that could not be trained."""
        return [record for record in self.trials.values() if record.state == FAILED]

    @property
    def table(self) -> list[TrialRecord]:
        """All trials: the ranking, and then those that never reported."""
        silent = [record for record in self.trials.values() if record.best is None]
        return [*self.ranking, *silent]

    @property
    def ranking(self) -> list[TrialRecord]:
        """Trials that reported, best first; of equals the earlier."""
        scored = [record for record in self.trials.values() if record.best is not None]
        return sorted(scored, key=lambda record: (-float(record.best or 0.0), record.number))

    @property
    def ended(self) -> list[TrialRecord]:
        """Trials that are over, in the order of their start."""
        return [record for record in self.trials.values() if record.state != RUNNING]

    @property
    def causes(self) -> str:
        """Why trials failed or were stopped, each cause once."""
        return "; ".join(sorted({record.cause for record in self.trials.values()}))

    def _write(self) -> None:
        records = [asdict(record) for record in self.trials.values()]
        self.write(partial(write_document, self.path, records))


def check_ended(ledger: Ledger, name: str, trials: int) -> None:
    """Whether all trials of the study `name` are over.

    Errors: KeyboardInterrupt if Ray Tune was interrupted, NoTrialError if nothing was reported.
    """
    if len(ledger.ended) < trials:
        raise KeyboardInterrupt(f"{len(ledger.ended)} trials have ended; --resume goes on")
    if not ledger.ranking:
        raise NoTrialError(f"{name}: every trial failed: {ledger.causes}")


def best_evaluation(record: TrialRecord, metric: str) -> dict[str, float]:
    """The evaluation that a trial counts with; of equals the later, whose checkpoint is kept."""
    return max(reversed(record.history), key=lambda evaluation: evaluation[metric])
