"""The trainings of a study by what they are for. In: a study's folder, a phase. Out: its files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from xmrc.learning.checkpoints import Checkpoints
from xmrc.search.ledger import Ledger


@dataclass(frozen=True)
class Phase:
    """Trainings that Ray Tune runs as one search of its own: base, search or confirmation."""

    name: str  # of the folder with their checkpoints
    run_name: str  # of their runs in MLflow and of their folders, before the number
    ledger: str  # the file with what has happened to them
    tags: Mapping[str, str] = field(default_factory=dict)  # of these runs
    tables: str = ""  # what the names of their tables begin with


BASE_TRAINING = Phase("base", "base", "base.json")
SEARCH = Phase("search", "trial", "trials.json")
CONFIRMATION = Phase(
    "confirm", "confirmation", "confirm.json", {"xmrc.role": "confirmation"}, "confirmation-"
)


@dataclass(frozen=True)
class TrialFiles:
    """Where the trainings of one phase of a study keep what they leave, below its `folder`.

    `metric`: what the best checkpoint is best at, higher is better; None: the last one is.
    """

    folder: Path
    phase: Phase
    metric: str | None

    def open_ledger(self) -> Ledger:
        """What has happened to the trainings, or a new ledger."""
        return Ledger.open(self.folder / self.phase.ledger, self.metric or "")

    def name(self, number: int) -> str:
        """The id of a training: `trial-3`."""
        return f"{self.phase.run_name}-{number}"

    def of(self, trial: str) -> Checkpoints:
        """The checkpoints of a training, by its id."""
        return Checkpoints(self.folder / self.phase.name / trial, self.metric)
