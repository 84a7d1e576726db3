"""The trainings of a study by what they are for. In: a study's folder, a phase. Out: its files."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Phase:
    """Trainings that Ray Tune runs as one search of its own: base, search or confirmation."""

    name: str  # of the folder with their checkpoints
    ledger: str = ""  # the file with what has happened to them; the base has none
    run_name: str = ""  # of their runs in MLflow, before the number
    tags: Mapping[str, str] = field(default_factory=dict)  # of these runs
    tables: str = ""  # what the names of their tables begin with


SEARCH = Phase("search", "trials.json", "trial")
CONFIRMATION = Phase(
    "confirm", "confirm.json", "confirmation", {"xmrc.role": "confirmation"}, "confirmation-"
)
