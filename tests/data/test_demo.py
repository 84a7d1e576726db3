"""The embedded corpus: aligned, at its offsets, disjoint, the same everywhere, and grammatical."""

import hashlib
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict

import pytest

from xmrc.data.demo.corpus import DEMO_LANGUAGES, DEMO_SIZES, demo_examples, stories
from xmrc.data.demo.wording import Fact, Person, question, statement, tables
from xmrc.data.examples import Example
from xmrc.errors import DataError

CORPUS = {split: demo_examples(split) for split in DEMO_SIZES}
DEV = CORPUS["dev"]

MAN = Person(("Anton", "أنطون", "एंटोन", "安东"), ("Silva", "سيلفا", "सिल्वा", "席尔瓦"), 0)
WOMAN = Person(("Clara", "كلارا", "क्लारा", "克拉拉"), ("Silva", "سيلفا", "सिल्वा", "席尔瓦"), 1)
# rows of the tables of values
ISTANBUL, HAVANA, ENGINEER, LAWYER, HARP, FLUTE = 9, 7, 4, 8, 5, 3


def told(person: Person, relation: str, value: int, phrasing: int, language: str) -> str:
    return statement(Fact(person, relation, value, phrasing), language).text


def asked(person: Person, relation: str, phrasing: int, language: str) -> str:
    return question(Fact(person, relation, 5, 0), phrasing, language)


def names_of(split: str) -> list[str]:
    return [written for part in tables().names[split].values() for name in part for written in name]


def by_id(examples: list[Example]) -> dict[str, dict[str, Example]]:
    table: dict[str, dict[str, Example]] = defaultdict(dict)
    for example in examples:
        table[example.id][example.context_language] = example
    return table


@pytest.mark.parametrize("split", DEMO_SIZES)
def test_every_question_is_in_every_language(split: str) -> None:
    questions = by_id(CORPUS[split])
    assert list(questions) == [f"demo-{split}-{number:05d}" for number in range(DEMO_SIZES[split])]
    assert all(tuple(languages) == DEMO_LANGUAGES for languages in questions.values())
    assert len(CORPUS[split]) == DEMO_SIZES[split] * len(DEMO_LANGUAGES)
    assert all(one.question_language == one.context_language for one in CORPUS[split])


@pytest.mark.parametrize("split", DEMO_SIZES)
def test_answers_stand_at_their_offsets_as_whole_words(split: str) -> None:
    for example in CORPUS[split]:
        (answer,) = example.answers
        end = answer.start + len(answer.text)
        assert example.context[answer.start : end] == answer.text
        around = example.context[answer.start - 1 : answer.start] + example.context[end : end + 1]
        if example.context_language != "zh":
            assert not any(sign.isalnum() for sign in around), example
        else:  # no spaces: what stands beside a Chinese answer is never a part of a number or name
            assert not re.search(r"[0-9·]", around), example


def test_the_answer_is_the_same_fact_in_every_language() -> None:
    """Numbers are equal in all languages, and words translate one to one for each gender."""
    translations: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for languages in by_id(CORPUS["train"]).values():
        answers = tuple(languages[language].answers[0].text for language in DEMO_LANGUAGES)
        if answers[0].isdigit():
            assert len(set(answers)) == 1
        else:
            translations[answers[0]].add(answers)
    assert all(len(rows) <= 2 for rows in translations.values())
    assert {"Vienna", "London", "guitar", "teacher"} <= set(translations)


def test_question_n_depends_on_split_seed_and_n_alone() -> None:
    small = demo_examples("train", ("hi", "en"), size=5)
    assert [(one.id, one.context_language) for one in small[:3]] == [
        ("demo-train-00000", "hi"),
        ("demo-train-00000", "en"),
        ("demo-train-00001", "hi"),
    ]
    assert set(small) <= set(CORPUS["train"])
    assert not {one.context for one in demo_examples("train", seed=1)} & {
        one.context for one in CORPUS["train"]
    }


def test_no_name_is_in_two_splits_in_any_script() -> None:
    seen: Counter[str] = Counter(name for split in DEMO_SIZES for name in names_of(split))
    assert max(seen.values()) == 1
    told_in = {
        split: {
            name
            for story in stories(split, 0, 300)
            for fact in story.facts
            for name in (*fact.person.first, *fact.person.family)
        }
        for split in DEMO_SIZES
    }
    assert all(told_in[split] <= set(names_of(split)) for split in DEMO_SIZES)


def digest_under(hash_seed: str) -> str:
    program = (
        "import hashlib; from xmrc.data.demo.corpus import demo_examples; "
        "print(hashlib.sha256(repr(demo_examples('dev', seed=4)).encode()).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_the_same_seed_gives_the_same_corpus_in_every_process() -> None:
    here = hashlib.sha256(repr(demo_examples("dev", seed=4)).encode()).hexdigest()
    assert digest_under("1") == here
    assert digest_under("2") == here


SCRIPTS = {"ar": "\u0600-\u06ff", "hi": "\u0900-\u097f", "zh": "\u4e00-\u9fff"}


@pytest.mark.parametrize("language", SCRIPTS)
def test_other_scripts_have_no_latin_letter(language: str) -> None:
    for example in (one for one in DEV if one.context_language == language):
        for text in (example.question, example.context, example.answers[0].text):
            assert not re.search(r"[A-Za-z\u00c0-\u024f{}\[\]|<>()]", text), text
        assert len(re.findall(f"[{SCRIPTS[language]}]", example.context)) > 20


@pytest.mark.parametrize("language", ["en", "es", "de", "vi"])
def test_latin_languages_have_no_other_script_and_no_template_signs(language: str) -> None:
    for example in (one for one in DEV if one.context_language == language):
        text = example.question + example.context
        assert not re.search(r"[\u0600-\u06ff\u0900-\u097f\u4e00-\u9fff{}\[\]|<>()]", text), text


def test_chinese_has_no_spaces() -> None:
    assert not any(" " in one.context + one.question for one in DEV if one.context_language == "zh")


@pytest.mark.parametrize("split", DEMO_SIZES)
def test_each_story_has_distractors_of_the_same_relation_and_of_the_same_kind(split: str) -> None:
    for story in stories(split, 0, 200):
        gold = story.facts[story.asked]
        rest = [fact for fact in story.facts if fact != gold]
        assert any(f.relation == gold.relation and f.person != gold.person for f in rest)
        assert any(f.person == gold.person and f.kind == gold.kind for f in rest)
        assert all(f.person != gold.person or f.relation != gold.relation for f in rest)
        answers = [fact.value for fact in story.facts if fact.kind == gold.kind]
        assert len(answers) == len(set(answers)) >= 3


def test_nothing_about_the_place_or_the_value_gives_the_answer_away() -> None:
    """Neither always naming the first fact nor the smallest value of the kind is often right."""
    told_first = smallest = largest = 0
    for story in stories("dev", 0, 200):
        gold = story.facts[story.asked]
        rivals = [fact for fact in story.facts if fact.kind == gold.kind]
        told_first += rivals[0] == gold
        smallest += min(rivals, key=lambda fact: fact.value) == gold
        largest += max(rivals, key=lambda fact: fact.value) == gold
    assert max(told_first, smallest, largest) < 0.5 * 200


def test_some_people_share_a_name() -> None:
    shared = 0
    for story in stories("train", 0, 400):
        people = {fact.person for fact in story.facts}
        shared += len({person.first for person in people}) < len(people)
        shared += len({person.family for person in people}) < len(people)
    assert 20 < shared < 120


@pytest.mark.parametrize(
    ("person", "relation", "value", "phrasing", "sentences"),
    [
        (
            WOMAN,
            "job",
            LAWYER,
            0,
            {
                "en": "Clara Silva works as a lawyer.",
                "es": "Clara Silva trabaja como abogada.",
                "de": "Clara Silva arbeitet als Anwältin.",
                "ar": "تعمل كلارا سيلفا بوظيفة محامية.",
                "hi": "क्लारा सिल्वा वकील के रूप में काम करती हैं।",
                "vi": "Clara Silva hiện là luật sư.",
                "zh": "克拉拉·席尔瓦是一名律师。",
            },
        ),
        (
            MAN,
            "former_job",
            ENGINEER,
            0,
            {
                "en": "Anton Silva used to work as an engineer.",
                "es": "Anton Silva trabajaba antes como ingeniero.",
                "de": "Anton Silva arbeitete früher als Ingenieur.",
                "ar": "كان أنطون سيلفا يعمل سابقًا بوظيفة مهندس.",
                "hi": "एंटोन सिल्वा पहले इंजीनियर के रूप में काम करते थे।",
                "vi": "Trước đây Anton Silva là kỹ sư.",
                "zh": "安东·席尔瓦以前是一名工程师。",
            },
        ),
        (
            WOMAN,
            "former_job",
            ENGINEER,
            0,
            {
                "de": "Clara Silva arbeitete früher als Ingenieurin.",
                "ar": "كانت كلارا سيلفا تعمل سابقًا بوظيفة مهندسة.",
                "hi": "क्लारा सिल्वा पहले इंजीनियर के रूप में काम करती थीं।",
            },
        ),
        (
            WOMAN,
            "prize_year",
            1988,
            1,
            {
                "es": "En 1988, Clara Silva fue galardonada.",
                "ar": "في عام 1988 مُنحت كلارا سيلفا وسامًا.",
                "hi": "वर्ष 1988 में क्लारा सिल्वा को सम्मानित किया गया।",
                "vi": "Năm 1988, bà Clara Silva được trao huân chương.",
            },
        ),
        (MAN, "prize_year", 1988, 1, {"es": "En 1988, Anton Silva fue galardonado."}),
        (
            MAN,
            "children",
            4,
            1,
            {
                "en": "Anton Silva is the father of 4 children.",
                "es": "Anton Silva es padre de 4 hijos.",
                "de": "Anton Silva ist Vater von 4 Kindern.",
                "ar": "أنجب أنطون سيلفا 4 أطفال.",
                "hi": "एंटोन सिल्वा 4 बच्चों के पिता हैं।",
                "vi": "Ông Anton Silva là cha của 4 người con.",
                "zh": "安东·席尔瓦是4个孩子的父亲。",
            },
        ),
        (
            WOMAN,
            "children",
            12,
            1,
            {
                "ar": "أنجبت كلارا سيلفا 12 طفلًا.",
                "hi": "क्लारा सिल्वा 12 बच्चों की माँ हैं।",
                "zh": "克拉拉·席尔瓦是12个孩子的母亲。",
            },
        ),
        (
            WOMAN,
            "books",
            10,
            0,
            {
                "ar": "ألّفت كلارا سيلفا 10 كتب.",
                "hi": "क्लारा सिल्वा ने 10 किताबें लिखी हैं।",  # ergative: agrees with the books
                "vi": "Clara Silva đã viết 10 cuốn sách.",
                "zh": "克拉拉·席尔瓦写了10本书。",
            },
        ),
        (
            MAN,
            "books",
            11,
            0,
            {"ar": "ألّف أنطون سيلفا 11 كتابًا.", "hi": "एंटोन सिल्वा ने 11 किताबें लिखी हैं।"},
        ),
        (
            WOMAN,
            "new_instrument",
            HARP,
            0,
            {
                "es": "Clara Silva está aprendiendo a tocar el arpa.",
                "de": "Clara Silva lernt gerade Harfe.",
                "ar": "تتعلم كلارا سيلفا العزف على القيثارة.",
                "hi": "क्लारा सिल्वा हार्प बजाना सीख रही हैं।",
            },
        ),
        (MAN, "instrument", FLUTE, 1, {"es": "En los conciertos, Anton Silva toca la flauta."}),
        (
            MAN,
            "home_city",
            HAVANA,
            0,
            {
                "es": "Anton Silva vive ahora en La Habana.",
                "ar": "يعيش أنطون سيلفا الآن في هافانا.",
                "hi": "एंटोन सिल्वा अब हवाना में रहते हैं।",
            },
        ),
        (
            WOMAN,
            "birth_city",
            ISTANBUL,
            0,
            {
                "ar": "وُلدت كلارا سيلفا في مدينة إسطنبول.",
                "hi": "क्लारा सिल्वा का जन्म इस्तांबुल शहर में हुआ।",
                "zh": "克拉拉·席尔瓦出生在伊斯坦布尔这座城市。",
            },
        ),
    ],
)
def test_sentences_agree_with_the_person_and_the_number(
    person: Person, relation: str, value: int, phrasing: int, sentences: dict[str, str]
) -> None:
    written = {
        language: told(person, relation, value, phrasing, language) for language in sentences
    }
    assert written == sentences


@pytest.mark.parametrize(
    ("person", "relation", "phrasing", "language", "expected"),
    [
        (WOMAN, "prize_year", 1, "es", "¿Cuándo fue galardonada Clara Silva?"),
        (WOMAN, "job", 0, "ar", "بأي وظيفة تعمل كلارا سيلفا؟"),
        (MAN, "former_job", 0, "ar", "بأي وظيفة كان أنطون سيلفا يعمل سابقًا؟"),
        (WOMAN, "home_city", 0, "hi", "क्लारा सिल्वा अब किस शहर में रहती हैं?"),
        (MAN, "children", 1, "de", "Von wie vielen Kindern ist Anton Silva Vater?"),
        (WOMAN, "children", 0, "ar", "كم طفلًا لدى كلارا سيلفا؟"),  # كم counts in the singular
        (WOMAN, "birth_year", 0, "zh", "克拉拉·席尔瓦出生于哪一年？"),
        (MAN, "instrument", 1, "vi", "Ông Anton Silva chơi gì trong các buổi hòa nhạc?"),
    ],
)
def test_questions_agree_with_the_person(
    person: Person, relation: str, phrasing: int, language: str, expected: str
) -> None:
    assert asked(person, relation, phrasing, language) == expected


def test_nobody_wins_a_prize_as_a_child() -> None:
    for story in stories("train", 0, 2000):
        years = {(f.person, f.relation): f.value for f in story.facts if f.kind == "year"}
        for (person, relation), year in years.items():
            if relation == "birth_year" and (person, "prize_year") in years:
                assert years[person, "prize_year"] - year >= 18


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "valid"}, "demo: a split is one of train, dev, test, not 'valid'"),
        ({"split": "dev", "languages": ["en", "fr"]}, "one of en es de ar hi vi zh, not 'fr'"),
        ({"split": "dev", "size": 0}, "demo/dev: the size is at least 1, not 0"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        demo_examples(**arguments)
