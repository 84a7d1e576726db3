"""A study's folder sent to real MLflow servers: all of it, once, to any of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from mlflow import MlflowClient
from mlflow_server import Server
from study_folders import CHAMPION, CONFIRM, CONFIRMING, START, TRIALS, study_folder, trial

from xmrc.errors import DataError, ResourceError
from xmrc.files import write_document
from xmrc.scoring.evaluation_files import write_scores
from xmrc.scoring.gxlt import summarise
from xmrc.scoring.predictions import scored_frame
from xmrc.seals import seal
from xmrc.search.folder import StudyFolder
from xmrc.selection.registration import Registration
from xmrc.selection.upload import send_study
from xmrc.settings import load_study
from xmrc.tracking.tracker import Tracker

pytestmark = pytest.mark.faults

MODEL = "xmrc-gxlt"
SHOWN = {
    "question": "Wo?", "context": "in Berlin", "question_language": "de",
    "context_language": "en", "answer": "Berlin", "score": 0.9,
}  # fmt: skip


def a_study(root: Path) -> StudyFolder:
    """One that has ended with a confirmation, and a final set; its server is gone."""
    state = {
        "run_id": uuid4().hex, "tags": {"version.mlflow": "3"}, "select": "demo/dev",
        "promotion_set": "unseen",
    }  # fmt: skip
    finals = {"demo/test": {"base": START, "champion": CHAMPION}}
    running = trial(5, TRIALS[0]["values"], [20.0], state="running")
    folder = study_folder(
        root, study=CONFIRMING, trials=[*TRIALS, running], state=state, finals=finals
    )
    seeds = [
        {**one, "id": f"seed{i}", "checkpoint": str(folder / "confirm" / f"seed{i}")}
        for i, one in enumerate(CONFIRM, 1)
    ]
    write_document(folder / "confirm.json", seeds)
    readings = {"start": START, "champion": CHAMPION}
    readings |= {f"final/demo/test/{reader}": rows for reader, rows in finals["demo/test"].items()}
    for name, rows in readings.items():
        write_scores(folder / name / "scores.json", summarise(scored_frame(rows)))
    for number in (1, 2, 3):
        scores = summarise(scored_frame(CHAMPION))
        write_scores(folder / "promotion" / f"{number}.json", scores)
    write_document(folder / "champion" / "shown.json", SHOWN)
    model = folder / "confirm" / "seed4" / "model"  # the median seed of the better mean
    model.mkdir(parents=True)
    (model / "model.safetensors").write_bytes(bytes(1000))
    return StudyFolder(folder)


def send(folder: StudyFolder, uri: str) -> Registration | None:
    """As a process of its own would, which knows nothing but the folder."""
    study = load_study(folder.path / "study.yaml")
    tracker = Tracker.open(uri, str(folder.storage), study.name)
    registered = send_study(folder, study, tracker)
    assert tracker.close() == []
    return registered


def kept(uri: str) -> dict[str, Any]:
    """All that a server has, the ids of its runs aside."""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    found: dict[str, Any] = {}
    for run in client.search_runs([experiment.experiment_id]):
        name, run_id = str(run.info.run_name), run.info.run_id
        assert name not in found, "each once"
        points = {
            key: [(one.step, one.value) for one in client.get_metric_history(run_id, key)]
            for key in run.data.metrics
        }
        files = sorted(walk(client, run_id))
        found[name] = (run.info.status, dict(run.data.params), points, files)
    versions = client.search_model_versions(f"name='{MODEL}'")
    found["versions"] = sorted(str(one.version) for one in versions)
    aliases = client.get_registered_model(MODEL).aliases if versions else {}
    found["aliases"] = {alias: str(version) for alias, version in aliases.items()}
    return found


def walk(client: MlflowClient, run_id: str, folder: str | None = None) -> Iterator[str]:
    for one in client.list_artifacts(run_id, folder):
        if one.is_dir:
            yield from walk(client, run_id, one.path)
        else:
            yield one.path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("mlflow"))
    running.start()
    yield running
    running.stop()


def test_everything_is_sent_once_and_to_any_server(server: Server, tmp_path: Path) -> None:
    folder, database = a_study(tmp_path / "runs"), f"sqlite:///{tmp_path}/mlflow.db"
    registered = send(folder, server.uri)
    assert registered is not None
    assert (registered.model, registered.version) == (f"models:/{MODEL}@champion", "1")
    assert "no champion to beat" in registered.verdict.reason
    first = kept(server.uri)
    trials = [f"trial-{number}" for number in (1, 2, 3, 4)]  # the fifth is not over
    seeds = [f"confirmation-{number}" for number in range(1, 7)]
    assert sorted(first) == sorted(["small", *trials, *seeds, "versions", "aliases"])
    assert first["trial-1"][2]["gxlt_f1"] == [(1, 20.0), (2, 30.0)]
    states = [first[name][0] for name in ("small", *trials)]
    assert states == ["FINISHED", "FINISHED", "FINISHED", "KILLED", "FAILED"]
    _, params, points, files = first["small"]
    assert params["encoder"] == "demo"
    assert {"base_gxlt_f1", "champion_gxlt_f1", "final/demo/test/base_gxlt_f1"} <= set(points)
    assert {
        "study.yaml", "trials.csv", "confirmation.csv", "champion/scores.json",
        "promotion/1.json", "promotion/seeds.csv", "final/labels.json",
        "final/demo/test/champion/scores.json",
    } <= set(files)  # fmt: skip

    assert send(folder, server.uri) == registered
    assert kept(server.uri) == first
    elsewhere = send(folder, database)
    assert elsewhere is not None
    assert kept(database) == first
    assert send(folder, server.uri) == registered, "this server knows what it was"
    assert kept(server.uri) == first


def test_a_server_lost_while_all_is_sent_gets_the_rest_later(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    folder = a_study(tmp_path / "runs")
    study = folder, load_study(folder.path / "study.yaml")
    tracker = Tracker.open(server.uri, "", "lost")
    log = tracker.log_text
    text = "promotion/seeds.csv"

    def log_and_lose(content: str, file: str) -> None:
        if file == text:  # just before the decision
            server.stop()
        log(content, file)

    monkeypatch.setattr(tracker, "log_text", log_and_lose)
    with pytest.raises(ResourceError, match=r"tracking\.uri"):
        send_study(*study, tracker)
    assert tracker.close()
    server.start()
    tracker = Tracker.open(server.uri, "", "lost")
    registered = send_study(*study, tracker)
    assert tracker.close() == []
    assert registered is not None
    versions = tracker.client.search_model_versions(f"name='{MODEL}'")
    mine = [one for one in versions if one.version == registered.version]
    assert len(mine) == 1


def test_a_study_that_is_not_over_sends_its_trials(tmp_path: Path) -> None:
    folder = a_study(tmp_path / "runs")
    (folder.path / "champion" / "scores.json").unlink()
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    assert send(folder, uri) is None
    sent = kept(uri)
    assert sent["small"][0] == "KILLED"
    assert sent["trial-2"][0] == "FINISHED"
    assert sent["versions"] == []


def test_what_cannot_be_sent_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = a_study(tmp_path / "runs")
    (folder.path / "confirm" / "seed4" / "model" / "model.safetensors").unlink()
    (folder.path / "confirm" / "seed4" / "model").rmdir()
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with pytest.raises(ResourceError, match="seed4/model: must be there, to register the winner"):
        send(folder, uri)
    damaged = a_study(tmp_path / "damaged")
    model = damaged.path / "confirm" / "seed4" / "model"
    seal(model)
    (model / "model.safetensors").write_bytes(b"1" * 1000)
    with pytest.raises(DataError, match=r"seed4/model/model\.safetensors: must be as it was"):
        send(damaged, uri)
    write_document(folder.path / "state.json", {})
    with pytest.raises(DataError, match="must be of a study that has begun"):
        send(folder, uri)
