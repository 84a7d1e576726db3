"""What trainings report beside numbers, as tidy tables. In: reports. Out: documents, CSV files.

pairs.csv    the scores of each language pair, 0 to 100
c_kl.csv     c_kl of each language pair, of trials that take it from the teacher
watched.csv  the first answers to the questions in `tracking.watch`, a row for each; probability is
             0 to 1, em and f1 are 0 to 100

All at every evaluation. The trainings of a confirmation have tables of their own. The tables are
for people: what counts is what each training has reported, kept in a document of its own,
`observed/3.json`, of which they are made again whenever they differ.
"""

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from xmrc.files import notice, read_document, write_document
from xmrc.scoring.predictions import PAIR, SCORES
from xmrc.tables import csv_of, write_csv
from xmrc.tracking.tracker import Tracker

_REPORTS = "observed"
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
    _reports: dict[int, Any] = field(default_factory=dict)  # by trial, as the documents have them
    _frames: dict[str, dict[int, pd.DataFrame]] = field(default_factory=dict)  # by file, by trial
    _sums: dict[str, str] = field(default_factory=dict)  # of the files, as they were written

    @classmethod
    def open(cls, folder: Path, prefix: str = "") -> "ObservedTables":
        """Begin the tables, or go on with those that are there.

        A table that is not what was reported is named on standard error and made again. Raises
        DataError (the file, the rule): a report is damaged.
        """
        tables = cls(folder, prefix, _read_reports(folder, prefix))
        with suppress(FileNotFoundError):
            tables._sums = read_document(tables._document("tables"))
        for file in _TABLES:
            tables._frames[file] = _frames_of(file, tables._reports)
            tables._restore(file)
        return tables

    def put(self, trial: int, observed: Mapping[str, Iterable[_Row]]) -> None:
        """All that the trial of this number has reported until now, in place of what it had.

        `observed` is as `learning.history` has it.
        """
        reported = {name: list(observed.get(name, ())) for name in _TABLES.values()}
        before = self._reports.get(trial, {})
        if reported == before or not (before or any(reported.values())):
            return
        write_document(self._document(str(trial)), reported)
        self._reports[trial] = reported
        for file, name in _TABLES.items():
            if reported[name] != before.get(name, []):
                self._frames[file].update(_frames_of(file, {trial: reported}))
                self._write(file)

    def _write(self, file: str) -> None:
        path = self.folder / f"{self.prefix}{file}"
        table = _joined(self._frames[file])
        if not len(table):
            path.unlink(missing_ok=True)
            return
        write_csv(path, table)
        self._sums[file] = _sum(path)
        write_document(self._document("tables"), self._sums)

    def _restore(self, file: str) -> None:
        path, table = self.folder / f"{self.prefix}{file}", _joined(self._frames[file])
        if len(table) and not (path.exists() and path.read_bytes() == csv_of(table)):
            if path.exists() and _sum(path) != self._sums.get(file):  # else it is only behind
                notice(f"{path}: must have what was reported; it is made again")
            self._write(file)

    def _document(self, name: str) -> Path:
        return self.folder / f"{self.prefix}{_REPORTS}" / f"{name}.json"


def read_table(folder: Path, file: str, prefix: str = "") -> pd.DataFrame:
    """The rows of a table of a study, from what was reported; none where nothing was.

    Raises DataError (the file, the rule): a report is damaged.
    """
    return _joined(_frames_of(file, _read_reports(folder, prefix)))


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read_reports(folder: Path, prefix: str) -> dict[int, Any]:
    """What each trial has reported, by its number."""
    files = (folder / f"{prefix}{_REPORTS}").glob("[0-9]*.json")
    return {int(path.stem): read_document(path) for path in files}


def _frames_of(file: str, reports: Mapping[int, Any]) -> dict[int, pd.DataFrame]:
    """The rows of a table, by trial."""
    return {
        trial: _typed(pd.DataFrame(({"trial": trial, **row} for row in rows), dtype="object"))
        for trial, rows in ((trial, reported[_TABLES[file]]) for trial, reported in reports.items())
    }


def _joined(frames: Mapping[int, pd.DataFrame]) -> pd.DataFrame:
    """One table, in the order of the trials; empty where there are no rows."""
    filled = [frames[trial] for trial in sorted(frames) if len(frames[trial])]
    return pd.concat(filled) if filled else pd.DataFrame()


def _typed(rows: pd.DataFrame) -> pd.DataFrame:
    """Numbers as numbers; text as `object`, which holds every string."""
    return rows.astype({name: _TYPES[name] for name in rows})


def publish_tables(tracker: Tracker, folder: Path, prefix: str = "") -> None:
    """Put the tables that there are beside the study's run in MLflow."""
    for path in (folder / f"{prefix}{name}" for name in _TABLES):
        if path.exists():
            tracker.log_artifact(path)
