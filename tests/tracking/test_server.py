import http.server
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from awkward_passwords import AWKWARD, shows

from xmrc.errors import ResourceError
from xmrc.tracking.server import artifact_root, patience, tracking_uri
from xmrc.tracking.tracker import Tracker


def refusal(uri: str | None, storage: str) -> str:
    with pytest.raises(ResourceError) as caught:
        Tracker.open(uri, storage, "xmrc")
    message = str(caught.value)
    assert message.startswith("tracking.uri: ")
    assert "\n" not in message
    return message


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        yield int(silent.getsockname()[1])


@pytest.fixture
def web_port() -> Iterator[int]:
    """A web server that is no MLflow."""
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as web:
        web.RequestHandlerClass.log_message = lambda *_: None  # type: ignore[method-assign]
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        yield int(web.server_port)
        web.shutdown()
        thread.join()


def test_the_setting_comes_before_the_environment_before_the_storage(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert tracking_uri(None, "runs") == f"sqlite:///{tmp_path}/runs/mlflow.db"
    assert tracking_uri(None, f"file://{tmp_path}/x") == f"sqlite:///{tmp_path}/x/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://b")
    assert tracking_uri(None, "runs") == "http://b"
    assert tracking_uri("http://a", "runs") == "http://a"


def test_files_go_into_the_storage_unless_a_server_keeps_them(tmp_path: Path) -> None:
    assert artifact_root("sqlite:///a.db", "runs") == f"{tmp_path}/runs/mlartifacts"
    assert artifact_root("postgresql://h/d", "s3://bucket/x/") == "s3://bucket/x/mlartifacts"
    assert artifact_root("https://mlflow.example", "runs") is None


def test_a_remote_storage_needs_a_server() -> None:
    assert "s3://bucket/runs" in refusal(None, "s3://bucket/runs")


def test_nobody_listens(closed_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"http://me:secret@127.0.0.1:{closed_port}"
    message = refusal(uri, "runs")
    assert f"http://127.0.0.1:{closed_port}" in message
    assert "refused" in message
    assert "secret" not in message
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert "MLFLOW_TRACKING_URI" in refusal(None, "runs")


@pytest.mark.parametrize("password", AWKWARD)
def test_errors_of_databases_and_networks_show_no_password(
    closed_port: int, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(variable, "")  # and back as it was
    place = f"127.0.0.1:{closed_port}"
    for scheme in ("http", "postgresql+nodriver", "mysql"):
        for message in (
            refusal(f"{scheme}://me:{password}@{place}/d", "runs"),
            refusal(f"{scheme}://me:{quote(password, safe='')}@{place}/d", "runs"),
        ):
            assert not shows(message, password)


def test_a_listener_that_never_answers(silent_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    assert "timed out" in refusal(f"http://127.0.0.1:{silent_port}", "runs")


def test_another_kind_of_server(web_port: int) -> None:
    assert "404" in refusal(f"http://127.0.0.1:{web_port}", "runs")


def test_uris_that_mlflow_cannot_use(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database" * 100)
    assert "not a database" in refusal(f"sqlite:///{tmp_path}/text.db", "runs")
    assert "gopher" in refusal("gopher://host", "runs")
    assert "maintenance mode" in refusal("./mlruns", "runs")
    message = refusal("mysql+nodriver://me:secret@host/db", "runs")
    assert "mysql.nodriver" in message
    assert "secret" not in message


def test_a_storage_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "file" in refusal(None, str(tmp_path / "file"))


def test_a_deleted_experiment_is_not_written_to(uri: str | None) -> None:
    tracker = Tracker.open(uri, "runs", "xmrc")
    tracker.client.delete_experiment(tracker.experiment_id)
    assert "mlflow experiments restore" in refusal(uri, "runs")


def test_patience_ends_and_keeps_what_the_user_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    before = dict(os.environ)
    with patience(retries=1, seconds=5):
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "1"
    assert dict(os.environ) == before
