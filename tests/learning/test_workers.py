"""A batch is a batch: the same step on one worker, on two, and in micro-batches of any size.

The workers are real processes with real collectives. Nine windows, four at a time: one batch holds
a single window, so that one of two workers has nothing but a filler row.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_jobs import Recorder, quiet_job, run_job, run_job_on_worker
from tiny_training import (
    AA_CL,
    CE,
    CONTRAST_ALONE,
    HL,
    JOINT,
    SKD_MAP,
    SKD_NUMBER,
    SKD_PER_EXAMPLE,
    Outcome,
    Setting,
    make_folder,
    on_workers,
    run_alone,
    run_on_worker,
    sum_and_gather,
    tiny_training,
    tiny_windows,
)
from torch import nn

from xmrc.data.batches import epoch_batches, micro_batches, shard
from xmrc.learning.step import Worker
from xmrc.learning.terms import DistillSettings
from xmrc.settings import ObjectiveSettings, TrainingSettings

pytestmark = pytest.mark.studies

EVERY_STEP = 1 / 3  # of an epoch
TRAINING = TrainingSettings(epochs=2, batch_size=4, learning_rate=2e-2, weight_decay=0.1)
PRECISION = ObjectiveSettings(
    distill=DistillSettings(coefficient="map", variant="average_precision", divergence="symmetric")
)
OBJECTIVES = {
    "ce": CE,
    "mml": HL.model_copy(update={"span": "mml"}),
    "hard_em": HL.model_copy(update={"span": "hard_em"}),
    "hl": HL,
    "number": SKD_NUMBER,
    "map": SKD_MAP,
    "average_precision": PRECISION,
    "per_example": SKD_PER_EXAMPLE,
    "aa_cl": AA_CL,
    "contrast alone": CONTRAST_ALONE,
    "joint": JOINT,
}
MAX_TOKENS = {"whole": None, "two": 80, "four": 1, "uneven": 60}  # of a micro-batch
PIECES = {"two": 2, "four": 4}  # of a batch of four windows, on one worker
CASES = [(objective, size) for objective in OBJECTIVES for size in MAX_TOKENS]


def setting(objective: str, size: str = "whole") -> Setting:
    training = TRAINING.model_copy(update={"max_tokens": MAX_TOKENS[size]})
    return Setting(OBJECTIVES[objective], training, EVERY_STEP, windows=9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("workers"))


@pytest.fixture(scope="module")
def alone(folder: Path) -> dict[str, Outcome]:
    """One worker, batches undivided."""
    return {objective: run_alone(folder, setting(objective)) for objective in OBJECTIVES}


@pytest.fixture(scope="module")
def results(folder: Path) -> list[list[Any]]:
    """All that two workers are asked to do here, in the order of these tasks, by rank."""
    tasks = [partial(run_on_worker, folder, setting(*case)) for case in CASES]
    quiet_job(folder)  # writes what the job starts from: among workers, rank 0 alone saves models
    return on_workers(folder, [*tasks, sum_and_gather, partial(run_job_on_worker, folder)], 2)


@pytest.fixture(scope="module")
def on_two(results: list[list[Any]]) -> list[dict[tuple[str, str], Outcome]]:
    """Trainings on two workers, with whole and with divided shares; by rank."""
    return [dict(zip(CASES, of_rank, strict=False)) for of_rank in results]


def assert_same_steps(found: Outcome, expected: Outcome) -> None:
    """Every part of the loss at every step, the last gradient, the weights after all steps."""
    assert len(found.history) == len(expected.history) == 6
    for row, wanted in zip(found.history, expected.history, strict=True):
        assert row == pytest.approx(wanted, abs=1e-9)
    assert found.gradients.keys() == expected.gradients.keys()
    for name, gradient in expected.gradients.items():
        torch.testing.assert_close(found.gradients[name], gradient, rtol=0, atol=1e-9)
    for name, weight in expected.weights.items():
        torch.testing.assert_close(found.weights[name], weight, rtol=0, atol=1e-9)


def test_the_divisions_are_what_they_are_called(folder: Path) -> None:
    windows = tiny_windows(folder, 9)
    for epoch in range(TRAINING.epochs):
        batches = epoch_batches(windows.lengths, 4, seed=TRAINING.seed, epoch=epoch)
        assert sorted(len(batch) for batch in batches) == [1, 4, 4]
        for batch in batches:
            assert len(shard(batch, 1, 2)) == len(batch) // 2
            for size, count in PIECES.items():
                if len(batch) == 4:
                    assert len(micro_batches(batch, windows.lengths, MAX_TOKENS[size])) == count
        assert (1, 2) in [
            tuple(
                len(micro_batches(shard(batch, rank, 2), windows.lengths, MAX_TOKENS["uneven"]))
                for rank in (0, 1)
            )
            for batch in batches
        ]  # pieces of the two workers


@pytest.mark.parametrize("size", list(PIECES))
@pytest.mark.parametrize("objective", list(OBJECTIVES))
def test_micro_batches_make_the_same_step(
    objective: str, size: str, alone: dict[str, Outcome], folder: Path
) -> None:
    assert_same_steps(run_alone(folder, setting(objective, size)), alone[objective])


@pytest.mark.parametrize(("objective", "size"), CASES)
def test_two_workers_make_the_same_step(
    objective: str,
    size: str,
    alone: dict[str, Outcome],
    on_two: list[dict[tuple[str, str], Outcome]],
) -> None:
    for of_rank in on_two:
        assert_same_steps(of_rank[objective, size], alone[objective])
    first, second = (of_rank[objective, size] for of_rank in on_two)
    assert first.history == second.history  # what rank 0 reports is everybody's
    for name, weight in first.weights.items():
        assert torch.equal(weight, second.weights[name])


def test_the_reader_moved(alone: dict[str, Outcome]) -> None:
    """Else all of the above would hold of a training that does nothing."""
    weights = [outcome.weights["qa_outputs.weight"] for outcome in alone.values()]
    for number, weight in enumerate(weights):
        assert all(not torch.allclose(weight, other) for other in weights[:number])


def test_other_noise_on_each_worker(folder: Path) -> None:
    """Dropout drawn alike on all workers would be half the noise."""
    draws: list[list[float]] = []

    def validate(reader: nn.Module) -> dict[str, float]:
        draws.append(torch.rand(3).tolist())  # the first of the noise: there is no dropout
        return {}

    once = replace(setting("ce"), evaluate_every=float(TRAINING.epochs))
    for rank in (0, 1):
        tiny_training(folder, once, worker=Worker(rank, 2)).fit(validate, [].append)
    assert draws[0] != draws[1]


def test_sums_and_lists_are_over_all_workers_and_alone_the_worker_itself(
    results: list[list[Any]],
) -> None:
    for of_rank in results:
        total, own, everybody = of_rank[-2]
        assert total.item() == 1.0 + 2.0
        assert everybody == [{"rank": 0}, {"rank": 1}]
    assert [of_rank[-2][1].item() for of_rank in results] == [1.0, 2.0]  # the part stays a part
    total, own, everybody = sum_and_gather(Worker())
    assert total.item() == own.item() == 1.0
    assert everybody == [{"rank": 0}]


def test_a_job_on_two_workers_reports_what_one_does(
    results: list[list[Any]], folder: Path, tmp_path: Path
) -> None:
    """In float32, so to its rounding; without dropout; each worker reads half of the selection."""
    first, second = (of_rank[-1] for of_rank in results)
    assert first.reports == second.reports
    assert all(path is not None for path in first.kept)
    assert second.kept == [None] * len(first.kept)
    alone = run_job(quiet_job(folder), Recorder(tmp_path))
    for found, expected in zip(
        first.reports[-1]["history"], alone.reports[-1]["history"], strict=True
    ):
        assert found == pytest.approx(expected, abs=1e-3)
    found, expected = (one.reports[0]["observed"] for one in (first, alone))
    for table, value in (("c_kl", "c_kl"), ("watched", "probability")):
        for one, wanted in zip(found[table], expected[table], strict=True):
            place = ("id", "evaluation", "question_language", "context_language", "rank")
            assert [one.get(name) for name in place] == [wanted.get(name) for name in place]
            assert one[value] == pytest.approx(wanted[value], abs=1e-3)
