"""What trainings report beside numbers, as tidy tables. In: reports. Out: CSV files, always whole.

pairs.csv    the scores of each language pair, 0 to 100
c_kl.csv     c_kl of each language pair, of trials that take it from the teacher
watched.csv  the first answers to the questions in `tracking.watch`, a row for each; probability is
             0 to 1, em and f1 are 0 to 100

All at every evaluation. The trainings of a confirmation have tables of their own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from xmrc.files import write_csv
from xmrc.scoring.predictions import PAIR, SCORES
from xmrc.tracking.tracker import Tracker

PAIRS, C_KL, WATCHED = "pairs.csv", "c_kl.csv", "watched.csv"

_TABLES = {PAIRS: "pairs", C_KL: "c_kl", WATCHED: "watched"}  # by what reports call them
_TYPES = {
    **dict.fromkeys(("trial", "evaluation", "step", "n", "rank"), "int64"),
    **dict.fromkeys(("epoch", "c_kl", "probability", *SCORES), "float64"),
    **dict.fromkeys(("id", "answer", *PAIR), "object"),
}

_Row = Mapping[str, str | float]


@dataclass
class ObservedTables:
    """The tables of all trainings of a search, in files of `folder` that begin with `prefix`."""

    folder: Path
    prefix: str = ""
    _frames: dict[str, dict[int, pd.DataFrame]] = field(default_factory=dict)  # by file, by trial

    @classmethod
    def open(cls, folder: Path, prefix: str = "") -> "ObservedTables":
        """Begin the tables, or go on with those that are there."""
        tables = cls(folder, prefix)
        for file in _TABLES:
            rows = read_table(folder / f"{prefix}{file}")
            tables._frames[file] = dict(iter(rows.groupby("trial"))) if len(rows) else {}
        return tables

    def put(self, trial: int, observed: Mapping[str, Iterable[_Row]]) -> None:
        """All that the trial of this number has reported until now, in place of what it had.

        `observed` is as `learning.history` has it.
        """
        for file, name in _TABLES.items():
            rows = [{"trial": trial, **row} for row in observed.get(name, ())]
            self._replace(file, trial, _typed(pd.DataFrame(rows, dtype="object")))

    def forget(self, trial: int) -> None:
        """A trial that never was; its number goes to another."""
        self.put(trial, {})

    def _replace(self, file: str, trial: int, rows: pd.DataFrame) -> None:
        frames = self._frames[file]
        if rows.equals(frames.get(trial, pd.DataFrame())):
            return
        frames[trial] = rows
        reported = [frames[number] for number in sorted(frames) if len(frames[number])]
        path = self.folder / f"{self.prefix}{file}"
        if reported:
            write_csv(path, pd.concat(reported))
        else:
            path.unlink(missing_ok=True)


def read_table(path: Path) -> pd.DataFrame:
    """The rows of a table; none where nothing was observed."""
    if not path.exists():
        return pd.DataFrame()
    return _typed(pd.read_csv(path, dtype="object", na_filter=False, lineterminator="\n"))


def _typed(rows: pd.DataFrame) -> pd.DataFrame:
    """Numbers as numbers; text as `object`, which holds every string."""
    return rows.astype({name: _TYPES[name] for name in rows})


def publish_tables(tracker: Tracker, folder: Path, prefix: str = "") -> None:
    """Put the tables that there are beside the study's run in MLflow."""
    for path in (folder / f"{prefix}{name}" for name in _TABLES):
        if path.exists():
            tracker.log_artifact(path)
