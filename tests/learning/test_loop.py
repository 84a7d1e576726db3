"""Training against the same written out by hand: evaluations, optimiser, resuming, determinism."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from plain_training import train_plainly
from tiny_training import (
    CE,
    SKD_EQ_5,
    SKD_MAP,
    SKD_NUMBER,
    SKD_PER_EXAMPLE,
    Outcome,
    Setting,
    make_folder,
    no_metrics,
    outcome_of,
    run_alone,
    tiny_reader,
    tiny_training,
    tiny_windows,
)
from torch import nn

from xmrc.data.batches import epoch_batches
from xmrc.errors import XmrcError
from xmrc.learning.loop import DivergedError, Evaluation, evaluation_steps
from xmrc.learning.terms import DistillSettings
from xmrc.settings import ObjectiveSettings, TrainingSettings

TRAINING = TrainingSettings(epochs=2, batch_size=4, learning_rate=2e-2)
EVERY_STEP = 1 / 3  # of the epochs of 9 windows, 4 at a time
PLAIN = Setting(CE, TRAINING, EVERY_STEP, windows=9)
NOISY = Setting(
    ObjectiveSettings(distill=DistillSettings()),
    TrainingSettings(epochs=3, batch_size=2, learning_rate=5e-3, warmup=0.2, weight_decay=0.1),
    evaluate_every=0.5,
    windows=9,
    dropout=0.2,
    dtype=torch.float32,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("training"))


def with_training(setting: Setting, **changes: Any) -> Setting:
    return replace(setting, training=setting.training.model_copy(update=changes))


def assert_same(first: Outcome, second: Outcome) -> None:
    """To the last bit."""
    assert first.history == second.history
    assert first.weights.keys() == second.weights.keys()
    for name, weight in first.weights.items():
        assert torch.equal(weight, second.weights[name]), name


# A step


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"warmup": 0.4},
        {"clip": 0.05},
        {"clip": None},
        {"weight_decay": 0.5},
        {"warmup": 0.2, "clip": 0.3, "weight_decay": 0.1, "epochs": 3, "seed": 11},
    ],
    ids=str,
)
def test_training_is_adamw_over_the_mean_of_the_windows(
    changes: dict[str, Any], folder: Path
) -> None:
    assert_like_plain_training(with_training(PLAIN, **changes), folder)


def by_pair(row: dict[str, float]) -> dict[str, float]:
    """c_kl of each pair of languages that had a window."""
    return {name: value for name, value in row.items() if name.startswith("c_kl ")}


@pytest.mark.parametrize(
    "objective",
    [SKD_NUMBER, SKD_MAP, SKD_EQ_5, SKD_PER_EXAMPLE],
    ids=["number", "map", "eq_5", "per_example"],
)
def test_training_distils_from_the_student_of_the_epochs_start(
    objective: ObjectiveSettings, folder: Path
) -> None:
    setting = replace(with_training(PLAIN, epochs=3), objective=objective)
    assert_like_plain_training(setting, folder)


def assert_like_plain_training(setting: Setting, folder: Path) -> None:
    reader = tiny_reader().double()
    expected = train_plainly(reader, tiny_windows(folder, setting.windows), setting)
    found = run_alone(folder, setting)
    assert len(found.history) == len(expected)
    for row, parts in zip(found.history, expected, strict=True):
        assert {name: row[name] for name in parts} == pytest.approx(parts, abs=1e-9)
        assert by_pair(row).keys() == by_pair(parts).keys()
    for name, weight in reader.named_parameters():
        torch.testing.assert_close(found.weights[name], weight.data, rtol=0, atol=1e-9)


def test_biases_and_norms_do_not_decay(folder: Path) -> None:
    once = with_training(replace(PLAIN, evaluate_every=1.0), epochs=1, batch_size=9)
    still = run_alone(folder, once).weights
    decayed = run_alone(folder, with_training(once, weight_decay=0.5)).weights
    start = dict(tiny_reader().double().named_parameters())
    for name, weight in still.items():
        plain = name.endswith("bias") or "LayerNorm" in name
        shrunk = weight if plain else weight - 2e-2 * 0.5 * start[name].data
        torch.testing.assert_close(decayed[name], shrunk, rtol=0, atol=1e-12)


def test_training_lowers_the_loss(folder: Path) -> None:
    outcome = run_alone(folder, with_training(replace(PLAIN, evaluate_every=1.0), epochs=30))
    losses = [row["loss"] for row in outcome.history]
    assert losses[0] > 2.0
    assert losses[-1] < 0.1


# Evaluations


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        (1.0, [5, 10, 15]),
        (0.5, [2, 5, 8, 10, 12, 15]),
        (0.4, [2, 4, 6, 8, 10, 12, 14, 15]),
        (2.0, [10, 15]),
        (7.0, [15]),
        (0.01, list(range(1, 16))),
    ],
)
def test_evaluations_come_every_so_many_epochs_and_at_the_end(
    every: float, expected: list[int]
) -> None:
    assert evaluation_steps(5, 3, every) == expected


def test_tenths_of_epochs_are_not_lost_to_rounding() -> None:
    assert evaluation_steps(10, 3, 0.1) == list(range(1, 31))


def test_an_evaluation_reports_means_since_the_last_one(folder: Path) -> None:
    by_step = run_alone(folder, with_training(PLAIN, epochs=3)).history
    setting = replace(with_training(PLAIN, epochs=3), evaluate_every=0.5)
    seldom = run_alone(folder, setting).history
    assert [row["step"] for row in seldom] == [2, 3, 4, 6, 8, 9]
    assert [row["number"] for row in seldom] == [1, 2, 3, 4, 5, 6]
    assert [row["epoch"] for row in seldom] == pytest.approx([2 / 3, 1, 4 / 3, 2, 8 / 3, 3])
    since = 0
    for row in seldom:
        losses = [each["loss"] for each in by_step[since : row["step"]]]
        assert row["loss"] == pytest.approx(sum(losses) / len(losses), abs=1e-12)
        since = row["step"]


def test_c_kl_of_a_pair_is_the_mean_over_its_windows_since_the_last_evaluation(
    folder: Path,
) -> None:
    every_step = replace(with_training(PLAIN, epochs=3), objective=SKD_MAP)
    by_step = run_alone(folder, every_step).history
    windows = tiny_windows(folder, 9)
    batches = [
        [windows.examples[windows.example[row]] for row in rows]
        for epoch in range(3)
        for rows in epoch_batches(windows.lengths, 4, seed=TRAINING.seed, epoch=epoch)
    ]
    counts = [
        Counter(f"c_kl {one.question_language}-{one.context_language}" for one in batch)
        for batch in batches
    ]
    since = 0
    for row in run_alone(folder, replace(every_step, evaluate_every=0.75)).history:
        steps = range(since, row["step"])
        sums = {
            name: sum(counts[step][name] * by_step[step].get(name, 0.0) for step in steps)
            for name in sum((counts[step] for step in steps), Counter())
        }
        expected = {
            name: total / sum(counts[step][name] for step in steps) for name, total in sums.items()
        }
        assert by_pair(row) == pytest.approx(expected, abs=1e-12)
        since = row["step"]


def test_validation_reads_the_reader_and_its_metrics_are_reported(folder: Path) -> None:
    training = tiny_training(folder, replace(PLAIN, evaluate_every=1.0))
    seen: list[float] = []

    def validate(reader: nn.Module) -> dict[str, float]:
        assert reader is training.model
        reader.eval()  # as prediction does; training goes on in training mode
        torch.rand(7)  # what it draws changes nothing
        seen.append(next(reader.parameters()).sum().item())
        return {"gxlt_f1": float(len(seen))}

    evaluations: list[Evaluation] = []
    training.fit(validate, evaluations.append)
    assert [each.metrics["gxlt_f1"] for each in evaluations] == [1.0, 2.0]
    assert seen[0] != seen[1]


def test_validation_disturbs_no_dropout(folder: Path) -> None:
    plain = run_alone(folder, NOISY)
    training, evaluations = tiny_training(folder, NOISY), list[Evaluation]()

    def validate(reader: nn.Module) -> dict[str, float]:
        reader.eval()
        torch.rand(7)
        return {}

    training.fit(validate, evaluations.append)
    assert_same(outcome_of(training, evaluations), plain)


# Going on


class StoppedError(Exception):
    """The process is gone."""


@pytest.mark.parametrize("stop", [1, 2, 3, 5, 6])
def test_a_run_that_was_stopped_and_resumed_is_the_same_run(
    stop: int, folder: Path, tmp_path: Path
) -> None:
    """With dropout, in the middle of a generation, at its end, and after the last step."""
    whole = run_alone(folder, NOISY)
    assert [row["step"] for row in whole.history] == [2, 5, 8, 10, 12, 15]
    heard: list[Evaluation] = []

    def write_and_stop(evaluation: Evaluation) -> None:
        heard.append(replace(evaluation, state={}))
        if evaluation.number == stop:
            torch.save(evaluation.state, tmp_path / "state.pt")
            torch.save(stopped.model.state_dict(), tmp_path / "reader.pt")
            raise StoppedError

    stopped = tiny_training(folder, NOISY)
    with pytest.raises(StoppedError):
        stopped.fit(no_metrics, write_and_stop)
    resumed = tiny_training(folder, NOISY, reader_seed=99)
    resumed.model.load_state_dict(torch.load(tmp_path / "reader.pt", weights_only=True))
    resumed.restore(torch.load(tmp_path / "state.pt", weights_only=True))
    torch.rand(3)  # another process has other random numbers behind it
    resumed.fit(no_metrics, heard.append)
    assert_same(outcome_of(resumed, heard), whole)


# Determinism


def test_the_same_seed_is_the_same_run_whatever_was_drawn_before(folder: Path) -> None:
    torch.manual_seed(1)
    first = run_alone(folder, NOISY)
    torch.manual_seed(2)
    assert_same(run_alone(folder, NOISY), first)


def test_another_seed_is_another_order(folder: Path) -> None:
    histories = [run_alone(folder, with_training(PLAIN, seed=seed)).history for seed in (3, 4)]
    assert histories[0] != histories[1]


def test_noise_differs_from_seed_to_seed_and_from_step_to_step(folder: Path) -> None:
    """One window, and a reader that stays as it is: only dropout can make its losses differ."""
    still = with_training(PLAIN, epochs=4, batch_size=1, learning_rate=1e-30)
    one_window = replace(still, windows=1, dropout=0.3, evaluate_every=1.0)
    outcomes = [run_alone(folder, with_training(one_window, seed=seed)) for seed in (3, 4)]
    losses = [row["loss"] for outcome in outcomes for row in outcome.history]
    assert len(set(losses)) == 8


# Failing


def test_a_loss_that_is_no_number_ends_the_run(folder: Path) -> None:
    training = tiny_training(folder, with_training(PLAIN, learning_rate=1e300, clip=None))
    heard: list[Evaluation] = []
    with pytest.raises(DivergedError, match=r"must be finite, got nan after \d steps") as caught:
        training.fit(no_metrics, heard.append)
    assert isinstance(caught.value, XmrcError)
    assert all(math.isfinite(each.metrics["loss"]) for each in heard)
