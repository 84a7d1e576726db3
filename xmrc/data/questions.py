"""Questions that somebody asks. In: a file of JSON lines. Out: `_Question`s, or an exact error."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xmrc.errors import DataError


@dataclass(frozen=True, slots=True)
class _Question:
    """A question over a context; `label` is what its line says to know it by: an id, or nothing."""

    question: str
    context: str
    label: dict[str, Any]


def read_questions(path: Path) -> list[_Question]:
    """Read a file with a JSON object a line: `question`, `context` and, if wanted, `id`.

    Blank lines are passed over. Raises DataError (file, line, rule, value): the file is missing or
    empty, a line is no JSON object, lacks a text or has an empty one.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    questions = [
        _question(line, f"{path}, line {number}")
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]
    if not questions:
        raise DataError(f"{path}: holds no question")
    return questions


def check_text(text: Any, place: str) -> str:
    """The text, if it is one that can be read; else a DataError that names its place."""
    if not isinstance(text, str):
        raise DataError(f"{place} must be a text, got {json.dumps(text)}")
    if not text.strip():
        raise DataError(f"{place} must not be empty, got {text!r}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{place} must be valid Unicode, got {text[:60]!a}: {error.reason}"
        ) from error
    return text


def _question(line: bytes, place: str) -> _Question:
    try:
        record = json.loads(line)  # bytes: UTF-8, with or without a byte order mark
    except json.JSONDecodeError as error:
        cause = f"{error.msg} at character {error.pos + 1}"
        raise DataError(f"{place}: must be a JSON object: {cause}") from error
    except RecursionError as error:
        raise DataError(f"{place}: must be a JSON object, not one so deep inside itself") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{place}: must be UTF-8: {error.reason}") from error
    if not isinstance(record, dict):
        raise DataError(f"{place}: must be a JSON object, got {json.dumps(record)[:60]}")
    for key in ("question", "context"):
        if key not in record:
            raise DataError(f"{place}: {key!r} is missing; the line has {', '.join(record)}")
        check_text(record[key], f"{place}: {key!r}")
    label = {"id": record["id"]} if "id" in record else {}
    return _Question(record["question"], record["context"], label)
