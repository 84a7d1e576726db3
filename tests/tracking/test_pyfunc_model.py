"""The registered reader, loaded by MLflow alone: it answers as the checkpoint does, and as signed.

Also what the commands make of `models:/NAME@ALIAS`.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import mlflow.pyfunc
import pandas as pd
import pytest
from checkpoints import tiny_checkpoint
from mlflow.models import infer_signature
from running import run_here, run_process
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

import xmrc
from xmrc import answer, evaluate
from xmrc.data.features import WindowSize
from xmrc.learning.reader import Reader, write_card
from xmrc.tracking.readers import find_reader
from xmrc.tracking.registry import SIGNATURE, register
from xmrc.tracking.tracker import Tracker

PACKAGE = Path(xmrc.__file__).parent
NAME = "models:/tiny@champion"
TABLE = pd.DataFrame(
    {
        "context": [
            "Maria Olsen wrote her first book in 1987. " * 20,
            "灯塔看守人于1987年写了书。",
            " ",
        ],
        "question": ["Who wrote the book?", "कब?", "When?"],
    }
)
ANSWERING = """
import json, sys, mlflow, pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
table = pd.read_json(sys.argv[2])
model.predict(table).to_json(sys.argv[3], orient="records")
import xmrc
print(xmrc.__file__)
"""


class Registered(NamedTuple):
    """A registered reader, where it is registered, and the folder that it was made from."""

    storage: Path
    uri: str
    folder: Path


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Registered:
    storage = tmp_path_factory.mktemp("storage")
    folder = tiny_checkpoint("unigram", tmp_path_factory.mktemp("checkpoint"))
    write_card(folder, WindowSize(max_length=60, max_question_tokens=20, stride=10))
    tracker = Tracker.open(None, str(storage), "tests")
    tracker.start_study("tiny", {}, {})
    register(
        tracker,
        folder,
        name="tiny",
        code=PACKAGE / "tracking" / "pyfunc_model.py",
        code_paths=[PACKAGE],
        requirements=["torch", "transformers"],
        scores={"gxlt_f1": 1.0},
        example={"question": "When?", "context": "In 1987."},
    )
    tracker.end_study("finished")
    return Registered(storage, tracker.uri, folder)


@pytest.fixture
def served(registered: Registered, monkeypatch: pytest.MonkeyPatch) -> Registered:
    """MLflow's own functions find the registry by this variable."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registered.uri)
    return registered


def test_the_loaded_model_answers_as_the_checkpoint_does(served: Registered) -> None:
    answers = mlflow.pyfunc.load_model(NAME).predict(TABLE)
    reader = Reader(str(served.folder))
    expected = reader.answer(TABLE["question"].tolist(), TABLE["context"].tolist())
    assert list(answers.columns) == SIGNATURE.outputs.input_names()
    for (_, row), context, best in zip(answers.iterrows(), TABLE["context"], expected, strict=True):
        assert (row["answer"], row["start"], row["end"]) == (best.answer, best.start, best.end)
        assert row["score"] == pytest.approx(best.score, abs=1e-6)
        assert [span["text"] for span in row["nbest"]] == [span.text for span in best.nbest]
        assert all(context[span["start"] : span["end"]] == span["text"] for span in row["nbest"])
    assert [len(nbest) for nbest in answers["nbest"]] == [20, 20, 0]
    assert answers["answer"].tolist()[2] == ""


@pytest.mark.filterwarnings("ignore:Hint")
def test_answers_have_the_types_of_the_signature(served: Registered) -> None:
    model = mlflow.pyfunc.load_model(NAME)
    assert model.metadata.signature == SIGNATURE
    answers = model.predict(TABLE[:2])
    assert infer_signature(TABLE, answers).outputs.to_dict() == SIGNATURE.outputs.to_dict()
    with pytest.raises(mlflow.MlflowException, match="context"):
        model.predict(TABLE[["question"]])


def test_a_table_in_any_order_with_other_columns(served: Registered) -> None:
    model = mlflow.pyfunc.load_model(NAME)
    table = TABLE[:2].assign(more=[1, 2], id=["x", "y"])[["more", "question", "id", "context"]]
    table.index = [7, 3]
    assert model.predict(table)["answer"].tolist() == model.predict(TABLE)["answer"].tolist()[:2]
    assert len(model.predict(TABLE[:0])) == 0


@pytest.mark.studies
def test_another_process_loads_it_with_the_code_that_it_was_saved_with(
    served: Registered, tmp_path: Path
) -> None:
    """As a server does: from the registry alone, whatever version of us is installed there."""
    table, out = tmp_path / "table.json", tmp_path / "out.json"
    TABLE[:2].to_json(table)
    (tmp_path / "loading.py").write_text(ANSWERING)
    ended = run_process("loading", NAME, table, out, cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert not Path(ended.out.strip()).is_relative_to(PACKAGE)
    told = json.loads(out.read_text())
    answers = mlflow.pyfunc.load_model(NAME).predict(TABLE[:2])
    assert [one["answer"] for one in told] == answers["answer"].tolist()
    assert list(told[0]["nbest"][0]) == ["text", "start", "end", "score"]


def test_the_folder_inside_opens_with_transformers(registered: Registered) -> None:
    folder = find_reader(NAME, storage=registered.storage, tracking_uri=None)
    assert type(AutoModelForQuestionAnswering.from_pretrained(folder)).__name__.startswith("XLMR")
    assert AutoTokenizer.from_pretrained(folder).is_fast
    for path in registered.folder.iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes()


def test_the_commands_take_the_name(
    registered: Registered,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)

    def outputs(main: Callable[[], None], *options: object) -> list[str]:
        """By name and by folder; the same but for the seconds."""
        found = []
        for model in (NAME, "models:/tiny/1", registered.folder):
            ended = run_here(
                main, "--model", model, "--storage", registered.storage, *options,
                monkeypatch=monkeypatch, capsys=capsys,
            )  # fmt: skip
            assert (ended.code, ended.err) == (0, "")
            found.append("".join(ended.out.splitlines(keepends=True)[1:]))
        return found

    corpus = ("--corpus", "demo/dev", "--languages", "en", "--limit", 2)
    assert len(set(outputs(evaluate.main, *corpus))) == 1
    asked = ("--question", "When?", "--context", TABLE["context"][1])
    assert len(set(outputs(answer.main, *asked))) == 1


def test_a_name_that_is_not_registered_is_one_line(
    registered: Registered,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = run_here(
        evaluate.main, "--model", "models:/tiny@chief", "--storage", registered.storage,
        "--corpus", "demo/dev", "--out", "out", monkeypatch=monkeypatch, capsys=capsys,
    )  # fmt: skip
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: models:/tiny@chief: no such model at sqlite:///")
    assert ended.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
