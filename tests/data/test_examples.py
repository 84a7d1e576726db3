"""Reading SQuAD-format JSON: what is read, and what is said of files that break a rule."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmrc.data.examples import Answer, Example, read_squad
from xmrc.errors import DataError

CONTEXT = "Ana lives in Rome. Bo lives in Oslo."


def question(id: str = "q1", text: str = "Where?", **fields: Any) -> dict:
    answers = {"answers": [{"text": "Rome", "answer_start": 13}]}
    return {"id": id, "question": text} | answers | fields


def squad(*qas: dict, context: Any = CONTEXT) -> dict:
    return {
        "version": "1.1",
        "data": [{"title": "t", "paragraphs": [{"context": context, "qas": qas}]}],
    }


def write(folder: Path, content: Any, name: str = "qa.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def refusal(path: Path, unique_ids: bool = True) -> str:
    with pytest.raises(DataError) as caught:
        read_squad(path, "en", "en", unique_ids=unique_ids)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    return message.removeprefix(f"{path}: ")


def test_reads_in_the_order_of_the_file(tmp_path: Path) -> None:
    two = [{"text": "Oslo", "answer_start": 31}, {"text": "Bo", "answer_start": 19}]
    content = squad(question("b"), question("a", "Wo?", answers=two))
    content["data"].append({"paragraphs": [{"context": "x", "qas": []}]})
    assert read_squad(write(tmp_path, content), "de", "en", unique_ids=True) == [
        Example("b", "Where?", CONTEXT, (Answer("Rome", 13),), "de", "en"),
        Example("a", "Wo?", CONTEXT, (Answer("Oslo", 31), Answer("Bo", 19)), "de", "en"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_offsets_count_characters_in_any_unicode_encoding(tmp_path: Path, encoding: str) -> None:
    context = "𝔸𝔹 नमस्ते 東京 é"
    answers = [{"text": "東京", "answer_start": context.index("東京")}]
    path = tmp_path / "qa.json"
    content = squad(question(answers=answers), context=context)
    path.write_text(json.dumps(content, ensure_ascii=False), encoding=encoding)
    (example,) = read_squad(path, "zh", "zh", unique_ids=True)
    assert example.answers == (Answer("東京", 10),)


@pytest.mark.parametrize("answers", [[], [{"text": "", "answer_start": 0}]])
def test_blind_questions_have_no_answers(tmp_path: Path, answers: list) -> None:
    path = write(tmp_path, squad(question("a", answers=answers), question("b")))
    assert [len(each.answers) for each in read_squad(path, "en", "en", unique_ids=True)] == [0, 1]


def test_a_file_without_any_answers_is_blind(tmp_path: Path) -> None:
    path = write(tmp_path, squad({"id": "a", "question": "Where?"}))
    assert read_squad(path, "en", "en", unique_ids=True)[0].answers == ()


def test_is_impossible_false_is_no_obstacle(tmp_path: Path) -> None:
    path = write(tmp_path, squad(question(is_impossible=False)))
    assert len(read_squad(path, "en", "en", unique_ids=True)) == 1


def test_repeated_ids_become_positions_only_where_they_may(tmp_path: Path) -> None:
    repeated = squad(question("7"), question("8"), question("7"))
    path = write(tmp_path, repeated, "tydiqa.ko.train.json")
    ids = [each.id for each in read_squad(path, "ko", "ko", unique_ids=False)]
    assert ids == ["tydiqa.ko.train:0", "tydiqa.ko.train:1", "tydiqa.ko.train:2"]
    message = refusal(path)
    assert message == "question ids must be unique: 1 repeat, first '7' (2 times)"
    unique = write(tmp_path, squad(question("7"), question("8")))
    assert [e.id for e in read_squad(unique, "ko", "ko", unique_ids=False)] == ["7", "8"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "the file must hold an object with 'data', not []"),
        ({}, "data is missing"),
        ({"data": {"a": 1}}, 'data must be a list, not {"a": 1}'),
        ({"data": ["x"]}, 'data[0] must be an object, not "x"'),
        ({"data": [{"paragraphs": []}, {}]}, "data[1].paragraphs is missing"),
        (squad(context=None), "data[0].paragraphs[0].context must be a string, not null"),
        (squad(question(), {"id": "a"}), "data[0].paragraphs[0].qas[1].question is missing"),
        (squad(question(id=7)), "data[0].paragraphs[0].qas[0].id must be a string, not 7"),
        (
            squad(question(), {"id": "a", "question": "?"}),
            "data[0].paragraphs[0].qas[1].answers is missing",
        ),
        (
            squad(question(answers={"text": ["in Rome"], "answer_start": [10]})),
            "data[0].paragraphs[0].qas[0].answers must be a list, "
            'not {"text": ["in Rome"], "answer_start":...',
        ),
        (
            squad(question(answers=[{"text": "Rome", "answer_start": True}])),
            "data[0].paragraphs[0].qas[0].answers[0].answer_start must be a whole number, not true",
        ),
    ],
)
def test_names_the_place_that_is_not_squads(tmp_path: Path, content: Any, message: str) -> None:
    assert refusal(write(tmp_path, content)) == f"not SQuAD-format JSON: {message}"


def test_refuses_unanswerable_questions(tmp_path: Path) -> None:
    path = write(tmp_path, squad(question("a"), question("b", answers=[], is_impossible=True)))
    message = refusal(path)
    assert "1 are marked is_impossible, first data[0].paragraphs[0].qas[1]" in message


def test_counts_answers_that_are_not_at_their_offset(tmp_path: Path) -> None:
    late = [{"text": "Rome", "answer_start": 14}]
    before = [{"text": "lo.", "answer_start": -3}]  # a slice from -3 would find it
    path = write(
        tmp_path, squad(question("a"), question("b", answers=late), question("c", answers=before))
    )
    assert refusal(path) == (
        "answers must stand at their answer_start: 2 do not, first in question 'b': "
        "'Rome' at 14, where there is 'ome.'"
    )


@pytest.mark.parametrize("content", [{"data": []}, squad()])
def test_refuses_an_empty_corpus(tmp_path: Path, content: dict) -> None:
    assert refusal(write(tmp_path, content)) == "holds no question"


def test_refuses_what_cannot_be_read(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.json") == "no such file"
    assert refusal(tmp_path) == "cannot be read: Is a directory"
    broken = tmp_path / "broken.json"
    broken.write_text('{"data": [')
    assert refusal(broken).startswith("not valid JSON: Expecting value")
    broken.write_bytes(b'{"data": "\xff\xfe\xfd"}')
    assert refusal(broken).startswith("not valid JSON: ")


@given(
    context=st.text(min_size=1, max_size=40),
    text=st.text(min_size=1, max_size=4),
    start=st.integers(-50, 50),
)
@settings(max_examples=200, deadline=None)
def test_accepts_an_answer_exactly_where_it_stands(
    tmp_path_factory: pytest.TempPathFactory, context: str, text: str, start: int
) -> None:
    folder = tmp_path_factory.mktemp("squad")
    path = write(
        folder, squad(question(answers=[{"text": text, "answer_start": start}]), context=context)
    )
    stands = [i for i in range(len(context)) if context[i : i + len(text)] == text]
    if start in stands:
        assert read_squad(path, "en", "en", unique_ids=True)[0].answers == (Answer(text, start),)
    else:
        refusal(path)
