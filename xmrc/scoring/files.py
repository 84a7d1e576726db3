"""An evaluation on disk. In: scores, predictions. Out: scores.json, matrix.csv, predictions.jsonl.

A file is written beside its name and renamed into place, so that it is whole or absent.
"""

import csv
import json
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from xmrc.errors import ResourceError
from xmrc.scoring.matrix import Scores
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


def write_scores(path: Path, scores: Scores) -> None:
    """`metrics` by name and `pairs` by "question-context" with f1, em and n, as JSON; 0 to 100."""
    pairs = {name: asdict(pair) for name, pair in scores.pairs.items()}
    with replacing(path) as partial, _text(partial) as file:
        json.dump({"metrics": dict(scores.metrics), "pairs": pairs}, file, indent=2)
        file.write("\n")


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
    with replacing(path) as partial, _text(partial) as file:
        for prediction in predictions:
            file.write(json.dumps(_record(prediction), ensure_ascii=False) + "\n")


def _text(path: Path) -> TextIO:
    # A lone surrogate, which UTF-8 does not have, becomes JSON's own escape for it.
    return open(path, "w", encoding="utf-8", errors="backslashreplace", newline="")


def _record(prediction: Prediction) -> dict[str, Any]:
    return {
        "id": prediction.id,
        "question_language": prediction.question_language,
        "context_language": prediction.context_language,
        "answer": prediction.answer,
        "score": prediction.score,
        "start": prediction.start,
        "end": prediction.end,
        "nbest": [_span(span) for span in prediction.nbest],
    }


def _span(span: AnswerSpan) -> dict[str, Any]:
    return {"text": span.text, "start": span.start, "end": span.end, "score": span.score}
