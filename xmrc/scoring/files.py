"""An evaluation on disk. In: scores, predictions. Out: scores.json, matrix.csv, predictions.jsonl.

A file is written beside its name and renamed into place, so that it is whole or absent; so is a
folder that was not there before.
"""

import csv
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from xmrc.errors import DataError, ResourceError
from xmrc.scoring.matrix import PairScore, Scores, languages_of
from xmrc.scoring.predictions import Prediction
from xmrc.scoring.spans import AnswerSpan


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to, renamed to `path` when the block ends without an error.

    Makes the folder. Raises `ResourceError` where it cannot be written.
    """
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        os.replace(partial, path)
    except OSError as error:
        raise ResourceError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        if os.path.exists(partial):
            os.unlink(partial)


@contextmanager
def replacing_folder(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """A new folder to write `names` into; when the block ends without an error they are `folder`'s.

    A folder that is not there appears whole. In one that is, the files take the places of the old
    ones, one after the other; those of `names` that were not written are gone, all else stays.
    Raises `ResourceError` where it cannot be written.
    """
    exists = folder.is_dir()
    parent = folder if exists else folder.parent
    partial = parent / f".{folder.name}.{uuid.uuid4().hex}"
    try:
        partial.mkdir(parents=True)
        yield partial
        if exists:
            _move_files(partial, folder, names)
        else:
            partial.rename(folder)
    except OSError as error:
        raise ResourceError(f"{folder}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _move_files(source: Path, target: Path, names: Sequence[str]) -> None:
    for name in names:
        if (source / name).exists():
            os.replace(source / name, target / name)
        else:
            (target / name).unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Raise `ResourceError` unless files can be written into `folder`, once it is made.

    Leaves nothing behind: for what takes long before it writes.
    """
    try:
        there = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise ResourceError(f"{folder}: cannot be written: {error.strerror or error}") from error


def write_scores(path: Path, scores: Scores) -> None:
    """`metrics` by name and `pairs` by "question-context" with f1, em and n, as JSON; 0 to 100."""
    pairs = {name: asdict(pair) for name, pair in scores.pairs.items()}
    with replacing(path) as partial, _text(partial) as file:
        json.dump({"metrics": dict(scores.metrics), "pairs": pairs}, file, indent=2)
        file.write("\n")


def read_scores(path: Path) -> Scores:
    """What `write_scores` wrote. DataError: no such file, or not one of ours."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        pairs = {name: PairScore(**pair) for name, pair in kept["pairs"].items()}
        metrics = {name: float(value) for name, value in kept["metrics"].items()}
        languages = languages_of([tuple(name.split("-")) for name in pairs])
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{path}: must have metrics, and pairs with f1, em and n") from error
    return Scores(*languages, pairs, metrics)


def write_matrix(path: Path, scores: Scores, metric: str = "f1") -> None:
    """The G-XLT table as CSV, a row for each question language, empty where there is no pair."""
    questions, contexts, values = scores.matrix(metric)
    with replacing(path) as partial, _text(partial) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["question_language", *contexts])
        for question, row in zip(questions, values, strict=True):
            table.writerow([question, *row])


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> None:
    """One JSON object a line: question, best answer and n best; offsets in characters."""
    _write_lines(
        path,
        (
            {
                "id": each.id,
                "question_language": each.question_language,
                "context_language": each.context_language,
                **_answer(each),
            }
            for each in predictions
        ),
    )


def write_answers(path: Path, labels: Iterable[Mapping], predictions: Iterable[Prediction]) -> None:
    """One JSON object a line: what `labels` says of each question, its best answer and n best."""
    pairs = zip(labels, predictions, strict=True)
    _write_lines(path, ({**label, **_answer(each)} for label, each in pairs))


def _write_lines(path: Path, records: Iterable[Mapping]) -> None:
    with replacing(path) as partial, _text(partial) as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def _text(path: Path) -> TextIO:
    # A lone surrogate, which UTF-8 does not have, becomes JSON's own escape for it.
    return open(path, "w", encoding="utf-8", errors="backslashreplace", newline="")


def _answer(prediction: Prediction) -> dict[str, Any]:
    return {
        "answer": prediction.answer,
        "score": prediction.score,
        "start": prediction.start,
        "end": prediction.end,
        "nbest": [_span(span) for span in prediction.nbest],
    }


def _span(span: AnswerSpan) -> dict[str, Any]:
    return {"text": span.text, "start": span.start, "end": span.end, "score": span.score}
