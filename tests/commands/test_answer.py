"""`python -m xmrc.answer`: a question, or a file of them, to a reader whose answers are known."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checkpoints import tiny_checkpoint
from marker_reader import MARKER, marker_reader
from running import Ended, everything_in, run_here, run_process

from xmrc import answer
from xmrc.learning.reader import Reader

CONTEXT = f"गाँव में पुल {MARKER} में बना। The old bridge."
FILLER = "the river crosses the city . " * 60


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return marker_reader(tmp_path_factory.mktemp("reader"))


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Ended]:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Ended:
        return run_here(answer.main, *arguments, monkeypatch=monkeypatch, capsys=capsys)

    return run


def write_lines(path: Path, *lines: Any) -> Path:
    path.write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines))
    return path


def test_a_question_from_the_shell(reader: Path, tmp_path: Path) -> None:
    """No library of the search is needed, and nothing is left behind."""
    ended = run_process(
        "xmrc.answer", "--model", reader, "--question", "कब?", "--context", CONTEXT,
        cwd=tmp_path, blocked=("ray", "mlflow", "optuna", "datasets", "matplotlib"),
    )  # fmt: skip
    assert (ended.code, ended.err) == (0, "")
    best = Reader(str(reader)).answer(["कब?"], [CONTEXT])[0]
    assert best.answer == MARKER
    first, *rest = ended.out.splitlines()
    assert first == f"{MARKER} (score {best.score:.2f})"
    start = CONTEXT.index(MARKER)
    rows = rest[2:]
    assert rows[0].split() == [f"{best.score:.2f}", f"{start}-{start + 4}", MARKER]
    assert len(rows) == 5
    assert [row.split(maxsplit=2)[2] for row in rows] == [one.text for one in best.nbest[:5]]
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_questions(run: Callable[..., Ended], reader: Path, tmp_path: Path) -> None:
    contexts = [CONTEXT, f"{FILLER}{MARKER} {FILLER}", "The bridge.", f"In {MARKER}."]
    labels: list[dict[str, Any]] = [{"id": "q1"}, {"id": 2}, {}, {"id": None}]
    asked = [
        {"question": "When?", "context": context, "more": 1, **label}
        for context, label in zip(contexts, labels, strict=True)
    ]
    ended = run("--model", reader, "--file", write_lines(tmp_path / "in.jsonl", *asked),
                "--out", "new/out.jsonl")  # fmt: skip
    assert (ended.code, ended.err) == (0, "")
    assert "4 questions answered" in ended.out
    lines = (tmp_path / "new/out.jsonl").read_text(encoding="utf-8").splitlines()
    answers = [json.loads(line) for line in lines]
    expected = Reader(str(reader)).answer(["When?"] * 4, contexts)
    for told, label, context, best in zip(answers, labels, contexts, expected, strict=True):
        assert list(told) == [*label, "answer", "score", "start", "end", "nbest"]
        assert {key: told[key] for key in label} == label
        assert context[told["start"] : told["end"]] == told["answer"] == best.answer
        assert told["nbest"][0]["text"] == told["answer"]
        assert 1 <= len(told["nbest"]) <= 20
        for span in told["nbest"]:
            assert context[span["start"] : span["end"]] == span["text"]
    assert [told["answer"] == MARKER for told in answers] == [True, True, False, True]


def test_blank_lines_and_byte_order_marks_are_no_matter(
    run: Callable[..., Ended], reader: Path, tmp_path: Path
) -> None:
    line = json.dumps({"question": "When?", "context": CONTEXT}).encode()
    (tmp_path / "in.jsonl").write_bytes(b"\xef\xbb\xbf" + line + b"\r\n\r\n  \n" + line + b"\n")
    assert run("--model", reader, "--file", "in.jsonl", "--out", "out.jsonl").code == 0
    first, second = (tmp_path / "out.jsonl").read_text().splitlines()
    assert first == second


def refused(ended: Ended, *told: str) -> None:
    """Exit code 2 and one line on standard error, nothing else."""
    assert ended.code == 2, ended
    assert ended.out == ""
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1
    for part in told:
        assert part in ended.err


GOOD = '{"question": "When?", "context": "In 1987."}'


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("", ["holds no question"]),
        ("\n \n", ["holds no question"]),
        (f"{GOOD}\n{{", ["line 2: must be a JSON object: "]),
        (f"{GOOD}\n\n[1]", ["line 3: must be a JSON object, got [1]"]),
        ('{"question": "When?"}', ["line 1: 'context' is missing", "has question"]),
        ('{"context": "In 1987."}', ["line 1: 'question' is missing"]),
        ("{}", ["line 1: 'question' is missing"]),
        ('{"question": 3, "context": "In 1987."}', ["line 1: 'question' must be a text, got 3"]),
        ('{"question": "When?", "context": null}', ["'context' must be a text, got null"]),
        ('{"question": " ", "context": "In 1987."}', ["'question' must not be empty, got ' '"]),
        ('{"question": "When?", "context": ""}', ["'context' must not be empty, got ''"]),
        ('{"question": "\\ud83d?", "context": "a"}', ["'question' must be valid Unicode"]),
        (b"\xff\xfe\x80".decode("latin-1"), ["line 1: must be"]),
    ],
)
def test_a_bad_line_is_named(
    run: Callable[..., Ended], reader: Path, tmp_path: Path, lines: str, told: list[str]
) -> None:
    (tmp_path / "in.jsonl").write_bytes(lines.encode("latin-1"))
    before = everything_in(tmp_path)
    ended = run("--model", reader, "--file", "in.jsonl", "--out", "out.jsonl")
    refused(ended, "in.jsonl", *told)
    assert everything_in(tmp_path) == before


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"--question": "When?"}, ["give --question and --context, or --file and --out"]),
        ({"--file": "in.jsonl"}, ["got --file"]),
        ({}, ["got none of them"]),
        (
            {"--question": "a", "--context": "b", "--file": "in.jsonl", "--out": "o"},
            ["got --question and --context and --file and --out"],
        ),
        ({"--question": "", "--context": "b"}, ["--question must not be empty, got ''"]),
        ({"--question": "a", "--context": "\n"}, ["--context must not be empty"]),
        ({"--file": "none.jsonl", "--out": "o"}, ["none.jsonl: cannot be read: No such file"]),
        ({"--file": "folder", "--out": "o"}, ["folder: cannot be read: Is a directory"]),
        ({"--file": "in.jsonl", "--out": "folder"}, ["--out: must be a file, and folder"]),
        ({"--file": "in.jsonl", "--out": "in.jsonl"}, ["--out: must be another file"]),
        ({"--file": "in.jsonl", "--out": "in.jsonl/o"}, ["in.jsonl: cannot be written"]),
        ({"--question": "a", "--context": "b", "--model": "nowhere"}, ["nowhere: no such folder"]),
        ({"--question": "a", "--context": "b", "--model": "models:/a@b"}, ["no tracking database"]),
        ({"--question": "a", "--context": "b", "--max": "3"}, ["unrecognized arguments: --max 3"]),
    ],
)
def test_bad_options_are_one_line_and_leave_nothing(
    run: Callable[..., Ended],
    reader: Path,
    tmp_path: Path,
    options: dict[str, str],
    told: list[str],
) -> None:
    (tmp_path / "in.jsonl").write_text(GOOD)
    (tmp_path / "folder").mkdir()
    before = everything_in(tmp_path)
    asked = {"--model": reader, **options}
    refused(run(*(part for option in asked.items() for part in option)), *told)
    assert everything_in(tmp_path) == before
    assert {path.name for path in tmp_path.iterdir()} == {"in.jsonl", "folder"}


def test_a_context_that_the_tokenizer_finds_empty(
    run: Callable[..., Ended], tmp_path: Path
) -> None:
    """A zero-width space is no white space to Python, and nothing to a tokenizer that drops it."""
    model = tiny_checkpoint("wordpiece", tmp_path / "model")
    ended = run("--model", model, "--question", "When?", "--context", "\u200b")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("no answer")
