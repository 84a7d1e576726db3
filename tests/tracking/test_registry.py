import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from xmrc.errors import DataError, ResourceError, SettingsError
from xmrc.seals import SEAL, is_intact
from xmrc.tracking.artifacts import study_run
from xmrc.tracking.readers import find_reader
from xmrc.tracking.registry import (
    SIGNATURE,
    Version,
    check_name,
    fetch,
    register,
    version_made_by,
)
from xmrc.tracking.tracker import Tracker

CODE = '''
"""Answers with the first word of the context that the reader knows."""
import json
from pathlib import Path

import mlflow
import pandas as pd
from beside import NAME
from mlflow.pyfunc import PythonModel


class Reader(PythonModel):
    def load_context(self, context):
        self.words = json.loads((Path(context.artifacts["reader"]) / "words.json").read_text())

    def predict(self, context, model_input: pd.DataFrame, params=None):
        rows = []
        for text in model_input["context"]:
            word = next(w for w in self.words if w in text)
            assert NAME == "beside"
            start = text.index(word)
            span = {"text": word, "start": start, "end": start + len(word), "score": 0.5}
            rows.append({"answer": word, **span, "nbest": [span]})
        return pd.DataFrame(rows)[["answer", "score", "start", "end", "nbest"]]


mlflow.models.set_model(Reader())
'''
BERT = '{"model_type": "bert", "architectures": ["BertForQuestionAnswering"]}'
EXAMPLE = {"question": "Wo?", "context": "in Berlin"}


@pytest.fixture
def tracker(uri: str | None) -> Tracker:
    tracker = Tracker.open(uri, "runs", "registry")
    tracker.start_study("skd", {}, {})
    return tracker


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A model of this test's own: the server is shared."""
    return request.node.name.replace("[", "-").rstrip("]")


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of code and the package `beside` that it needs."""
    (tmp_path / "code" / "beside").mkdir(parents=True)
    (tmp_path / "code" / "beside" / "__init__.py").write_text("NAME = 'beside'")
    (tmp_path / "code" / "answering.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path / "code")
    return tmp_path / "code" / "answering.py"


def checkpoint(folder: Path, *words: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "words.json").write_text(json.dumps(words))
    (folder / "model.safetensors").write_bytes(os.urandom(1000))
    return folder


def put(tracker: Tracker, folder: Path, name: str, code: Path, **more: object) -> str:
    given = {"requirements": ["mlflow", "pandas"], "scores": {"gxlt_f1": 61.25}, **more}
    given["code_paths"] = [code.parent / "beside"]
    return register(tracker, folder, name=name, code=code, example=EXAMPLE, **given)  # type: ignore[arg-type]


ANSWERING = """
import sys, mlflow, pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
print(model.predict(pd.DataFrame({"question": ["Wo?", "أين"], "context": ["in Berlin", "Paris"]}))
      .to_json(orient="records"))
print(mlflow.pyfunc.get_model_dependencies(sys.argv[1]))
"""


def test_the_champion_loads_and_answers_without_us(
    tracker: Tracker, name: str, code: Path, tmp_path: Path
) -> None:
    tracker.start_trial("t1", "first", {"ntl": 5})
    folder = checkpoint(tmp_path / "best", "Berlin", "Paris")
    assert put(tracker, folder, name, code, trial="t1", description="a *test*") == "1"

    environment = {**os.environ, "MLFLOW_TRACKING_URI": tracker.uri}
    (tmp_path / "elsewhere").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", ANSWERING, f"models:/{name}@champion"],
        capture_output=True, text=True, env=environment, cwd=tmp_path / "elsewhere", check=True,
    )  # fmt: skip
    answers, requirements = done.stdout.splitlines()
    first, second = json.loads(answers)
    assert first["nbest"] == [{"text": "Berlin", "start": 3, "end": 9, "score": 0.5}]
    assert (first["answer"], first["start"], first["end"]) == ("Berlin", 3, 9)
    assert second["answer"] == "Paris"
    assert Path(requirements).read_text().split() == ["mlflow", "pandas"]

    version = tracker.client.get_model_version_by_alias(name, "champion")
    assert version.run_id == tracker.run_id("t1")
    assert study_run(f"models:/{name}/1", uri=tracker.uri, storage="") == tracker.run_id()
    assert version.tags == {
        "gxlt_f1": "61.25",
        "xmrc.alias": "champion",
        "xmrc.origin_run": tracker.origin,
        "xmrc.complete": "true",
    }
    assert version.description == "a *test*"
    logged = tracker.client.get_logged_model(version.source.removeprefix("models:/"))
    assert logged.source_run_id == tracker.run_id("t1")


def test_no_pickle_and_the_same_checkpoint_again(
    tracker: Tracker,
    uri: str | None,
    name: str,
    code: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder = checkpoint(tmp_path / "best", "Berlin")
    put(tracker, folder, name, code)
    fetched = fetch(f"models:/{name}@champion", uri=uri, storage="runs", cache=tmp_path / "cache")
    assert capfd.readouterr() == ("", "")
    assert {p.name: p.read_bytes() for p in fetched.iterdir() if p.name != SEAL} == {
        p.name: p.read_bytes() for p in folder.iterdir()
    }
    assert is_intact(fetched)
    model = fetched.parents[1]
    files = [path for path in model.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"MLmodel", "answering.py", "words.json"}
    assert not [p for p in files if p.suffix in {".pkl", ".pickle", ".pt", ".bin"}]
    assert not [p for p in files if p.read_bytes()[:1] == b"\x80" and p.suffix != ".safetensors"]
    assert "cloudpickle" not in (model / "requirements.txt").read_text()


def test_a_second_version_takes_the_alias(
    tracker: Tracker, uri: str | None, name: str, code: Path, tmp_path: Path
) -> None:
    for i, word in enumerate(["one", "two"]):
        assert put(tracker, checkpoint(tmp_path / word, word), name, code) == str(i + 1)
    cache = tmp_path / "cache"
    for model, word in {"@champion": "two", "/1": "one", "/2": "two"}.items():
        for _ in range(2):  # the second time from the cache
            found = fetch(f"models:/{name}{model}", uri=uri, storage="runs", cache=cache)
            assert json.loads((found / "words.json").read_text()) == [word]
    copies = list(cache.iterdir()) if cache.exists() else []
    assert len(copies) == (0 if uri is None else 2), "what lies on this machine is not copied"


def test_a_damaged_reader_is_refused_and_a_damaged_copy_fetched_again(
    tracker: Tracker, uri: str | None, name: str, code: Path, tmp_path: Path
) -> None:
    put(tracker, checkpoint(tmp_path / "best", "Berlin"), name, code)
    model, cache = f"models:/{name}@champion", tmp_path / "runs" / "cache" / "models"
    fetched = fetch(model, uri=uri, storage=str(tmp_path / "runs"), cache=cache)
    (fetched / "config.json").write_text(BERT)
    whole = (fetched / "model.safetensors").read_bytes()
    (fetched / "model.safetensors").write_bytes(whole[:100] + bytes(4) + whole[104:])

    def find() -> Path:
        return find_reader(model, storage=tmp_path / "runs", tracking_uri=uri)

    with pytest.raises(DataError, match=r"model\.safetensors: .* as it was written") as caught:
        find_reader(str(fetched), storage=tmp_path / "runs", tracking_uri=uri)
    assert "\n" not in str(caught.value)
    if uri is None:  # the registered one itself
        with pytest.raises(DataError, match=r"model\.safetensors"):
            find()
    else:
        fetched = fetch(model, uri=uri, storage=str(tmp_path / "runs"), cache=cache)
        assert (fetched / "model.safetensors").read_bytes() == whole


@pytest.mark.parametrize("path", ["../../etc", "/etc", "artifacts/../../up"])
def test_the_reader_of_a_model_lies_inside_it(path: str, tmp_path: Path) -> None:
    (tmp_path / "up").mkdir()
    folder = tmp_path / "model"
    (folder / "artifacts").mkdir(parents=True)
    flavor = {"artifacts": {"reader": {"path": path}}}
    (folder / "MLmodel").write_text(json.dumps({"flavors": {"python_function": flavor}}))
    with pytest.raises(ResourceError, match=r"MLmodel: .* must be a folder of the model") as caught:
        fetch(str(folder), uri=None, storage="runs", cache=tmp_path / "cache")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("card", ["", "a: [", "flavors: {keras: {}}", "flavors: 3"])
def test_a_model_of_another_maker_is_refused_in_one_line(card: str, tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text(card)
    with pytest.raises(ResourceError, match="holds no reader of ours"):
        fetch(str(tmp_path), uri=None, storage="runs", cache=tmp_path / "cache")


def test_a_version_that_a_kill_left_without_its_alias_gets_it(
    tracker: Tracker, name: str, code: Path, tmp_path: Path
) -> None:
    assert version_made_by(tracker, name) is None
    put(tracker, checkpoint(tmp_path / "best", "Berlin"), name, code)
    tracker.client.delete_registered_model_alias(name, "champion")
    tracker.client.delete_model_version_tag(name, "1", "xmrc.complete")
    made = version_made_by(tracker, name)
    assert made is not None
    assert made.number == "1"
    assert tracker.client.get_model_version_by_alias(name, "champion").version in (1, "1")
    tracker.client.delete_registered_model_alias(name, "champion")
    assert version_made_by(tracker, name) == Version("1", {**made.tags, "xmrc.complete": "true"})
    assert "champion" not in tracker.client.get_registered_model(name).aliases, "as a user wants it"


def test_the_signature_takes_a_table_of_texts() -> None:
    from mlflow.models.utils import _enforce_schema

    table = pd.DataFrame({"context": ["a", "b"], "question": ["हि", ""], "more": [1, 2]})
    assert list(_enforce_schema(table, SIGNATURE.inputs)["question"]) == ["हि", ""]


def test_what_is_a_folder_already(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "best", "x")
    assert fetch(str(folder), uri=None, storage="runs", cache=tmp_path / "cache") == folder


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("no/such/folder", "no/such/folder: "),
        ("models:/name", "models:/NAME@ALIAS"),
        ("models:/name/Production", "models:/NAME@ALIAS"),
        ("models:/name@champion", "no tracking database sqlite:///"),
    ],
)
def test_models_that_are_not_there(model: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=told):
        fetch(model, uri=None, storage="runs", cache=tmp_path / "cache")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("model", ["models:/nobody@champion", "models:/nobody/3"])
def test_models_that_the_server_does_not_have(
    tracker: Tracker, uri: str | None, model: str, tmp_path: Path
) -> None:
    with pytest.raises(ResourceError, match=f"{model}: no such model at "):
        fetch(model, uri=uri, storage="runs", cache=tmp_path / "cache")


@pytest.mark.parametrize("name", ["", " ", "a/b", "a:b", ".."])
def test_names_that_mlflow_refuses(name: str) -> None:
    with pytest.raises(SettingsError, match=r"tracking\.register_as"):
        check_name(name)


def test_a_name_of_ours() -> None:
    check_name("xmrc-gxlt")
