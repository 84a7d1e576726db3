"""What trainings report beside numbers, as tidy tables. In: reports. Out: CSV files, always whole.

pairs.csv    the scores of each language pair, 0 to 100
c_kl.csv     c_kl of each language pair, of trials that take it from the teacher
watched.csv  the first answers to the questions in `tracking.watch`, a row for each; probability is
             0 to 1, em and f1 are 0 to 100

All at every evaluation. The trainings of a confirmation have tables of their own.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xmrc.files import replacing
from xmrc.scoring.predictions import SCORES
from xmrc.tracking.tracker import Tracker

PAIRS, C_KL, WATCHED = "pairs.csv", "c_kl.csv", "watched.csv"
OF_CONFIRMATION = "confirmation-"  # what the names of a confirmation's tables begin with

_Row = Mapping[str, Any]
_Observed = Mapping[str, Any]  # of one evaluation, as `learning.history` says


def _pair_rows(observed: _Observed) -> Iterator[_Row]:
    """A row for each language pair."""
    names = ("question_language", "context_language", "n", *SCORES)
    for pair in observed.get("pairs", ()):
        yield dict(zip(names, pair, strict=True))


def _c_kl_rows(observed: _Observed) -> Iterator[_Row]:
    """A row for each language pair."""
    for question, context, mean in observed.get("c_kl", ()):
        yield {"question_language": question, "context_language": context, "c_kl": mean}


def _watched_rows(observed: _Observed) -> Iterator[_Row]:
    """A row for each answer."""
    for id, question, context, answers in observed.get("watched", ()):
        for rank, (text, probability, em, f1) in enumerate(answers, 1):
            yield {
                "id": id,
                "question_language": question,
                "context_language": context,
                "rank": rank,
                "answer": text,
                "probability": probability,
                "em": em,
                "f1": f1,
            }


_TABLES: Mapping[str, Callable[[_Observed], Iterable[_Row]]] = {
    PAIRS: _pair_rows,
    C_KL: _c_kl_rows,
    WATCHED: _watched_rows,
}


@dataclass
class ObservedTables:
    """The tables of all trainings of a search, in files of `folder` that begin with `prefix`."""

    folder: Path
    prefix: str = ""
    _rows: dict[str, dict[int, list[_Row]]] = field(default_factory=dict)  # by table, by trial

    @classmethod
    def open(cls, folder: Path, prefix: str = "") -> "ObservedTables":
        """Begin the tables, or go on with those that are there."""
        tables = cls(folder, prefix)
        for name in _TABLES:
            by_trial = tables._rows.setdefault(name, {})
            for row in read_table(folder / f"{prefix}{name}"):
                by_trial.setdefault(int(row["trial"]), []).append(row)
        return tables

    def put(self, trial: int, history: Sequence[_Row], observed: Sequence[_Observed]) -> None:
        """All that the trial of this number has reported until now, in place of what it had."""
        for name, rows_of in _TABLES.items():
            rows: list[_Row] = [
                {"trial": trial, **place, **row}
                for place, one in zip(map(_place, history), observed, strict=True)
                for row in rows_of(one)
            ]
            self._replace(name, trial, rows)

    def forget(self, trial: int) -> None:
        """A trial that never was; its number goes to another."""
        for name in _TABLES:
            self._replace(name, trial, [])

    def _replace(self, name: str, trial: int, rows: list[_Row]) -> None:
        by_trial = self._rows[name]
        if rows == by_trial.get(trial, []):
            return
        by_trial[trial] = rows
        _write_table(self.folder / f"{self.prefix}{name}", by_trial)


def _write_table(path: Path, by_trial: Mapping[int, Sequence[_Row]]) -> None:
    """The rows of all trials, by their numbers; no file where there are none."""
    rows = [row for number in sorted(by_trial) for row in by_trial[number]]
    if not rows:
        path.unlink(missing_ok=True)
        return
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    with replacing(path) as partial:  # a lone surrogate, which UTF-8 does not have, is escaped
        partial.write_bytes(text.getvalue().encode("utf-8", errors="backslashreplace"))


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a table; none where nothing was observed."""
    if not path.exists():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def publish_tables(tracker: Tracker, folder: Path, prefix: str = "") -> None:
    """Put the tables that there are beside the study's run in MLflow."""
    for path in (folder / f"{prefix}{name}" for name in _TABLES):
        if path.exists():
            tracker.log_artifact(path)


def _place(evaluation: _Row) -> _Row:
    return {name: evaluation[name] for name in ("evaluation", "epoch", "step")}
