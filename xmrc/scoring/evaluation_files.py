"""An evaluation on disk. In: scores, predictions. Out: JSON, CSV, Parquet, whole or absent.

scores.json       metrics, and f1, em and n of each language pair
matrix.csv        the G-XLT table
predictions.jsonl the n best answers to each question
examples.parquet  every example, which is what `python -m xmrc.compare` reads
pairs.csv         every language pair: the G-XLT table, top k, what its gap is
languages.csv     every language as that of the questions and of the contexts
ranks.csv         where the first right answers stand, by question language
lengths.csv       by tokens of the gold answer
windows.csv       by windows that the context was read in, where that is known

Scores and shares are 0 to 100. scores.json and examples.parquet, which are read again, have
checksums inside; the folders of a study are sealed, too.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from xmrc.errors import DataError
from xmrc.files import INTACT, digest_of, replacing
from xmrc.scoring.gxlt import GxltScores, language_means
from xmrc.scoring.predictions import COLUMNS, CONTEXT, PAIR, QUESTION, Prediction
from xmrc.scoring.score_tables import length_rows, pair_rows, rank_rows, window_rows
from xmrc.scoring.spans import AnswerSpan
from xmrc.seals import check_intact
from xmrc.tables import write_csv

EXAMPLES = "examples.parquet"
TABLES = (EXAMPLES, "pairs.csv", "languages.csv", "ranks.csv", "lengths.csv", "windows.csv")

_LABEL = "xmrc.overlap"  # among the metadata of EXAMPLES
_LANGUAGE = pa.dictionary(pa.int32(), pa.string())
_ARROW = {"object": pa.string(), "float64": pa.float64(), "int64": pa.int32(), "Int64": pa.int32()}
_SCHEMA = pa.schema(
    [(name, _LANGUAGE if name in PAIR else _ARROW[kind]) for name, kind in COLUMNS.items()]
)


def write_scores(path: Path, scores: GxltScores) -> None:
    """`metrics` by name and `pairs` by "question-context" with f1, em and n, as JSON; 0 to 100."""
    names = scores.pairs[QUESTION] + "-" + scores.pairs[CONTEXT]
    pairs = scores.pairs.set_index(names)[["f1", "em", "n"]].to_dict("index")
    kept = {"metrics": dict(scores.metrics), "pairs": pairs}
    with replacing(path) as partial, _text(partial) as file:
        json.dump({**kept, "sha256": digest_of(kept)}, file, indent=2)
        file.write("\n")


def read_scores(path: Path) -> GxltScores:
    """What `write_scores` wrote. DataError: no such file, not one of ours, or damaged."""
    try:
        check_intact(path)
        kept = json.loads(path.read_text(encoding="utf-8"))
        digest = kept.pop("sha256", None)
        metrics = {name: float(value) for name, value in kept["metrics"].items()}
        pairs = pd.DataFrame(_pair_row(name, **pair) for name, pair in kept["pairs"].items())
        pairs[PAIR] = pairs[PAIR].astype("object")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{path}: must have metrics, and pairs with f1, em and n") from error
    if digest not in (None, digest_of(kept)):
        raise DataError(f"{path}: {INTACT}")
    return GxltScores(pairs, metrics)


def _pair_row(name: str, f1: float, em: float, n: int) -> dict[str, Any]:
    return {**dict(zip(PAIR, name.split("-"), strict=True)), "n": n, "f1": f1, "em": em}


def write_matrix(path: Path, scores: GxltScores, score: str = "f1") -> None:
    """The G-XLT table as CSV, a row for each question language, empty where there is no pair."""
    write_csv(path, scores.matrix(score).reset_index())


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


def write_tables(folder: Path, scored: pd.DataFrame, label: str = "") -> None:
    """Write TABLES into a folder; windows.csv only where the windows are known.

    `label`: how the examples overlap with what the reader was trained on.
    """
    _write_examples(folder / EXAMPLES, scored, label)
    pairs = pair_rows(scored)
    write_csv(folder / "pairs.csv", pairs)
    write_csv(folder / "languages.csv", language_means(pairs))
    write_csv(folder / "ranks.csv", rank_rows(scored))
    write_csv(folder / "lengths.csv", length_rows(scored))
    if scored["windows"].notna().all():
        write_csv(folder / "windows.csv", window_rows(scored))


def _write_examples(path: Path, scored: pd.DataFrame, label: str) -> None:
    """The scores of every example, in their order, and the label that they must carry."""
    table = pa.Table.from_pandas(scored, schema=_SCHEMA, preserve_index=False)
    with replacing(path) as partial:
        labelled = table.replace_schema_metadata({_LABEL: label})
        pq.write_table(labelled, partial, write_page_checksum=True)


def read_label(path: Path) -> str:
    """The label of the examples that `write_tables` wrote; empty where there is no overlap.

    DataError: as in `read_examples`.
    """
    with _one_line(path):
        check_intact(path)
        metadata = pq.read_schema(path).metadata or {}
        return str(metadata.get(_LABEL.encode(), b"").decode())


def read_examples(path: Path) -> pd.DataFrame:
    """The scored examples that `write_tables` wrote.

    DataError: no such file, not one of ours, or damaged.
    """
    with _one_line(path):
        check_intact(path)
        table = pq.read_table(path, page_checksum_verification=True)
        if table.schema.names != _SCHEMA.names:
            found = ", ".join(table.schema.names)
            rule = f"must have the columns {', '.join(_SCHEMA.names)}"
            raise DataError(f"{path}: {rule}, not {found}")
        return table.to_pandas(integer_object_nulls=True).astype(COLUMNS)


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, TypeError, pa.ArrowException) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise DataError(f"{path}: must be a table of example scores: {reason}") from error


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
