"""Examples at rest. In: examples. Out: a Parquet file in the cache, and the examples again.

The process that plans a study reads the corpora once; every trial, on any node, opens the result.
"""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from xmrc.data.cache import Cache, content_hash
from xmrc.data.examples import Answer, Example
from xmrc.seals import check_intact

_ANSWER = pa.struct([("text", pa.string()), ("start", pa.int64())])
_REPEATED = pa.dictionary(pa.int32(), pa.string())  # a context stands under many questions
_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("question", _REPEATED),
        ("context", _REPEATED),
        ("answers", pa.list_(_ANSWER)),
        ("question_language", _REPEATED),
        ("context_language", _REPEATED),
    ]
)
_FILE = "examples.parquet"


def store_examples(examples: Sequence[Example], cache: Cache) -> Path:
    """Write the examples into the cache, once per content; returns the file."""
    key = content_hash(*(_fields(example) for example in examples))
    return cache.build("corpora", key, lambda folder: _write(examples, folder / _FILE)) / _FILE


def load_examples(path: Path) -> list[Example]:
    """The examples that `store_examples` wrote, in their order.

    Raises DataError (the file, the rule): damaged.
    """
    check_intact(path.parent)
    table = pq.read_table(path, schema=_SCHEMA)
    columns = {name: _values(table.column(name)) for name in _SCHEMA.names}
    return [
        Example(**{**fields, "answers": tuple(Answer(**answer) for answer in fields["answers"])})
        for fields in (
            dict(zip(_SCHEMA.names, row, strict=True))
            for row in zip(*columns.values(), strict=True)
        )
    ]


def _fields(example: Example) -> list[object]:
    answers = [[answer.text, answer.start] for answer in example.answers]
    languages = [example.question_language, example.context_language]
    return [example.id, example.question, example.context, answers, *languages]


def _write(examples: Sequence[Example], path: Path) -> None:
    columns = {
        name: [getattr(example, name) for example in examples]
        for name in _SCHEMA.names
        if name != "answers"
    }
    columns["answers"] = [
        [{"text": answer.text, "start": answer.start} for answer in example.answers]
        for example in examples
    ]
    pq.write_table(pa.table(columns, schema=_SCHEMA), path)


def _values(column: pa.ChunkedArray) -> list[object]:
    """Python values; equal strings of a dictionary column are one object, not thousands."""
    if not pa.types.is_dictionary(column.type):
        return list(column.to_pylist())
    values: list[object] = []
    for chunk in column.chunks:
        words = chunk.dictionary.to_pylist()
        values.extend(words[index] for index in chunk.indices.to_pylist())
    return values
