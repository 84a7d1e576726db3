"""Ray Tune's events into ledger, MLflow and display; the real tracker on SQLite, no cluster."""

import csv
from types import SimpleNamespace

import pytest
from mlflow import MlflowClient
from ray.exceptions import RayTaskError
from rich.console import Console
from study_folders import put_checkpoint
from tiny_jobs import Recorder as Reports
from tiny_jobs import run_job, tiny_job

from xmrc.learning.loop import DivergedError
from xmrc.search.causes import cause_of
from xmrc.search.full_disk import PatientWriter
from xmrc.search.ledger import Ledger
from xmrc.search.observed import ObservedTables, read_table
from xmrc.search.phases import CONFIRMATION, SEARCH, TrialFiles
from xmrc.search.progress import say
from xmrc.search.proposals import FAILURE, STORAGE_FULL, TRIAL
from xmrc.search.recorder import Recorder, replay
from xmrc.tracking.tracker import Tracker

ANSWER = 'in "Köln",\nam Rhein \ud800'  # with a lone surrogate, which UTF-8 does not have
EN_DE = {"question_language": "en", "context_language": "de"}


def named(trial):
    """A trial as far as a recorder looks at it."""
    return SimpleNamespace(config={TRIAL: trial})


class Search:
    """Calls a recorder as Ray Tune does, and lays checkpoints where trainings do."""

    def __init__(self, folder, tracker, keep=3):
        self.folder, self.keep = folder, keep
        console = Console()
        self.run = SimpleNamespace(
            tracker=tracker,
            console=console,
            fit=SimpleNamespace(at_once=2),
            writer=PatientWriter(folder, 0, print),
            say=lambda text: say(console, text),
        )
        self.begin()

    def begin(self):
        """Also after a kill: whatever the recorder knew is read again."""
        self.files = TrialFiles(self.folder, SEARCH, "gxlt_f1")
        self.opened = self.files.open_ledger()
        self.recorder = Recorder(self.run, self.files, self.opened, trials=5, keep=self.keep)
        self.recorder.setup()

    def start(self, trial, ntl=1):
        if trial not in self.opened.trials:
            values = {"data.ntl": ntl, "training.dropout": None}
            self.opened.propose(trial, 1 + len(self.opened.trials), values, 0.0)
        self.recorder.on_trial_start(0, [], named(trial))

    def report(self, trial, *scores, of=2):
        history = [
            {"evaluation": i, "epoch": float(i), "step": 10 * i, "gxlt_f1": s, "loss": 1 / i}
            for i, s in enumerate(scores, 1)
        ]
        put_checkpoint(self.files.of(trial), history)
        observed = {"c_kl": [], "watched": []}
        for row in history:
            place = {name: row[name] for name in ("evaluation", "epoch", "step")}
            share = row["gxlt_f1"] / 100
            observed["c_kl"] += [
                {**place, **EN_DE, "c_kl": share},
                {**place, "question_language": "de", "context_language": "de", "c_kl": 0.5},
            ]
            answers = ((ANSWER, share, 50.0), ("", 0.1, 0.0))
            observed["watched"] += [
                {**place, "id": "007", **EN_DE, "rank": rank, "answer": text}
                | {"probability": probability, "em": 0.0, "f1": f1}
                for rank, (text, probability, f1) in enumerate(answers, 1)
            ]
        facts = {"history": history, "observed": observed, "evaluations": of}
        result = {**history[-1], **facts, "best": max(scores)}
        self.recorder.on_trial_result(0, [], named(trial), result)

    def complete(self, trial):
        self.recorder.on_trial_complete(0, [], named(trial))

    def refuse(self, trial, cause):
        """It says itself that it cannot be trained, and ends."""
        self.recorder.on_trial_result(0, [], named(trial), {FAILURE: cause, STORAGE_FULL: False})
        self.complete(trial)

    def lose(self, trial, error):
        failed = SimpleNamespace(config={TRIAL: trial}, get_pickled_error=lambda: error)
        self.recorder.on_trial_error(0, [], failed)

    def end(self):
        self.recorder.on_experiment_end([])

    @property
    def ledger(self):
        return Ledger.open(self.folder / "trials.json", "gxlt_f1")

    def c_kl(self):
        """What the table has, by trial."""
        found = {}
        with open(self.folder / "c_kl.csv", newline="") as file:
            for row in csv.DictReader(file):
                names = ("evaluation", "step", "question_language", "context_language", "c_kl")
                found.setdefault(int(row["trial"]), []).append(tuple(row[name] for name in names))
        return found

    def checkpoints(self):
        return sorted(
            str(p.relative_to(self.folder / "search")) for p in self.folder.glob("search/*/check*")
        )


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """MLflow's tables take seconds to make, so the tests of this file share them."""
    folder = tmp_path_factory.mktemp("recorder")
    Tracker.open(None, str(folder), "study")
    return folder


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def tracker(database):
    tracker = Tracker.open(None, str(database), "study")
    tracker.start_study("study", {}, {})
    return tracker


@pytest.fixture
def search(database, tracker, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "mlflow.db").symlink_to(database / "mlflow.db")
    return Search(folder, tracker)


def children(tracker):
    """Runs of the study's trials by their trial's id."""
    condition = f"tags.`mlflow.parentRunId` = '{tracker.run_id()}'"
    runs = tracker.client.search_runs([tracker.experiment_id], condition)
    return {run.data.tags["xmrc.trial_id"]: run for run in runs}


def points(tracker, trial, metric="gxlt_f1"):
    run = children(tracker)[trial]
    client: MlflowClient = tracker.client
    return [(one.step, one.value) for one in client.get_metric_history(run.info.run_id, metric)]


def test_trials_are_written_to_ledger_mlflow_and_display(search, tracker, capsys):
    search.start("a", ntl=3)
    search.start("b", ntl=1)
    search.report("a", 40.0)
    search.report("b", 30.0)
    search.report("a", 40.0, 55.5)
    search.complete("a")
    search.complete("b")
    search.start("c")
    cause = "DivergedError: the loss must be finite, got nan after 4 steps"
    search.refuse("c", cause)
    search.end()

    a, b, c = search.ledger.trials.values()
    assert (a.state, a.best, a.evaluations, len(a.history)) == ("finished", 55.5, 2, 2)
    assert a.values == {"data.ntl": 3, "training.dropout": None}
    assert a.checkpoint == "search/a/checkpoint_000002"
    assert (b.state, b.best) == ("stopped", 30.0)
    assert (c.state, c.cause, c.best, c.checkpoint) == ("failed", cause, None, None)

    runs = children(tracker)
    assert set(runs) == {"a", "b", "c"}
    assert runs["a"].data.params == {"data.ntl": "3", "training.dropout": "null"}
    assert [runs[trial].data.tags["xmrc.state"] for trial in "abc"] == [
        "finished", "stopped", "failed"
    ]  # fmt: skip
    assert runs["c"].data.tags["xmrc.cause"] == cause
    assert points(tracker, "a") == [(1, 40.0), (2, 55.5)]
    assert points(tracker, "a", "step") == [(1, 10.0), (2, 20.0)]
    assert "evaluation" not in runs["a"].data.metrics
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "trial 1 finished", "trial 2 stopped", "trial 3 failed"
    ]  # fmt: skip


def test_the_best_checkpoints_stay_and_the_others_go(database, tracker, tmp_path, capsys):
    (tmp_path / "mlflow.db").symlink_to(database / "mlflow.db")
    search = Search(tmp_path, tracker, keep=1)
    search.start("running")
    search.report("running", 1.0)
    for trial, scores in {"a": (50.0, 40.0), "b": (45.0, 60.0), "c": (20.0,)}.items():
        search.start(trial)
        for count in range(1, len(scores) + 1):
            search.report(trial, *scores[:count])
        search.complete(trial)
        best = search.ledger.ranking[0]
        assert best.checkpoint.startswith(f"search/{best.id}/")
        assert (tmp_path / "search" / best.id).exists()
    assert search.checkpoints() == [
        "b/checkpoint_000002", "running/checkpoint_000001"
    ]  # fmt: skip
    assert not (tmp_path / "search/b/checkpoint_000002/state").exists()  # nobody goes on from it
    assert (tmp_path / "search/running/checkpoint_000001/state").exists()
    ledger = search.ledger
    assert ledger.ranking[0].checkpoint == "search/b/checkpoint_000002"
    assert [ledger.trials[trial].checkpoint for trial in "ac"] == [None, None]


def test_a_killed_search_goes_on_without_writing_anything_twice(search, tracker, capsys):
    search.start("a")
    search.report("a", 40.0)
    search.complete("a")
    search.start("b")
    search.report("b", 30.0)
    search.begin()  # what "b" reported in between, nobody heard
    search.start("b")
    assert len(search.ledger.trials["b"].history) == 1
    search.report("b", 30.0, 35.0, 45.0, of=3)
    search.complete("b")
    search.end()
    assert points(tracker, "b") == [(1, 30.0), (2, 35.0), (3, 45.0)]
    assert set(children(tracker)) == {"a", "b"}
    assert [one.number for one in search.ledger.trials.values()] == [1, 2]
    assert search.ledger.trials["b"].state == "finished"
    assert search.c_kl() == {
        1: [("1", "10", "en", "de", "0.4"), ("1", "10", "de", "de", "0.5")],
        2: [
            ("1", "10", "en", "de", "0.3"), ("1", "10", "de", "de", "0.5"),
            ("2", "20", "en", "de", "0.35"), ("2", "20", "de", "de", "0.5"),
            ("3", "30", "en", "de", "0.45"), ("3", "30", "de", "de", "0.5"),
        ],
    }  # fmt: skip


def test_a_trial_is_tried_again(search, tracker, capsys):
    search.start("a")
    search.report("a", 40.0)
    search.start("a")  # its process was lost, and Ray Tune has started another
    search.report("a", 40.0, 50.0)
    search.complete("a")
    search.end()
    (record,) = search.ledger.trials.values()
    assert (record.number, record.state, record.best) == (1, "finished", 50.0)
    assert children(tracker)["a"].info.status == "FINISHED"


def test_what_mlflow_missed_is_written_afterwards(search, tracker, capsys):
    for trial in "ab":
        search.start(trial)
        search.report(trial, 40.0)
    search.complete("a")
    search.lose("b", ValueError("broken"))
    search.end()
    other = Tracker.open(None, str(search.folder), "study")
    other.start_study("again", {}, {})
    for _ in range(2):
        for record in search.ledger.trials.values():
            replay(other, record, SEARCH)
    runs = children(other)
    assert {trial: run.data.tags["xmrc.state"] for trial, run in runs.items()} == {
        "a": "stopped", "b": "failed"
    }  # fmt: skip
    assert runs["a"].data.params["data.ntl"] == "1"
    assert points(other, "b") == [(1, 40.0)]


def test_a_silent_mlflow_is_named_once_while_the_search_goes_on(search, capsys, monkeypatch):
    search.start("a")
    with monkeypatch.context() as outage:
        for call in ("log_batch", "get_experiment"):
            outage.setattr(MlflowClient, call, unreachable)
        search.report("a", 40.0)
        search.report("a", 40.0, 50.0)
    printed = capsys.readouterr().out
    told = f"MLflow at {search.run.tracker.uri}: 1 writes wait: no route to host"
    assert printed.splitlines() == [told]
    search.end()
    assert search.ledger.trials["a"].best == 50.0


def unreachable(*arguments, **named):
    raise OSError("no route to host")


def test_causes_are_one_line_of_what_went_wrong_in_the_worker():
    inner = DivergedError("the loss must be finite,\n  got nan after 4 steps")
    assert cause_of(inner) == "DivergedError: got nan after 4 steps"
    wrapped = RayTaskError("train", "Traceback ...\n  many lines", inner)
    assert cause_of(wrapped) == "DivergedError: got nan after 4 steps"
    assert cause_of(wrapped.as_instanceof_cause()) == "DivergedError: got nan after 4 steps"
    group = RuntimeError("Training failed:\n  File ...\nxmrc.learning.loop.DivergedError: got nan")
    assert cause_of(group) == "DivergedError: got nan"
    assert cause_of(None) == "the trial's process was lost"
    assert cause_of(MemoryError()) == "MemoryError: no message"


def test_watched_answers_are_a_table_of_their_own(search, tracker, capsys):
    search.start("a")
    search.report("a", 40.0, 50.0)
    search.start("b")
    search.report("b", 30.0)
    search.begin()
    search.report("b", 30.0, 60.0)
    with open(search.folder / "watched.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0].items()) == list(
        {
            "trial": "1",
            "evaluation": "1",
            "epoch": "1.0",
            "step": "10",
            "id": "007",
            "question_language": "en",
            "context_language": "de",
            "rank": "1",
            "answer": ANSWER.replace("\ud800", "\\ud800"),
            "probability": "0.4",
            "em": "0.0",
            "f1": "50.0",
        }.items()
    )
    places = [(row["trial"], row["evaluation"], row["rank"]) for row in rows]
    assert places == [(t, e, r) for t in "12" for e in "12" for r in "12"]
    assert [row["probability"] for row in rows[::2]] == ["0.4", "0.5", "0.3", "0.6"]
    read = read_table(search.folder, "watched.csv")
    assert read["trial"].tolist() == [1] * 4 + [2] * 4
    assert read["id"].unique().tolist() == ["007"]
    answers = [text.encode("utf-8", "backslashreplace").decode() for text in read["answer"]]
    assert answers == [row["answer"] for row in rows]  # "" among them
    assert read["probability"].tolist() == [float(row["probability"]) for row in rows]


def test_a_confirmation_has_tables_of_its_own_and_without_reports_there_are_none(tmp_path):
    tables = ObservedTables.open(tmp_path, CONFIRMATION.tables)
    tables.put(1, {})
    assert list(tmp_path.iterdir()) == []
    tables.put(1, {"c_kl": [{"evaluation": 1, "epoch": 0.5, "step": 3, **EN_DE, "c_kl": 0.25}]})
    assert (tmp_path / "confirmation-c_kl.csv").read_text().splitlines() == [
        "trial,evaluation,epoch,step,question_language,context_language,c_kl",
        "1,1,0.5,3,en,de,0.25",
    ]
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == ["confirmation-c_kl.csv", "confirmation-observed"]
    tables.put(1, {})
    assert [path.name for path in tmp_path.iterdir()] == ["confirmation-observed"]


def test_what_a_training_reports_comes_to_the_tables(search, tracker, capsys, tmp_path):
    """A real one, of four reports; the third is the first that is heard after a kill."""
    (tmp_path / "job").mkdir()
    job = tiny_job(tmp_path, watch=("q1", "q3"), training={"epochs": 2})
    reports = run_job(job, Reports(tmp_path / "job")).reports
    search.begin()
    search.start("a")
    search.recorder.on_trial_result(0, [], named("a"), reports[0])
    search.begin()
    for report in reports[2:]:
        search.recorder.on_trial_result(0, [], named("a"), report)
    for name, key in (("pairs.csv", "pairs"), ("c_kl.csv", "c_kl"), ("watched.csv", "watched")):
        with open(search.folder / name, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        expected = [{"trial": 1, **row} for row in reports[-1]["observed"][key]]
        assert list(rows[0]) == list(expected[0])
        assert rows == [{name: str(value) for name, value in row.items()} for row in expected]
        assert {row["evaluation"] for row in rows} == {"1", "2", "3", "4"}
    assert len(rows) == 4 * 2 * 3 * 5  # evaluations, questions, pairs of one language, answers
