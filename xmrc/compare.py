"""`python -m xmrc.compare`: which of several readers is better. In: evaluations. Out: tables.

A run is a folder that `python -m xmrc.evaluate --out` or a study has written, the id of an MLflow
run that has such files, or a registered model, which stands for the evaluation of its study's
champion. Runs joined by commas are the seeds of one setting.
"""

import argparse
import os
import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from string import ascii_uppercase

import pandas as pd
from rich.console import Console

from xmrc import command
from xmrc.data.scored_set import titled
from xmrc.errors import DataError, ResourceError, SettingsError
from xmrc.scoring.evaluation_files import EXAMPLES, read_examples, read_label
from xmrc.scoring.gxlt import summarise
from xmrc.scoring.predictions import check_same_examples
from xmrc.scoring.reader_tables import language_table, macro_table, pair_table
from xmrc.scoring.score_tables import diagnose, in_words
from xmrc.scoring.statistics import (
    METRICS,
    RESAMPLES,
    Comparison,
    compare_examples,
    compare_seeds,
    shown_p,
)
from xmrc.search.folder import CHAMPION, check_format, storage_path
from xmrc.search.progress import say
from xmrc.tables import as_terminal

_RUN_ID = re.compile(r"[0-9a-f]{32}")
_WIDE = 120  # columns of a table that goes to a file or a pipe


@dataclass(frozen=True)
class _Side:
    """One thing that is compared: a run, or the seeds of a setting, by a letter."""

    letter: str
    runs: dict[str, pd.DataFrame]  # as the user named them, with the label of their scores


def main() -> None:
    """Parse, call, print."""
    options = _parser().parse_args()
    console = Console()
    console = console if console.is_terminal else Console(width=_WIDE)
    sides = _read_sides(options)
    first, *others = sides
    comparisons = {other.letter: _compare(first, other) for other in others}
    for side in sides:
        say(console, f"{side.letter}: {', '.join(side.runs)}")
    say(console, _units(next(iter(comparisons.values()))))
    console.print(as_terminal(macro_table(first.letter, comparisons)))
    for letter, comparison in comparisons.items():
        _print_details(comparison, first.letter, letter, console)
    for side in sides:
        _print_gaps(side, console)


def _parser() -> argparse.ArgumentParser:
    parser = command.Parser(
        prog="python -m xmrc.compare",
        description="Compare readers over the same questions, with intervals and tests.",
    )
    parser.add_argument(
        "runs",
        nargs="+",
        type=command.word_list,
        metavar="RUN",
        help="folders of evaluations, ids of MLflow runs, models:/NAME@ALIAS or "
        "models:/NAME/VERSION; the first is what the others are compared with; RUN,RUN,... are "
        "seeds of one setting",
    )
    parser.add_argument(
        "--storage", default="runs", metavar="DIR", help="where studies keep their runs [runs]"
    )
    parser.add_argument(
        "--tracking-uri",
        metavar="URI",
        help="MLflow server of the runs [MLFLOW_TRACKING_URI, else SQLite in the storage]",
    )
    return parser


def _read_sides(options: argparse.Namespace) -> list[_Side]:
    """The sides, each with its runs; all over the same examples."""
    _check_compared(options.runs)
    sides = [
        _Side(letter, dict(_read(name, options) for name in names))
        for letter, names in zip(ascii_uppercase, options.runs, strict=False)
    ]
    check_same_examples({name: run for side in sides for name, run in side.runs.items()})
    return sides


def _check_compared(compared: Sequence[Sequence[str]]) -> None:
    """SettingsError: fewer than two sides, a run twice, or single runs beside groups of seeds."""
    if not 2 <= len(compared) <= len(ascii_uppercase):
        raise SettingsError(f"RUN: must name 2 to {len(ascii_uppercase)} runs, got {len(compared)}")
    places = {name: Path(name).resolve() for names in compared for name in names}
    again = Counter(places[name] for names in compared for name in names)
    name, count = max(((name, again[place]) for name, place in places.items()), key=itemgetter(1))
    if count > 1:
        raise SettingsError(f"RUN: must name each run once, and {name} stands {count} times")
    if len({len(names) > 1 for names in compared}) > 1:
        single = next(names[0] for names in compared if len(names) == 1)
        raise SettingsError(
            "RUN: must be all single, or all groups of at least 2 seeds joined by "
            f"commas; {single} is single"
        )


_Run = tuple[str, pd.DataFrame]  # its name, with the label of its scores; the scores


def _read(name: str, options: argparse.Namespace) -> _Run:
    folder = Path(os.path.expanduser(name))
    if folder.is_dir():
        return _read_file(name, _table_of(folder))
    if name.startswith("models:"):
        return _read_model(name, options)
    if not _RUN_ID.fullmatch(name):
        raise SettingsError(
            "RUN: must be a folder, the id of a run in MLflow (32 hexadecimal digits), "
            f"models:/NAME@ALIAS or models:/NAME/VERSION; {name} is none of them"
        )
    return _read_run(name, name, ("", CHAMPION), options)


def _read_file(name: str, file: Path) -> _Run:
    examples = read_examples(file)
    return titled(name, read_label(file)), examples


def _read_model(name: str, options: argparse.Namespace) -> _Run:
    # MLflow takes seconds to import, and folders need none of it.
    from xmrc.tracking.artifacts import study_run

    storage = str(storage_path(options.storage))
    run_id = study_run(name, uri=options.tracking_uri, storage=storage)
    try:
        return _read_run(name, run_id, (CHAMPION,), options)
    except ResourceError as error:
        raise ResourceError(f"{name}: {error}") from error


def _read_run(name: str, run_id: str, folders: Sequence[str], options: argparse.Namespace) -> _Run:
    from xmrc.tracking.artifacts import fetch_file

    with tempfile.TemporaryDirectory() as temporary:
        file = fetch_file(
            run_id,
            EXAMPLES,
            folders,
            uri=options.tracking_uri,
            storage=str(storage_path(options.storage)),
            into=Path(temporary),
        )
        return _read_file(name, file)


def _table_of(folder: Path) -> Path:
    """The table of an evaluation's folder, or of the champion in a study's."""
    check_format(folder)
    for path in (folder / EXAMPLES, folder / CHAMPION / EXAMPLES):
        if path.is_file():
            return path
    raise DataError(
        f"{folder}: must hold {EXAMPLES}, as what python -m xmrc.evaluate --out and studies write"
    )


def _compare(first: _Side, other: _Side) -> Comparison:
    one, two = list(first.runs.values()), list(other.runs.values())
    if len(one) == len(two) == 1:
        return compare_examples(one[0], two[0])
    return compare_seeds([summarise(run) for run in one], [summarise(run) for run in two])


def _units(comparison: Comparison) -> str:
    if comparison.unit == "seeds":
        return "the seeds are the unit: Welch's t-test and its intervals"
    return (
        f"the {comparison.units[0]} question ids are the unit, each with all its language pairs: "
        f"intervals of {RESAMPLES} bootstrap samples, t-tests"
    )


def _print_details(comparison: Comparison, first: str, second: str, console: Console) -> None:
    for metric in METRICS:
        for table in (language_table, pair_table):
            console.print(as_terminal(table(comparison, metric, first, second)))
    shown = ", ".join(f"{name} p {shown_p(p)}" for name, p in comparison.wilcoxon.items())
    say(console, f"Wilcoxon over the pairs of {first} and {second}, as a description: {shown}")


def _print_gaps(side: _Side, console: Console) -> None:
    for line in in_words(diagnose(pd.concat(side.runs.values()))):
        say(console, f"{side.letter}, {line}")


if __name__ == "__main__":
    command.run(main)
