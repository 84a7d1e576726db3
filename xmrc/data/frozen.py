"""Examples at rest. In: examples. Out: a Parquet file in the cache, and the examples again.

The process that plans a study reads the corpora once; every trial, on any node, opens the result.
"""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from xmrc.data.cache import Cache, content_hash
from xmrc.data.examples import Answer, Example

ANSWER = pa.struct([("text", pa.string()), ("start", pa.int64())])
REPEATED = pa.dictionary(pa.int32(), pa.string())  # a context stands under many questions
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("question", REPEATED),
        ("context", REPEATED),
        ("answers", pa.list_(ANSWER)),
        ("question_language", REPEATED),
        ("context_language", REPEATED),
    ]
)
FILE = "examples.parquet"


def freeze(examples: Sequence[Example], cache: Cache) -> Path:
    """Write the examples into the cache, once per content; returns the file."""
    key = content_hash(*(_fields(example) for example in examples))
    return cache.build("corpora", key, lambda folder: _write(examples, folder / FILE)) / FILE


def thaw(path: Path) -> list[Example]:
    """The examples that `freeze` wrote, in their order."""
    table = pq.read_table(path, schema=SCHEMA)
    columns = {name: _values(table.column(name)) for name in SCHEMA.names}
    return [
        Example(**{**fields, "answers": tuple(Answer(**answer) for answer in fields["answers"])})
        for fields in (
            dict(zip(SCHEMA.names, row, strict=True)) for row in zip(*columns.values(), strict=True)
        )
    ]


def _fields(example: Example) -> list[object]:
    answers = [[answer.text, answer.start] for answer in example.answers]
    languages = [example.question_language, example.context_language]
    return [example.id, example.question, example.context, answers, *languages]


def _write(examples: Sequence[Example], path: Path) -> None:
    columns = {
        name: [getattr(example, name) for example in examples]
        for name in SCHEMA.names
        if name != "answers"
    }
    columns["answers"] = [
        [{"text": answer.text, "start": answer.start} for answer in example.answers]
        for example in examples
    ]
    pq.write_table(pa.table(columns, schema=SCHEMA), path)


def _values(column: pa.ChunkedArray) -> list[object]:
    """Python values; equal strings of a dictionary column are one object, not thousands."""
    if not pa.types.is_dictionary(column.type):
        return list(column.to_pylist())
    values: list[object] = []
    for chunk in column.chunks:
        words = chunk.dictionary.to_pylist()
        values.extend(words[index] for index in chunk.indices.to_pylist())
    return values
