"""Memory that really runs out: the step is repeated in smaller micro-batches, and is the same.

Each window of a pass asks the system for two fifths of its memory, which it touches no byte of:
two are granted and three are refused.
"""

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from hungry_reader import HungryReader
from tiny_training import (
    AA_CL,
    CE,
    JOINT,
    SKD_MAP,
    Setting,
    make_folder,
    no_metrics,
    outcome_of,
    run_alone,
    tiny_training,
)
from torch import nn

from xmrc.data.features import Batch
from xmrc.learning.loop import Evaluation
from xmrc.learning.memory import MemoryExceededError, halved, looking_at_memory
from xmrc.learning.step import Worker
from xmrc.settings import ObjectiveSettings, TrainingSettings

OVERCOMMIT = Path("/proc/sys/vm/overcommit_memory").read_text().strip()
pytestmark = pytest.mark.skipif(OVERCOMMIT == "1", reason="this system refuses no memory")

MEMORY = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")  # bytes
SHARE = int(0.4 * MEMORY)
TRAINING = TrainingSettings(epochs=2, batch_size=4, learning_rate=2e-2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("memory"))


@pytest.mark.parametrize("objective", [CE, SKD_MAP, AA_CL, JOINT], ids=["ce", "skd", "aa", "joint"])
def test_the_training_is_that_of_a_machine_with_more_memory(
    objective: ObjectiveSettings, folder: Path
) -> None:
    """Every loss of every step, c_kl of each language pair, weights and theta."""
    setting = Setting(objective, TRAINING, evaluate_every=1 / 3, windows=9)
    expected = run_alone(folder, setting)
    hungry: list[HungryReader] = []

    def wrap(module: nn.Module) -> nn.Module:
        hungry.append(HungryReader(module, SHARE))
        return hungry[0]

    run, heard = tiny_training(folder, setting, wrap=wrap), list[Evaluation]()
    run.fit(no_metrics, heard.append)
    assert hungry[0].refused > 0
    assert run.max_tokens is not None
    assert heard[-1].metrics["max_tokens"] == run.max_tokens
    found = outcome_of(run, heard)
    for row, wanted in zip(found.history, expected.history, strict=True):
        assert {name: row[name] for name in wanted} == pytest.approx(wanted, abs=1e-9)
    for name, weight in expected.weights.items():
        torch.testing.assert_close(found.weights[name], weight, rtol=0, atol=1e-9)


def test_one_window_that_does_not_fit_is_named(folder: Path) -> None:
    setting = Setting(CE, TRAINING, evaluate_every=1.0, windows=9)
    run = tiny_training(folder, setting, wrap=lambda module: HungryReader(module, 3 * SHARE))
    with pytest.raises(MemoryExceededError, match=r"^memory: one window of \d+ tokens must fit"):
        run.fit(no_metrics, [].append)


def batch_of(windows: int, tokens: int) -> Any:
    class Sized:
        input_ids_BL = torch.zeros(windows, tokens)

        def __len__(self) -> int:
            return windows

    return Sized()


def test_among_workers_all_begin_the_step_anew_with_half() -> None:
    batches: list[Batch] = [batch_of(3, 10), batch_of(2, 40)]
    assert halved(batches, Worker()) == 40
    with pytest.raises(MemoryExceededError) as caught:
        halved(batches, Worker(1, 2))
    again = pickle.loads(pickle.dumps(caught.value))  # it travels from the worker to its driver
    assert (str(again), again.max_tokens) == (str(caught.value), 40)
    with pytest.raises(MemoryExceededError) as caught:
        halved([batch_of(1, 40)], Worker(1, 2))
    assert caught.value.max_tokens is None


def test_any_other_error_is_itself() -> None:
    with pytest.raises(RuntimeError, match="shapes do not fit"), looking_at_memory():
        raise RuntimeError("shapes do not fit")
