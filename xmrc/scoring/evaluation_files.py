"""An evaluation on disk. In: scores, predictions. Out: scores.json, matrix.csv, predictions.jsonl.

A file is written beside its name and renamed into place, so that it is whole or absent; so is a
folder that was not there before.
"""

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from xmrc.errors import DataError
from xmrc.files import replacing
from xmrc.scoring.gxlt import PairScore, Scores, languages_of
from xmrc.scoring.predictions import Prediction
from xmrc.scoring.spans import AnswerSpan


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
