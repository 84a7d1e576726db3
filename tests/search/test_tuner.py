"""Trials on a real, small cluster: in their own process, on one worker, on two."""

import io
import time
from pathlib import Path

import pytest
import ray
from ray_here import CPUS
from rich.console import Console

from xmrc.files import read_document
from xmrc.learning.checkpoints import MODEL, Checkpoints
from xmrc.learning.history import HISTORY
from xmrc.learning.worker import WorkerResources, train_on_workers
from xmrc.search.corpora import study_corpora
from xmrc.search.observed import read_table
from xmrc.search.resources import cluster_nodes
from xmrc.search.run import open_run
from xmrc.search.tuner import search_trials
from xmrc.settings import load_study

RATE = "training.learning_rate"
YAML = """
name: trials
settings:
  encoder: demo
  base: null
  start_from_base: false
  data: {train: demo/train, select: demo/dev, languages: [en, es], ntl: 1, limit: 20,
         max_length: 128, max_question_tokens: 32, stride: 16}
  objective: {distill: {coefficient: map}}
  training: {epochs: 3, batch_size: 8, dropout: 0.0, precision: fp32}
space:
  training.learning_rate: {choice: [2e-3, 1e-3, 1e-9, 1e30]}
search: {trials: 3, evaluate_every: 1.0, reduction_factor: 2, max_failures: 1}
tracking: {watch: [demo-dev-00008]}
"""


class Search:
    """A search of three given learning rates, run to its end."""

    def __init__(self, folder: Path, rates, *overrides):
        path = folder / "trials.yaml"
        path.write_text(YAML)
        start = f"search.start_from=[{', '.join(f'{{{RATE}: {rate}}}' for rate in rates)}]"
        self.study = load_study(path, [f"storage={folder}", start, *overrides])
        corpora, console = study_corpora(self.study), Console(file=io.StringIO())
        with open_run(self.study, corpora, None, console) as run:
            run.start = run.prepared.encoder
            self.tracker, self.folder, self.fit = run.tracker, run.folder, run.fit
            self.job = run.job(None)
            self.ledger = search_trials(run, self.job)
        self.by_rate = {one.values[RATE]: one for one in self.ledger.trials.values()}

    def table(self, name, rate):
        """The rows of one trial."""
        rows = read_table(self.folder.path, name)
        return rows[rows["trial"] == self.by_rate[rate].number].to_dict("records")

    def mlflow(self, rate):
        return self.tracker.client.get_run(self.tracker.run_id(self.by_rate[rate].id))


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    return tmp_path_factory.mktemp("trials")


@pytest.fixture(scope="module")
def alone(cluster, storage):
    """Trials in their own processes; the last of them cannot be trained."""
    return Search(storage, ["2e-3", "1e-3", "1e30"], "search.scheduler=none")


@pytest.fixture(scope="module")
def in_pairs(cluster, storage):
    """Trials of two workers, which leave room for one trial at a time; the later learn nothing."""
    return Search(storage, ["2e-3", "1e-9", "1e-9"], "resources.workers=2", "search.grace=1")


def test_the_cluster_is_the_small_one(cluster):
    (node,) = cluster_nodes()
    assert (node.cpus, node.gpus) == (CPUS, 0.0)


def test_trials_run_in_their_own_processes(alone):
    assert (alone.fit.at_once, alone.fit.trial.workers) == (2, 1)
    first, second = alone.by_rate[2e-3], alone.by_rate[1e-3]
    for record in (first, second):
        assert (record.state, record.evaluations, len(record.history)) == ("finished", 3, 3)
        assert [row["epoch"] for row in record.history] == [1.0, 2.0, 3.0]
        assert record.best == max(row["gxlt_f1"] for row in record.history)
        assert {"loss", "loss_span", "loss_kl", "c_kl", "xlt_f1"} <= record.history[0].keys()
    assert first.history[-1]["loss"] < first.history[0]["loss"]
    assert first.history != second.history


def test_a_checkpoint_is_that_of_the_best_evaluation(alone):
    record = alone.ledger.ranking[0]
    checkpoint = alone.folder.path / record.checkpoint
    history = read_document(checkpoint / HISTORY)
    assert history[-1]["gxlt_f1"] == record.best
    assert history == record.history[: len(history)]
    assert (checkpoint / MODEL / "model.safetensors").exists()
    assert [path.name for path in checkpoint.parent.glob("check*")] == [checkpoint.name]
    assert not (checkpoint / "state").exists(), "nobody goes on from it"


def check_observed(search):
    """The tables have every evaluation of a trial in every language pair, and MLflow has them."""
    pairs = {(asked, told) for asked in ("en", "es") for told in ("en", "es")}
    for name, per_pair in (("pairs.csv", 1), ("c_kl.csv", 1), ("watched.csv", 5)):
        rows = search.table(name, 2e-3)
        assert [row["evaluation"] for row in rows] == [
            number for number in (1, 2, 3) for _ in range(len(pairs) * per_pair)
        ]
        assert {(row["question_language"], row["context_language"]) for row in rows} == pairs
    assert {row["id"] for row in search.table("watched.csv", 2e-3)} == {"demo-dev-00008"}
    search.tracker.close()
    files = search.tracker.client.list_artifacts(search.tracker.run_id())
    assert {"pairs.csv", "c_kl.csv", "watched.csv"} <= {file.path for file in files}


def test_what_trials_observe_is_in_tables_of_the_study_and_in_mlflow(alone):
    check_observed(alone)


@pytest.mark.studies
def test_two_workers_observe_the_same(alone, in_pairs):
    check_observed(in_pairs)
    both = (search.table("c_kl.csv", 2e-3) for search in (alone, in_pairs))
    for one, two in zip(*both, strict=True):
        assert one["c_kl"] == pytest.approx(two["c_kl"], rel=1e-2)


def test_a_trial_that_diverges_fails_alone(alone):
    broken = alone.by_rate[1e30]
    assert broken.state == "failed"
    assert broken.cause.startswith("DivergedError: the loss must be finite, got nan after ")
    assert broken.reported == [], "it was not tried again"
    assert [one.state for one in alone.ledger.ranking] == ["finished", "finished"]
    run = alone.mlflow(1e30)
    assert (run.info.status, run.data.tags["xmrc.state"]) == ("FAILED", "failed")
    assert run.data.tags["xmrc.cause"] == broken.cause
    assert alone.mlflow(2e-3).data.tags["xmrc.state"] == "finished"


def test_a_group_of_one_worker_gives_the_very_same(alone, storage):
    job = alone.job.with_values({RATE: 2e-3})
    checkpoints = Checkpoints(storage / "group", job.metric)
    train_on_workers(job, WorkerResources(1, 1.0, 0.0), checkpoints, name="group")
    newest = checkpoints.newest()
    assert newest is not None
    assert read_document(newest / HISTORY) == alone.by_rate[2e-3].history


@pytest.mark.studies
def test_two_workers_give_the_same_within_tolerance(alone, in_pairs):
    assert (in_pairs.fit.at_once, in_pairs.fit.trial.workers) == (1, 2)
    one, two = alone.by_rate[2e-3], in_pairs.by_rate[2e-3]
    assert two.state == "finished"
    for row, other in zip(one.history, two.history, strict=True):
        assert {row[key] for key in ("evaluation", "epoch", "step")} == {
            other[key] for key in ("evaluation", "epoch", "step")
        }
        for part in ("loss", "loss_span", "loss_kl", "c_kl"):
            assert row[part] == pytest.approx(other[part], rel=1e-3)
        assert row["gxlt_f1"] == pytest.approx(other["gxlt_f1"], abs=3.0)


@pytest.mark.studies
def test_stopped_trials_free_their_workers_for_the_next(in_pairs):
    """Two in a row: whoever did not give back both CPUs would let the next one wait for ever."""
    first, second, third = in_pairs.ledger.trials.values()
    assert [one.state for one in (first, second, third)] == ["finished", "stopped", "stopped"]
    assert [len(one.history) for one in (second, third)] == [1, 1]
    assert "behind the others" in second.cause
    states = {in_pairs.mlflow(rate).info.status for rate in (2e-3, 1e-9)}
    assert states == {"FINISHED", "KILLED"}
    history = read_document(in_pairs.folder.path / first.checkpoint / HISTORY)
    assert history[-1]["gxlt_f1"] == first.best


def test_nothing_holds_the_cluster_afterwards(alone):
    check_free()


@pytest.mark.studies
def test_two_workers_let_go_of_the_cluster_too(in_pairs):
    check_free()


def check_free():
    free = {}
    for _ in range(150):
        free = ray.available_resources()
        if free.get("CPU") == CPUS:
            break
        time.sleep(0.2)
    assert free["CPU"] == CPUS
