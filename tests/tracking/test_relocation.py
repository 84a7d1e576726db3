"""A storage that is moved or copied, with MLflow's own client."""

import multiprocessing
import shutil
import sqlite3
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from xmrc.tracking.registry import fetch, register
from xmrc.tracking.relocation import bring_home
from xmrc.tracking.tracker import Tracker

pytestmark = pytest.mark.faults

CODE = """
from pathlib import Path
import mlflow, pandas as pd
class Reader(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.word = (Path(context.artifacts["reader"]) / "word.txt").read_text()
    def predict(self, context, model_input: pd.DataFrame, params=None):
        span = {"text": self.word, "start": 0, "end": 1, "score": 0.5}
        return pd.DataFrame([{"answer": self.word, "score": 0.5, "start": 0, "end": 1, "nbest": [span]}])
mlflow.models.set_model(Reader())
"""  # noqa: E501
MODEL = "models:/moved@champion"


@pytest.fixture
def storage(new_database: Path, tmp_path: Path) -> Path:
    """A storage with a study's run, its trial's, a file and a registered model."""
    root = tmp_path / "my runs"
    root.mkdir()
    shutil.copy(new_database, root / "mlflow.db")
    # MLflow remembers within a process where the files of a run are.
    writing = multiprocessing.get_context("fork").Process(target=write_study, args=(root, tmp_path))
    writing.start()
    writing.join()
    assert writing.exitcode == 0
    return root


def write_study(root: Path, tmp_path: Path) -> None:
    tracker = Tracker.open(None, str(root), "skd")
    tracker.start_study("skd", {}, {"xmrc.folder": str(root / "skd" / "1")})
    tracker.start_trial("t1", "trial-1", {})
    tracker.log_text("hello", "note.txt")
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "word.txt").write_text("Berlin")
    (tmp_path / "code.py").write_text(CODE)
    register(
        tracker, tmp_path / "best", name="moved", code=tmp_path / "code.py", trial="t1",
        requirements=["mlflow"], scores={}, example={"question": "Wo?", "context": "Berlin"},
    )  # fmt: skip
    assert tracker.close() == []


def paths_in(database: Path) -> str:
    """All that a database holds, as one text."""
    with sqlite3.connect(database) as connection:
        return "\n".join(connection.iterdump())


def go_on(root: Path) -> None:
    """Read and write there what studies, `answer` and MLflow itself do."""
    fetched = fetch(MODEL, uri=None, storage=str(root), cache=root / "cache")
    assert fetched.is_relative_to(root)
    assert (fetched / "word.txt").read_text() == "Berlin"
    tracker = Tracker.open(None, str(root), "skd")
    (run,) = tracker.client.search_runs([tracker.experiment_id], "attributes.run_name = 'skd'")
    assert run.data.tags["xmrc.folder"] == str(root / "skd" / "1")
    tracker.client.log_text(run.info.run_id, "more", "more.txt")
    assert {one.path for one in tracker.client.list_artifacts(run.info.run_id)} == {
        "note.txt",
        "more.txt",
    }
    new = tracker.client.create_run(tracker.experiment_id)
    assert new.info.artifact_uri.startswith(f"{root}/mlartifacts/")


def test_a_moved_storage_works_where_it_is(storage: Path, tmp_path: Path) -> None:
    moved = tmp_path / "else where" / "runs"
    moved.parent.mkdir()
    storage.rename(moved)
    go_on(moved)
    assert not storage.exists()
    assert str(storage) not in paths_in(moved / "mlflow.db")
    mlflow.set_tracking_uri(f"sqlite:///{moved}/mlflow.db")
    try:
        model = mlflow.pyfunc.load_model(MODEL)
    finally:
        mlflow.set_tracking_uri(None)
    assert model.predict({"question": ["?"], "context": ["x"]})["answer"].tolist() == ["Berlin"]
    moved.rename(storage)  # and back again
    go_on_again = fetch(MODEL, uri=None, storage=str(storage), cache=storage / "cache")
    assert go_on_again.is_relative_to(storage)


def test_a_copy_leaves_the_original_alone(storage: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in storage.rglob("*") if path.is_file()}
    shutil.copytree(storage, tmp_path / "copy")
    go_on(tmp_path / "copy")
    assert {path: path.read_bytes() for path in storage.rglob("*") if path.is_file()} == before
    assert str(storage) not in paths_in(tmp_path / "copy" / "mlflow.db")


def test_files_that_lay_elsewhere_stay_there(storage: Path, tmp_path: Path) -> None:
    client = MlflowClient(f"sqlite:///{storage}/mlflow.db")
    (tmp_path / "others" / "mlartifacts").mkdir(parents=True)
    places = [str(tmp_path / "others" / "mlartifacts"), f"{storage}/other", "s3://b/mlartifacts"]
    made = [client.create_experiment(f"e{i}", place) for i, place in enumerate(places)]
    shutil.copytree(storage, tmp_path / "copy")
    bring_home(tmp_path / "copy" / "mlflow.db")
    client = MlflowClient(f"sqlite:///{tmp_path}/copy/mlflow.db")
    assert [client.get_experiment(one).artifact_location for one in made] == places


def test_several_open_it_at_once(storage: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    storage.rename(moved)
    with multiprocessing.get_context("fork").Pool(4) as pool:
        pool.map(bring_home, [moved / "mlflow.db"] * 8)
    assert str(storage) not in paths_in(moved / "mlflow.db")
    assert paths_in(moved / "mlflow.db").count(f"{moved}/mlartifacts") >= 5


def test_a_link_to_a_storage_moves_nothing(storage: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(storage)
    before = paths_in(storage / "mlflow.db")
    bring_home(tmp_path / "link" / "mlflow.db")
    assert paths_in(storage / "mlflow.db") == before
