"""Where runs go: a database with MLflow's tables, or a server."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow_server import Server

from xmrc.tracking.tracker import Tracker


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("mlflow"))
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SQLite with MLflow's tables: a copy is there in no time, making them takes seconds."""
    folder = tmp_path_factory.mktemp("database")
    Tracker.open(f"sqlite:///{folder}/mlflow.db", str(folder), "made")
    return folder / "mlflow.db"


@pytest.fixture(params=["sqlite", "server"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    """The setting `tracking.uri`: null, with a database in the storage `runs`, or a server's."""
    if request.param == "server":
        return str(request.getfixturevalue("server").uri)
    (tmp_path / "runs").mkdir()
    shutil.copy(request.getfixturevalue("new_database"), tmp_path / "runs" / "mlflow.db")
    return None


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for key in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.chdir(tmp_path)
