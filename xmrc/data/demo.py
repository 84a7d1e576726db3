"""The embedded parallel corpus. In: split, languages, seed. Out: `Example`s aligned by id.

A story tells a few facts about two or three people, and the question asks for one of them. Another
person has a fact of the same relation, and the same person one of the same kind, so that neither
the kind of the answer nor the name alone finds it. `assets/demo_facts.yaml` has the words.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import Any, Literal, get_args

import yaml

from xmrc.data.examples import Answer, Example
from xmrc.errors import DataError

Split = Literal["train", "dev", "test"]

DEMO_ENCODER = Path(str(files("xmrc"))) / "assets" / "demo_encoder"
LANGUAGES = ("en", "es", "de", "ar", "hi", "vi", "zh")
SIZES: Mapping[str, int] = {"train": 2000, "dev": 200, "test": 200}

_SCRIPTS = {"ar": 1, "hi": 2, "zh": 3}  # column of a name; every other language writes Latin, 0
_NUMBERS = {  # first and last value of the relations that are answered with a number
    "birth_year": (1930, 1990),
    "prize_year": (1950, 2024),
    "children": (3, 14),
    "books": (3, 20),
}
_FIRST_PRIZE_AGE = 18
_MANY = 11  # Arabic counts 3 to 10 in the plural, from 11 in the singular
_SHARED_NAME = (
    0.15  # share of stories in which two people have the first or the family name in common
)


@dataclass(frozen=True, slots=True)
class Person:
    """Who a fact is about: the names in all scripts, and 0 masculine or 1 feminine."""

    first: tuple[str, ...]
    family: tuple[str, ...]
    gender: int

    def name(self, language: str) -> str:
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
        return _tables()["relations"][self.relation]["kind"]


@dataclass(frozen=True, slots=True)
class Story:
    """Facts in the order told, the one asked for, and by which of its relation's questions."""

    facts: tuple[Fact, ...]
    asked: int
    phrasing: int


@dataclass(frozen=True, slots=True)
class Statement:
    """A fact as one sentence of a language, with the character where its answer starts."""

    text: str
    answer: str
    start: int


def demo_examples(
    split: Split, languages: Sequence[str] = LANGUAGES, *, seed: int = 0, size: int | None = None
) -> list[Example]:
    """`size` questions (2000 train, 200 dev, 200 test), each asked and told in every language.

    Question n depends on the split, the seed and n alone. The splits share no names of people.
    DataError: an unknown split or language, a size below 1.
    """
    size = SIZES.get(split) if size is None else size
    if size is None:
        raise DataError(f"demo: a split is one of {', '.join(get_args(Split))}, not {split!r}")
    if size < 1:
        raise DataError(f"demo/{split}: the size is at least 1, not {size}")
    for language in languages:
        if language not in LANGUAGES:
            raise DataError(
                f"demo/{split}: a language is one of {' '.join(LANGUAGES)}, not {language!r}"
            )
    return [
        _example(f"demo-{split}-{number:05d}", story, language)
        for number, story in enumerate(stories(split, seed, size))
        for language in languages
    ]


def stories(split: str, seed: int, size: int) -> Iterator[Story]:
    """The first `size` stories of a split."""
    for number in range(size):
        yield draw_story(Random(f"demo {seed} {split} {number}"), split)


def draw_story(random: Random, split: str) -> Story:
    """A story of the split: the fact asked for, its two distractors, one or two more facts."""
    people = _draw_people(random, split, count=random.choice((2, 2, 3)))
    asked = random.choice(list(_tables()["relations"]))
    topics = [(people[0], asked), (people[1], asked), (people[0], _sibling(asked))]
    others = [(who, what) for who in people for what in _tables()["relations"]]
    others = [topic for topic in others if topic not in topics]
    topics += random.sample(others, random.choice((1, 1, 2)))

    facts: list[Fact] = []
    for person, relation in topics:
        facts.append(_draw_fact(random, person, relation, facts))
    order = random.sample(range(len(facts)), len(facts))
    return Story(tuple(facts[k] for k in order), asked=order.index(0), phrasing=random.randrange(2))


def statement(fact: Fact, language: str) -> Statement:
    """The fact as a sentence of the language."""
    template = _tables()["relations"][fact.relation][language]["statements"][fact.phrasing]
    article, answer = _value(fact, language)
    name = fact.person.name(language)
    before, after = _inflect(template, fact.person.gender, fact.value >= _MANY).split("{value}")
    before = before.replace("{name}", name) + article
    return Statement(before + answer + after.replace("{name}", name), answer, len(before))


def question(story: Story, language: str) -> str:
    """The story's question in the language."""
    fact = story.facts[story.asked]
    template = _tables()["relations"][fact.relation][language]["questions"][story.phrasing]
    template = _inflect(template, fact.person.gender, many=True)
    return template.replace("{name}", fact.person.name(language))


def template_texts() -> Iterator[str]:
    """Every statement, question and value in all its forms, without names and numbers."""
    for template in _strings([_tables()["relations"], _tables()["values"]]):
        for gender, many in ((0, False), (1, True)):
            yield re.sub(r"{name}|{value}|[()]", " ", _inflect(template, gender, many))


def split_names(split: str) -> list[str]:
    """The first and family names of a split in all scripts."""
    return list(_strings(_tables()["names"][split]))


def separator(language: str) -> str:
    """What stands between two sentences."""
    return "" if language == "zh" else " "


def _example(identifier: str, story: Story, language: str) -> Example:
    told = [statement(fact, language) for fact in story.facts]
    before = "".join(sentence.text + separator(language) for sentence in told[: story.asked])
    answer = Answer(told[story.asked].answer, len(before) + told[story.asked].start)
    context = separator(language).join(sentence.text for sentence in told)
    return Example(identifier, question(story, language), context, (answer,), language, language)


def _draw_people(random: Random, split: str, count: int) -> list[Person]:
    """People without a name in common, or else the first two with one in common."""
    names = _tables()["names"][split]
    genders = [random.randrange(2) for _ in range(count)]
    firsts = {
        g: random.sample(names[key], count) for g, key in enumerate(("masculine", "feminine"))
    }
    families = random.sample(names["family"], count)
    people = [Person(tuple(firsts[g][k]), tuple(families[k]), g) for k, g in enumerate(genders)]
    if random.random() < _SHARED_NAME:
        hero = people[0]
        share_first = replace(people[1], first=hero.first, gender=hero.gender)
        people[1] = random.choice((share_first, replace(people[1], family=hero.family)))
    return people


def _sibling(relation: str) -> str:
    """The other relation of the same kind."""
    relations = _tables()["relations"]
    kind = relations[relation]["kind"]
    return next(name for name in relations if name != relation and relations[name]["kind"] == kind)


def _draw_fact(random: Random, person: Person, relation: str, told: Sequence[Fact]) -> Fact:
    if relation in _NUMBERS:
        first, last = _NUMBERS[relation]
    else:
        first, last = 0, len(_tables()["values"][_tables()["relations"][relation]["kind"]]) - 1
    while True:
        fact = Fact(person, relation, random.randint(first, last), phrasing=random.randrange(2))
        if not any(_clash(fact, other) for other in told):
            return fact


def _clash(fact: Fact, other: Fact) -> bool:
    """Two facts with the same answer, or a prize before its winner's 18th birthday."""
    if fact.kind != other.kind:
        return False
    years = {fact.relation: fact.value, other.relation: other.value}
    too_young = (
        fact.person == other.person
        and fact.kind == "year"
        and years["prize_year"] - years["birth_year"] < _FIRST_PRIZE_AGE
    )
    return fact.value == other.value or too_young


def _value(fact: Fact, language: str) -> tuple[str, str]:
    """The article with its space (or nothing), and the answer."""
    if fact.relation in _NUMBERS:
        return "", str(fact.value)
    written = _inflect(
        _tables()["values"][fact.kind][fact.value][language], fact.person.gender, False
    )
    article, _, answer = written.rpartition(") ")
    return (f"{article[1:]} ", answer) if article else ("", answer)


@cache
def _inflect(template: str, gender: int, many: bool) -> str:
    """Choose in every [masculine|feminine] and every <few|many>."""
    template = re.sub(r"\[([^|]*)\|([^]]*)\]", lambda forms: forms[1 + gender], template)
    return re.sub(r"<([^|]*)\|([^>]*)>", lambda forms: forms[1 + many], template)


def _strings(table: Any) -> Iterator[str]:
    """The strings in lists of mappings of lists ..., in their order."""
    if isinstance(table, str):
        yield table
    else:
        for part in table.values() if isinstance(table, Mapping) else table:
            yield from _strings(part)


@cache
def _tables() -> dict[str, Any]:
    text = files("xmrc").joinpath("assets/demo_facts.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)
