"""Questions over contexts. In: SQuAD-format JSON. Out: `Example`s, or an exact error.

The format is that of SQuAD 1.1 (Rajpurkar et al. 2016): data[].paragraphs[].qas[].answers[]. The
unanswerable questions of SQuAD 2 are refused: nothing here learns or predicts "no answer".
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xmrc.errors import DataError

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # JSON can write half of a character
LanguagePair = tuple[str, str]  # of the question, of the context
_JSON_NAMES = {dict: "an object", list: "a list", str: "a string", int: "a whole number"}


@dataclass(frozen=True, slots=True)
class Answer:
    """A gold answer: its text and the character of the context where it starts."""

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Example:
    """One question over one context, each in its own language. No `answers`: a blind set."""

    id: str
    question: str
    context: str
    answers: tuple[Answer, ...]
    question_language: str
    context_language: str


def read_squad(
    path: Path,
    question_language: str,
    context_language: str,
    *,
    unique_ids: bool,
    strict: bool = True,
) -> list[Example]:
    """Read one SQuAD-format JSON file, in the order of the file.

    A blind set's examples have no answers: its answer texts are empty, or its `answers` are, or no
    question of the file has `answers`. Where ids repeat and `unique_ids` is False (TyDiQA-GoldP
    train as XTREME hands it out), every id of the file becomes "{path.stem}:{position}".

    Raises DataError (file, rule, value): the file is missing, is no JSON or not SQuAD's (with the
    path inside it), holds no question, marks one as impossible, repeats an id although
    `unique_ids`, or, if `strict`, has an answer that does not stand at its `answer_start`.
    """
    root = _load_json(path)
    try:
        examples = list(_examples(root, question_language, context_language))
    except _NotSquadError as error:
        raise DataError(f"{path}: not SQuAD-format JSON: {error}") from None
    check_examples(examples, str(path), unique_ids=unique_ids, strict=strict)
    return examples if unique_ids else _number_repeated_ids(examples, path)


def check_examples(
    examples: Sequence[Example], source: str, *, unique_ids: bool, strict: bool
) -> None:
    """DataError if `source` holds no question, repeats an id, or has an answer off its offset."""
    if not examples:
        raise DataError(f"{source}: holds no question")
    repeats = _repeats(examples)
    if unique_ids and repeats:
        first, count = next(iter(repeats.items()))
        raise DataError(
            f"{source}: question ids must be unique: {len(repeats)} repeat, "
            f"first {first!r} ({count} times)"
        )
    astray = [(e, a) for e in examples for a in e.answers if not _at_offset(e, a)]
    if astray and strict:
        example, answer = astray[0]
        found = example.context[answer.start :][: len(answer.text)] if answer.start >= 0 else ""
        raise DataError(
            f"{source}: answers must stand at their answer_start: {len(astray)} do not, first in "
            f"question {example.id!r}: {answer.text!r} at {answer.start}, where there is {found!r}"
        )


def astray_ids(examples: Sequence[Example]) -> set[str]:
    """The questions with an answer that does not stand at its offset."""
    return {each.id for each in examples if not all(_at_offset(each, a) for a in each.answers)}


def gold_answers(texts: Sequence[str], starts: Sequence[int]) -> tuple[Answer, ...]:
    """The answers that have a text; those of a blind set have none."""
    return tuple(Answer(text, start) for text, start in zip(texts, starts, strict=True) if text)


def _at_offset(example: Example, answer: Answer) -> bool:
    return answer.start >= 0 and example.context.startswith(answer.text, answer.start)


def _repeats(examples: Sequence[Example]) -> dict[str, int]:
    counts = Counter(example.id for example in examples)
    return {id: count for id, count in counts.items() if count > 1}


def _number_repeated_ids(examples: list[Example], path: Path) -> list[Example]:
    if not _repeats(examples):
        return examples
    return [replace(each, id=f"{path.stem}:{i}") for i, each in enumerate(examples)]


def _load_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # no JSON, or no Unicode
        raise DataError(f"{path}: not valid JSON: {error}") from error
    except RecursionError as error:
        raise DataError(f"{path}: not valid JSON: too deep inside itself") from error


class _NotSquadError(ValueError):
    """What breaks the format, and where inside the file."""


def _examples(root: Any, question_language: str, context_language: str) -> Iterator[Example]:
    places = list(_places(root))
    blind = not any("answers" in question for _, question, _ in places)
    impossible = [at for at, question, _ in places if question.get("is_impossible")]
    if impossible:
        raise _NotSquadError(
            f"every question must have its answer in the context, as in SQuAD 1.1: "
            f"{len(impossible)} are marked is_impossible, first {impossible[0]}"
        )
    for at, question, context in places:
        yield Example(
            _field(question, "id", str, at),
            _field(question, "question", str, at),
            context,
            () if blind else _answers(question, at),
            question_language,
            context_language,
        )


def _places(root: Any) -> Iterator[tuple[str, dict, str]]:
    """Every question with its place, such as data[3].paragraphs[0].qas[1], and its context."""
    for at_article, article in _objects(root, "data", ""):
        for at_paragraph, paragraph in _objects(article, "paragraphs", at_article):
            context = _field(paragraph, "context", str, at_paragraph)
            for at_question, question in _objects(paragraph, "qas", at_paragraph):
                yield at_question, question, context


def _answers(question: dict, at: str) -> tuple[Answer, ...]:
    answers = list(_objects(question, "answers", at))
    return gold_answers(
        [_field(answer, "text", str, at_answer) for at_answer, answer in answers],
        [_field(answer, "answer_start", int, at_answer) for at_answer, answer in answers],
    )


def _objects(parent: Any, key: str, at: str) -> Iterator[tuple[str, dict]]:
    for i, child in enumerate(_field(parent, key, list, at)):
        place = f"{_join(at, key)}[{i}]"
        if type(child) is not dict:
            raise _NotSquadError(f"{place} must be an object, not {_shown(child)}")
        yield place, child


def _field(parent: Any, key: str, kind: type, at: str) -> Any:
    if type(parent) is not dict:  # only the file as a whole: `_objects` checks the rest
        raise _NotSquadError(f"the file must hold an object with 'data', not {_shown(parent)}")
    if key not in parent:
        raise _NotSquadError(f"{_join(at, key)} is missing")
    if type(parent[key]) is not kind:  # `type`, as True is an int to isinstance
        raise _NotSquadError(
            f"{_join(at, key)} must be {_JSON_NAMES[kind]}, not {_shown(parent[key])}"
        )
    if kind is str and _LONE_SURROGATE.search(parent[key]):
        raise _NotSquadError(f"{_join(at, key)} must be valid Unicode, not {parent[key][:40]!a}")
    return parent[key]


def _join(at: str, key: str) -> str:
    return f"{at}.{key}" if at else key


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}..."
