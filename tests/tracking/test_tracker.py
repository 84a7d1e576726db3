import csv
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Run

from xmrc.tables import Table, frame_of
from xmrc.tracking.tracker import Tracker


@pytest.fixture
def tracker(uri: str | None, request: pytest.FixtureRequest) -> Tracker:
    return Tracker.open(uri, "runs", request.node.name)


def again(tracker: Tracker) -> Tracker:
    """Another process that knows nothing but the settings."""
    experiment = tracker.client.get_experiment(tracker.experiment_id)
    return Tracker.open(tracker.uri, "runs", experiment.name)


def get(tracker: Tracker, trial: str | None = None) -> Run:
    return tracker.client.get_run(tracker.run_id(trial))


def history(tracker: Tracker, trial: str | None, metric: str) -> list[tuple[int, float]]:
    points = tracker.client.get_metric_history(tracker.run_id(trial), metric)
    return [(point.step, point.value) for point in points]


def read(tracker: Tracker, file: str, folder: Path) -> str:
    found = tracker.client.download_artifacts(tracker.run_id(), file, str(folder))
    return Path(found).read_text(encoding="utf-8")


def test_a_study_and_its_trials(tracker: Tracker, tmp_path: Path) -> None:
    study = tracker.start_study("skd", {"training.epochs": 3, "base": None}, {"data.xquad": "ab"})
    tracker.start_trial("t1", "first", {"data.ntl": 5, "languages": ["en", "हि"]})
    for step in range(3):
        tracker.log_evaluation("t1", step, {"gxlt_f1": 10.5 * step, "c_kl": math.nan, "hl": None})
    tracker.end_trial("t1", "finished")
    tracker.start_trial("t2", "second", {"data.ntl": 1})
    tracker.end_trial("t2", "failed", "out of memory")
    tracker.start_trial("t3", "third", {"data.ntl": 2})
    tracker.end_trial("t3", "stopped", "ASHA, rung 1")
    tracker.end_study("finished")
    assert tracker.close() == []

    parent, first, second, third = (get(tracker, t) for t in (None, "t1", "t2", "t3"))
    assert parent.info.run_id == study
    assert parent.info.run_name == "skd"
    assert parent.data.params == {"training.epochs": "3", "base": "null"}
    assert parent.data.tags["data.xquad"] == "ab"
    assert first.data.params == {"data.ntl": "5", "languages": '["en", "हि"]'}
    assert first.info.run_name == "first"
    assert history(tracker, "t1", "gxlt_f1") == [(0, 0.0), (1, 10.5), (2, 21.0)]
    assert math.isnan(first.data.metrics["c_kl"])
    assert "hl" not in first.data.metrics
    states = [(run.info.status, run.data.tags["xmrc.state"]) for run in (first, second, third)]
    assert states == [("FINISHED", "finished"), ("FAILED", "failed"), ("KILLED", "stopped")]
    assert second.data.tags["xmrc.cause"] == "out of memory"
    assert all(run.info.end_time for run in (parent, first, second, third))
    assert {run.data.tags["mlflow.parentRunId"] for run in (first, second, third)} == {study}


def test_files_and_tables_of_a_study(tracker: Tracker, tmp_path: Path) -> None:
    tracker.start_study("skd", {}, {})
    picture = tmp_path / "matrix.png"
    picture.write_bytes(b"\x89PNG")
    tracker.log_artifact(picture, "figures")
    tracker.log_text("first", "settings.yaml")
    tracker.log_text("أول: {a: 1}", "settings.yaml")
    rows = [{"trial": "t1", "cause": 'a "b", c'}, {"trial": "t2", "gxlt_f1": 61.25}]
    tracker.log_table(Table(frame_of(rows)), "trials.csv")
    assert tracker.close() == []

    listed = tracker.client.list_artifacts(tracker.run_id())
    assert {file.path for file in listed} == {"figures", "settings.yaml", "trials.csv"}
    assert tracker.client.list_artifacts(tracker.run_id(), "figures")[0].path.endswith("matrix.png")
    assert read(tracker, "settings.yaml", tmp_path) == "أول: {a: 1}"
    if tracker.uri.startswith("sqlite"):
        assert (tmp_path / "runs" / "mlartifacts" / tracker.run_id()).is_dir()
    table = list(csv.DictReader(read(tracker, "trials.csv", tmp_path).splitlines()))
    assert table[0] == {"trial": "t1", "cause": 'a "b", c', "gxlt_f1": ""}
    assert table[1] == {"trial": "t2", "cause": "", "gxlt_f1": "61.25"}


def test_a_resumed_study_goes_on_in_the_same_runs(tracker: Tracker) -> None:
    study = tracker.start_study("skd", {"search.trials": 4}, {"commit": "a"})
    tracker.log_metrics({"base.gxlt_f1": 40.0, "best": 50.0})
    for trial in ("done", "lost"):
        tracker.start_trial(trial, trial, {"data.ntl": 5})
        tracker.log_evaluation(trial, 1, {"gxlt_f1": 50.0, "loss": 2.0})
    tracker.end_trial("done", "stopped", "ASHA")
    runs = {trial: tracker.run_id(trial) for trial in ("done", "lost")}
    ended = get(tracker, "done").info.end_time
    tracker.end_study("failed", "killed")
    assert tracker.close() == []

    resumed = again(tracker)
    assert resumed.start_study("skd", {"search.trials": 8, "n": 1}, {"commit": "b"}, study) == study
    assert get(resumed).info.status == "RUNNING"
    assert get(resumed).data.tags["xmrc.cause"] == ""
    resumed.log_metrics({"base.gxlt_f1": 40.0, "best": 60.0})
    for trial in ("done", "lost"):  # the caller reports all that it has, again
        resumed.start_trial(trial, trial, {"data.ntl": 5})
        resumed.log_evaluation(trial, 1, {"gxlt_f1": 50.0, "loss": 2.5})
    resumed.end_trial("done", "stopped", "ASHA")
    resumed.log_evaluation("lost", 2, {"gxlt_f1": 60.0, "loss": 1.0})
    resumed.end_trial("lost", "finished")
    resumed.end_study("finished")
    assert resumed.close() == []

    assert {trial: resumed.run_id(trial) for trial in runs} == runs
    assert get(resumed).data.params == {"search.trials": "4", "n": "1"}
    assert get(resumed).data.tags["commit"] == "b"
    assert get(resumed).info.status == "FINISHED"
    assert history(resumed, None, "base.gxlt_f1") == [(0, 40.0)]
    assert get(resumed).data.metrics["best"] == 60.0
    assert history(resumed, "done", "gxlt_f1") == [(1, 50.0)]
    assert history(resumed, "lost", "loss") == [(1, 2.0), (2, 1.0)]
    assert get(resumed, "done").info.end_time == ended
    children = resumed.client.search_runs(
        [resumed.experiment_id], f"tags.`mlflow.parentRunId` = '{study}'"
    )
    assert len(children) == 2


@pytest.mark.parametrize("state", ["failed", "interrupted"])
def test_a_trial_that_runs_again_is_running(tracker: Tracker, state: str) -> None:
    tracker.start_study("skd", {}, {})
    tracker.start_trial("t", "t", {})
    tracker.end_trial("t", state, "worker died")
    tracker.start_trial("t", "t", {})
    run = get(tracker, "t")
    assert (run.info.status, run.data.tags["xmrc.state"]) == ("RUNNING", "running")
    assert run.data.tags["xmrc.cause"] == ""
    tracker.end_trial("t", "finished")
    assert get(tracker, "t").info.status == "FINISHED"


def test_a_trial_that_was_stopped_early_stays_so(tracker: Tracker) -> None:
    tracker.start_study("skd", {}, {})
    tracker.start_trial("t", "t", {})
    tracker.end_trial("t", "stopped", "stopped early: behind the others")
    tracker.start_trial("t", "t", {})
    assert get(tracker, "t").info.status == "KILLED"


def test_a_stopped_trial_that_goes_on_is_running(tracker: Tracker) -> None:
    tracker.start_study("skd", {}, {})
    tracker.start_trial("t", "t", {})
    tracker.end_trial("t", "stopped", "interrupted")
    tracker.log_evaluation("t", 1, {"gxlt_f1": 1.0})
    assert get(tracker, "t").info.status == "RUNNING"


def test_trials_of_two_studies_do_not_meet(tracker: Tracker) -> None:
    tracker.start_study("a", {}, {})
    tracker.start_trial("00001", "x", {"lr": 1})
    first = tracker.run_id("00001")
    other = again(tracker)
    other.start_study("b", {}, {})
    other.start_trial("00001", "x", {"lr": 2})
    assert other.run_id("00001") != first
    assert get(other, "00001").data.params == {"lr": "2"}


def test_mistakes_of_the_caller_are_not_kept_for_later(tracker: Tracker) -> None:
    with pytest.raises(AssertionError):
        tracker.log_text("too early", "settings.yaml")
    tracker.start_study("skd", {}, {})
    with pytest.raises(AssertionError):
        tracker.end_trial("t", "done")
    with pytest.raises(ValueError, match="high"):
        tracker.log_evaluation("t", 1, {"gxlt_f1": "high"})  # type: ignore[dict-item]
    assert tracker.close() == []


def test_more_values_than_one_request_takes(tracker: Tracker) -> None:
    params = {f"key.{i}": "x" * 3000 for i in range(230)}
    tracker.start_study("skd", params, {f"tag.{i}": i for i in range(130)})
    tracker.start_trial("t", "t", {})
    tracker.log_evaluation("t", 1, {f"f1/{i}": i for i in range(1100)})
    assert tracker.close() == []
    run = get(tracker)
    assert set(run.data.params) == set(params)
    assert run.data.tags["tag.129"] == "129"
    assert len(get(tracker, "t").data.metrics) == 1100


def test_a_study_that_began_at_another_server_is_found_again(tracker: Tracker) -> None:
    began = "0123456789abcdef" * 2
    assert tracker.start_study("skd", {}, {}, began) == began == tracker.origin
    resumed = again(tracker)
    assert resumed.start_study("skd", {}, {}, began) == began
    assert resumed.run_id() == tracker.run_id() != began


def test_view_names_the_run_or_the_command(tracker: Tracker, uri: str | None) -> None:
    study = tracker.start_study("skd", {}, {})
    if uri is None:
        assert tracker.view.startswith("mlflow ui --backend-store-uri sqlite:///")
        assert tracker.view.endswith("/runs/mlflow.db")
    else:
        assert tracker.view == f"{uri}/#/experiments/{tracker.experiment_id}/runs/{study}"


CHATTER = """
import sys
from xmrc.tables import Table, frame_of
from xmrc.tracking.tracker import Tracker
for uri in (None, None, sys.argv[1]):
    tracker = Tracker.open(uri, "quiet", "quiet")
    tracker.start_study("skd", {}, {})
    tracker.start_trial("t", "t", {})
    tracker.log_evaluation("t", 1, {"a": 1.0})
    tracker.end_trial("t", "finished")
    tracker.end_study("finished")
    assert tracker.close() == []
"""


def test_nothing_is_printed(server: Any, tmp_path: Path) -> None:
    command = [sys.executable, "-c", CHATTER, server.uri]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert {path.name for path in tmp_path.iterdir()} == {"quiet"}
