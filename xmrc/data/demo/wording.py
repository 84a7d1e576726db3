"""Facts in words. In: a fact about a person, a language. Out: its sentence and its question.

Templates, values and names, with their notation, stand in `assets/demo_facts.yaml`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from xmrc.settings.yaml_text import parse_yaml

GENDERS = ("masculine", "feminine")  # a person's gender is an index of these
_SCRIPTS = {"ar": 1, "hi": 2, "zh": 3}  # column of a name; every other language writes Latin, 0
_MANY = 11  # Arabic counts 3 to 10 in the plural, from 11 in the singular

_Name = tuple[str, ...]  # in Latin, Arabic, Devanagari and Chinese writing


@dataclass(frozen=True, slots=True)
class _Relation:
    """What can be told and asked about a person; `kind` is that of its answers."""

    kind: str
    statements: Mapping[str, Sequence[str]]  # templates by language
    questions: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class _Tables:
    """The words of the corpus."""

    relations: Mapping[str, _Relation]
    values: Mapping[str, Sequence[Mapping[str, str]]]  # by kind: rows of one text per language
    names: Mapping[str, Mapping[str, Sequence[_Name]]]  # by split: masculine, feminine, family


@dataclass(frozen=True, slots=True)
class Person:
    """Who a fact is about."""

    first: _Name
    family: _Name
    gender: int

    def name(self, language: str) -> str:
        """The full name in the writing of the language."""
        script = _SCRIPTS.get(language, 0)
        return ("·" if language == "zh" else " ").join((self.first[script], self.family[script]))


@dataclass(frozen=True, slots=True)
class Fact:
    """One relation of one person. `value`: the number itself, or a row of its kind's values."""

    person: Person
    relation: str
    value: int
    phrasing: int  # which of the relation's statements tells it

    @property
    def kind(self) -> str:
        return tables().relations[self.relation].kind


@dataclass(frozen=True, slots=True)
class _Statement:
    """A fact as one sentence of a language, with the character where its answer starts."""

    text: str
    answer: str
    start: int


def statement(fact: Fact, language: str) -> _Statement:
    """The fact as a sentence of the language."""
    template = tables().relations[fact.relation].statements[language][fact.phrasing]
    article, answer = _value(fact, language)
    name = fact.person.name(language)
    before, after = _inflect(template, fact.person.gender, fact.value >= _MANY).split("{value}")
    before = before.replace("{name}", name) + article
    return _Statement(before + answer + after.replace("{name}", name), answer, len(before))


def question(fact: Fact, phrasing: int, language: str) -> str:
    """Asks for the value of the fact; `phrasing` is which of the relation's questions."""
    template = tables().relations[fact.relation].questions[language][phrasing]
    asked = _inflect(template, fact.person.gender, many=True)
    return asked.replace("{name}", fact.person.name(language))


def tell(facts: Sequence[Fact], language: str) -> str:
    """The facts as a text of the language."""
    sentences = (statement(fact, language).text for fact in facts)
    return ("" if language == "zh" else " ").join(sentences)


def all_texts() -> Iterator[str]:
    """Every statement, question and value of every language in all forms, without its {slots}."""
    for relation in tables().relations.values():
        for templates in (*relation.statements.values(), *relation.questions.values()):
            for template in templates:
                yield from _forms(template)
    for rows in tables().values.values():
        for row in rows:
            for written in row.values():
                yield from _forms(written)


@cache
def tables() -> _Tables:
    """Read the words once."""
    content = files("xmrc").joinpath("assets/demo_facts.yaml").read_text(encoding="utf-8")
    raw = parse_yaml(content)
    return _Tables(
        relations={name: _relation(**entry) for name, entry in raw["relations"].items()},
        values=raw["values"],
        names={
            split: {part: [tuple(name) for name in names] for part, names in parts.items()}
            for split, parts in raw["names"].items()
        },
    )


def _relation(kind: str, **languages: Mapping[str, Sequence[str]]) -> _Relation:
    return _Relation(
        kind,
        statements={language: entry["statements"] for language, entry in languages.items()},
        questions={language: entry["questions"] for language, entry in languages.items()},
    )


def _value(fact: Fact, language: str) -> tuple[str, str]:
    """The article with its space (or nothing), and the answer."""
    rows = tables().values.get(fact.kind)
    if rows is None:
        return "", str(fact.value)
    written = _inflect(rows[fact.value][language], fact.person.gender, many=False)
    article, _, answer = written.rpartition(") ")
    return (f"{article[1:]} ", answer) if article else ("", answer)


def _forms(template: str) -> Iterator[str]:
    for gender in range(len(GENDERS)):
        for many in (False, True):
            yield re.sub(r"{name}|{value}|[()]", " ", _inflect(template, gender, many))


@cache
def _inflect(template: str, gender: int, many: bool) -> str:
    """Choose in every [masculine|feminine] and every <few|many>."""
    template = re.sub(r"\[([^|]*)\|([^]]*)\]", lambda forms: forms[1 + gender], template)
    return re.sub(r"<([^|]*)\|([^>]*)>", lambda forms: forms[1 + many], template)
