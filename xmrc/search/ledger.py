"""What has happened in a study. In: the events of its trials. Out: `trials.json`, always whole.

The ledger is what the table, MLflow and the choice of the best trial are made from; it is written
after every event, so a search that is killed loses nothing that a trial has reported.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
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
    best: float | None = None
    checkpoint: str | None = None  # of the best evaluation; a folder, once the trial has ended

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
    metric: str
    trials: dict[str, TrialRecord] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path, metric: str) -> "Ledger":
        """Read the ledger, or begin one."""
        records = read_document(path) if path.exists() else []
        return cls(path, metric, {record["id"]: TrialRecord(**record) for record in records})

    def start(self, trial_id: str, values: Mapping[str, Any], now: float) -> TrialRecord:
        """A trial begins, or begins again after a failure or a resume."""
        record = self.trials.get(trial_id)
        if record is None:
            number = 1 + max((one.number for one in self.trials.values()), default=0)
            record = TrialRecord(trial_id, number, dict(values), now)
            self.trials[trial_id] = record
        else:  # begins again: the time in between does not count
            record.started = now - record.seconds
        record.state, record.cause = RUNNING, ""
        self._write()
        return record

    def evaluated(
        self, trial_id: str, history: list[dict[str, float]], evaluations: int, now: float
    ) -> None:
        """A trial reports; its history is complete, also where earlier reports went unheard."""
        record = self.trials[trial_id]
        record.history, record.evaluations = history, evaluations
        record.seconds = now - record.started
        record.best = max(one[self.metric] for one in history)
        self._write()

    def end(self, trial_id: str, cause: str, checkpoint: Path | None, now: float) -> TrialRecord:
        """A trial is over; without a cause it finished, or was stopped early."""
        record = self.trials[trial_id]
        record.checkpoint = None if checkpoint is None else str(checkpoint)
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

    def forget(self, trial_id: str) -> None:
        """A trial that the search itself knows nothing of any more; it draws another instead."""
        del self.trials[trial_id]
        self._write()

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
        write_document(self.path, records)


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
