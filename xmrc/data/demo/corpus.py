"""The embedded parallel corpus. In: split, languages, seed. Out: `Example`s aligned by id.

A story tells a few facts about two or three people, and the question asks for one of them. Another
person has a fact of the same relation, and the same person one of the same kind, so that neither
the kind of the answer nor the name alone finds it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import Literal, get_args

from xmrc.data.demo.wording import GENDERS, Fact, Person, question, statement, tables, tell
from xmrc.data.examples import Answer, Example
from xmrc.errors import DataError

Split = Literal["train", "dev", "test"]

DEMO_ENCODER = Path(str(files("xmrc"))) / "assets" / "demo_encoder"
DEMO_LANGUAGES = ("en", "es", "de", "ar", "hi", "vi", "zh")
DEMO_SIZES: Mapping[str, int] = {"train": 2000, "dev": 100, "test": 200}

_NUMBERS = {  # first and last value of the relations that are answered with a number
    "birth_year": (1930, 1990),
    "prize_year": (1950, 2024),
    "children": (3, 14),
    "books": (3, 20),
}
_PRIZE_AGE = 18  # years, at least
_SHARED_NAME = (
    0.15  # share of the stories in which two people have a first or family name in common
)


@dataclass(frozen=True, slots=True)
class Story:
    """Facts in the order told, the one asked for, and by which of its relation's questions."""

    facts: tuple[Fact, ...]
    asked: int
    phrasing: int


def demo_examples(
    split: Split,
    languages: Sequence[str] = DEMO_LANGUAGES,
    *,
    seed: int = 0,
    size: int | None = None,
) -> list[Example]:
    """`size` questions (2000 train, 100 dev, 200 test), each asked and told in every language.

    Question n depends on the split, the seed and n alone. The splits share no names of people.
    DataError: an unknown split or language, a size below 1.
    """
    if split not in DEMO_SIZES:
        raise DataError(f"demo: a split is one of {', '.join(get_args(Split))}, not {split!r}")
    if size is not None and size < 1:
        raise DataError(f"demo/{split}: the size is at least 1, not {size}")
    unknown = [language for language in languages if language not in DEMO_LANGUAGES]
    if unknown:
        raise DataError(
            f"demo/{split}: a language is one of {' '.join(DEMO_LANGUAGES)}, not {unknown[0]!r}"
        )
    return [
        _example(f"demo-{split}-{number:05d}", story, language)
        for number, story in enumerate(stories(split, seed, size or DEMO_SIZES[split]))
        for language in languages
    ]


def stories(split: str, seed: int, size: int) -> Iterator[Story]:
    """The first `size` stories of a split."""
    for number in range(size):
        yield draw_story(Random(f"demo {seed} {split} {number}"), split)


def draw_story(random: Random, split: str) -> Story:
    """A story of the split: the fact asked for, its two distractors, at most two more facts."""
    people = _draw_people(random, split, count=random.choice((2, 2, 3)))
    relations = list(tables().relations)
    asked = random.choice(relations)
    topics = [(people[0], asked), (people[1], asked), (people[0], _sibling(asked))]
    others = [(who, what) for who in people for what in relations if (who, what) not in topics]
    topics += random.sample(others, random.choice((0, 1, 1, 2)))

    facts: list[Fact] = []
    for person, relation in topics:
        facts.append(_draw_fact(random, person, relation, told=facts))
    order = random.sample(range(len(facts)), len(facts))
    return Story(tuple(facts[k] for k in order), asked=order.index(0), phrasing=random.randrange(2))


def _example(identifier: str, story: Story, language: str) -> Example:
    fact = story.facts[story.asked]
    told = statement(fact, language)
    start = len(tell(story.facts[: story.asked + 1], language)) - len(told.text) + told.start
    return Example(
        id=identifier,
        question=question(fact, story.phrasing, language),
        context=tell(story.facts, language),
        answers=(Answer(told.answer, start),),
        question_language=language,
        context_language=language,
    )


def _draw_people(random: Random, split: str, count: int) -> list[Person]:
    """People without a name in common, or else the first two with one in common."""
    names = tables().names[split]
    firsts = [random.sample(names[gender], count) for gender in GENDERS]
    families = random.sample(names["family"], count)
    genders = [random.randrange(2) for _ in range(count)]
    people = [Person(firsts[g][k], families[k], g) for k, g in enumerate(genders)]
    if random.random() < _SHARED_NAME:
        one, other = people[:2]
        namesake = replace(other, first=one.first, gender=one.gender)
        people[1] = random.choice((namesake, replace(other, family=one.family)))
    return people


def _sibling(relation: str) -> str:
    """The other relation of the same kind."""
    kinds = {name: one.kind for name, one in tables().relations.items()}
    return next(name for name in kinds if name != relation and kinds[name] == kinds[relation])


def _draw_fact(random: Random, person: Person, relation: str, told: Sequence[Fact]) -> Fact:
    """A fact that no fact told contradicts and whose answer none of them has."""
    kind = tables().relations[relation].kind
    first, last = _NUMBERS.get(relation) or (0, len(tables().values[kind]) - 1)
    while True:
        fact = Fact(person, relation, random.randint(first, last), phrasing=random.randrange(2))
        if not any(_clash(fact, other) for other in told if other.kind == kind):
            return fact


def _clash(fact: Fact, other: Fact) -> bool:
    """Whether two facts of a kind have the same answer, or a child wins a prize."""
    if fact.kind == "year" and fact.person == other.person:
        years = {fact.relation: fact.value, other.relation: other.value}
        if years["prize_year"] - years["birth_year"] < _PRIZE_AGE:
            return True
    return fact.value == other.value
