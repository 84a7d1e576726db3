"""`python -m xmrc.evaluate`: score a reader. In: a reader, a corpus. Out: the G-XLT table, files.

--out holds scores.json, matrix.csv, matrix.png, predictions.jsonl and the tidy tables of
`scoring.evaluation_files`; of a blind set, which cannot be scored, predictions.jsonl alone.
"""

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
from rich.console import Console

from xmrc import command
from xmrc.data.cache import Cache
from xmrc.data.corpora import Corpus, across_languages, load_corpus
from xmrc.data.leakage import Footprint
from xmrc.data.scored_set import titled
from xmrc.errors import ResourceError, SettingsError
from xmrc.files import check_writable, replacing_folder
from xmrc.learning.reader import Reader
from xmrc.pages.heatmaps import gxlt_heatmap
from xmrc.scoring.evaluation_files import (
    TABLES,
    write_matrix,
    write_predictions,
    write_scores,
    write_tables,
)
from xmrc.scoring.gxlt import summarise
from xmrc.scoring.predictions import Prediction, score_examples
from xmrc.scoring.reader_tables import gxlt_table
from xmrc.scoring.score_tables import diagnose, in_words
from xmrc.search.folder import storage_path
from xmrc.search.progress import say
from xmrc.settings.load import DATA_ROOT
from xmrc.tables import as_terminal
from xmrc.tracking.readers import find_reader

_SCORES, _TABLE, _PICTURE, _PREDICTIONS = (
    "scores.json",
    "matrix.csv",
    "matrix.png",
    "predictions.jsonl",
)
FILES = (_SCORES, _TABLE, _PICTURE, _PREDICTIONS, *TABLES)
_WIDE = 160  # columns of a table that goes to a file or a pipe


def main() -> None:
    """Parse, call, print."""
    options = _parser().parse_args()
    storage = storage_path(options.storage)
    if options.out is not None:
        _check_out(options.out)
    corpus = _read_corpus(options)
    reader = find_reader(options.model, storage=storage, tracking_uri=options.tracking_uri)
    label = Footprint.read(reader).label(corpus.examples)
    corpus = replace(corpus, name=titled(corpus.name, label))
    began = time.monotonic()
    predictions = _predict(reader, corpus, Cache(storage / "cache"), options.workers)
    seconds = time.monotonic() - began
    scored = score_examples(corpus.examples, predictions) if corpus.answered else None
    if options.out is not None:  # before anything is printed: a pipe may be closed
        title = f"{options.model}: {corpus.name}, F1"
        _write(options.out, predictions, scored, title=title, label=label)
    _print(corpus, scored, seconds, options.out)


def _parser() -> argparse.ArgumentParser:
    parser = command.reader_parser("evaluate", "Score a reader on a corpus, across languages.")
    parser.add_argument(
        "--corpus", required=True, metavar="NAME", help="of the catalogue, or a path or glob"
    )
    parser.add_argument(
        "--data-root", type=Path, metavar="DIR", help=f"folder of the corpora [{DATA_ROOT}]"
    )
    parser.add_argument(
        "--languages", type=command.word_list, metavar="en,de", help="the pairs of these [all]"
    )
    parser.add_argument(
        "--limit", type=command.count, metavar="N", help="as many question ids, of lowest hash"
    )
    parser.add_argument(
        "--lenient",
        action="store_true",
        help="leave out questions whose answer is not at its offset",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for scores and predictions")
    parser.add_argument(
        "--workers",
        type=command.count,
        metavar="N",
        help="Ray workers (of RAY_ADDRESS, else here) that share the work [none: this process]",
    )
    return parser


def _check_out(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ResourceError(f"--out: must be a folder, and {folder} is a file")
    check_writable(folder)


def _read_corpus(options: argparse.Namespace) -> Corpus:
    """What is evaluated; a blind set needs a place for its predictions."""
    corpus = across_languages(
        load_corpus(
            options.corpus,
            root=_data_root(options.data_root),
            languages=options.languages,
            limit=options.limit,
            strict=not options.lenient,
        )
    )
    if options.out is None and not corpus.answered:
        raise SettingsError(f"--out: must name a folder for the predictions: {_blindness(corpus)}")
    return corpus


def _data_root(given: Path | None) -> Path | None:
    """The folder of the corpora, if one is named (SettingsError: it must exist, if given here)."""
    named = os.environ.get(DATA_ROOT)
    root = given or (Path(named) if named else None)
    if given is not None and not os.path.isdir(os.path.expanduser(given)):
        raise SettingsError(f"--data-root: must be the folder of the corpora, got {given}")
    return None if root is None else Path(os.path.expanduser(root))


def _blindness(corpus: Corpus) -> str:
    blind = sum(not one.answers for one in corpus.examples)
    return (
        f"{corpus.name} is a blind set, {blind} of {len(corpus.examples)} questions have no "
        "gold answer"
    )


def _predict(
    reader: Path, corpus: Corpus, cache: Cache, workers: int | None
) -> Sequence[Prediction]:
    with command.progress_line(f"reading {corpus.name}") as progress:
        if workers is None:
            return Reader(str(reader)).read(corpus.examples, cache, progress=progress)
        from xmrc.search.reading import read_on_workers  # only here is Ray needed

        return read_on_workers(reader, corpus.examples, cache, workers)


def _size(corpus: Corpus) -> str:
    ids = len({one.id for one in corpus.examples})
    left_out = f" ({corpus.left_out} left out)" if corpus.left_out else ""
    return f"{corpus.name}: {len(corpus.examples)} examples of {ids} question ids{left_out}"


def _print(corpus: Corpus, scored: pd.DataFrame | None, seconds: float, out: Path | None) -> None:
    console = Console()
    console = console if console.is_terminal else Console(width=_WIDE)
    say(console, f"{_size(corpus)} read in {seconds:.1f} s")
    if scored is not None:
        _print_scores(scored, corpus, console)
    else:
        say(console, f"not scored: {_blindness(corpus)}")
    if out is not None:
        say(console, f"written to {out}")


def _print_scores(scored: pd.DataFrame, corpus: Corpus, console: Console) -> None:
    scores = summarise(scored)
    for metric, name in (("f1", "F1"), ("em", "EM")):
        console.print(as_terminal(gxlt_table(scores, metric, f"{corpus.name}, {name}")))
    for name, value in scores.metrics.items():
        say(console, f"{name:<18} {value:6.2f}")
    for line in in_words(diagnose(scored)):
        say(console, line)


def _write(
    folder: Path,
    predictions: Sequence[Prediction],
    scored: pd.DataFrame | None,
    *,
    title: str,
    label: str,
) -> None:
    with replacing_folder(folder, FILES) as partial:
        write_predictions(partial / _PREDICTIONS, predictions)
        if scored is not None:
            scores = summarise(scored)
            write_scores(partial / _SCORES, scores)
            write_matrix(partial / _TABLE, scores)
            gxlt_heatmap(partial / _PICTURE, scores.matrix("f1"), title=title)
            write_tables(partial, scored, label)


if __name__ == "__main__":
    command.run(main)
