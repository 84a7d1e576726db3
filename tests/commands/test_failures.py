"""Trials that cannot be trained: each is tried once, and a search that only fails ends.

One that only lacks memory is trained in smaller pieces.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from command_runs import Done, Storage, module, run, settings
from ray_here import a_home

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

PLUGIN = """
from pathlib import Path

from xmrc.learning.terms import SpanLoss, register_span_loss
from xmrc.settings.fields import Section

TRIES = Path(__file__).with_name("tries.txt")


class BrokenSettings(Section):
    text: str = "a"


@register_span_loss("broken", BrokenSettings)
class Broken(SpanLoss):
    def losses(self, log_prob_BZ, answers):
        with TRIES.open("a") as file:
            file.write("tried\\n")
        raise ValueError("this loss has a mistake")
"""
HUNGRY = """
import os

import torch
from xmrc.learning.terms import SpanLoss, register_span_loss
from xmrc.settings.fields import Section

MEMORY = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


class HungrySettings(Section):
    share: float = 0.3


@register_span_loss("hungry", HungrySettings)
class Hungry(SpanLoss):
    def losses(self, log_prob_BZ, answers):
        if torch.distributed.get_rank() == 1:
            torch.empty(int(self.settings.share * MEMORY) * len(log_prob_BZ), dtype=torch.uint8)
        return -log_prob_BZ[:, 0] / 2
"""
YAML = """
name: broken
storage: {home}/runs
plugins: [{home}/broken_loss.py, {home}/hungry_loss.py]
settings:
  encoder: demo
  base: null
  start_from_base: false
  data: {{train: demo/train, select: demo/dev, languages: [en, es], ntl: 1, limit: 6,
          max_length: 128, max_question_tokens: 32, stride: 16}}
  objective: {{span: broken}}
space:
  training.learning_rate: {{log_float: [5e-4, 3e-3]}}
search: {{trials: 6, max_failures: 3}}
"""


@pytest.fixture
def home() -> Iterator[Path]:
    with a_home() as home:
        (home / "broken_loss.py").write_text(PLUGIN)
        (home / "hungry_loss.py").write_text(HUNGRY)
        (home / "broken.yaml").write_text(YAML.format(home=home))
        yield home


def searched(home: Path, *overrides: str, resume: bool = False) -> Done:
    words = module("tune", "--space", str(home / "broken.yaml"), *settings(*overrides))
    return run([*words, "--resume"] if resume else words, home)


def tries(home: Path) -> int:
    return len((home / "tries.txt").read_text().splitlines())


def test_a_mistake_is_not_repeated_and_a_search_that_only_fails_ends(home: Path) -> None:
    """Of six trials a third may fail, which is two; the third ends it. One at a time here."""
    for resume in (False, True):
        done = searched(home, "resources.cpus_per_worker=2", resume=resume)
        assert done.code == 2
        assert done.err.splitlines() == [
            "error: broken: 3 of 6 trials failed, and search.max_failed_trials allows 2: "
            "ValueError: this loss has a mistake"
        ]
        trials = Storage(home / "runs").trials("broken")
        assert [one["state"] for one in trials] == ["failed"] * 3
        assert tries(home) == 3
        (parent,) = Storage(home / "runs").parents("broken")
        assert parent.info.status == "FAILED"


def test_a_mistake_on_two_workers_is_not_repeated_either(home: Path) -> None:
    done = searched(home, "resources.workers=2", "search.trials=1")
    assert done.code == 2
    (trial,) = Storage(home / "runs").trials("broken")
    assert (trial["state"], trial["cause"]) == ("failed", "ValueError: this loss has a mistake")
    assert "ValueError: this loss has a mistake" in done.err
    assert 1 <= tries(home) <= 2  # one for each worker that came as far


@pytest.mark.skipif(
    Path("/proc/sys/vm/overcommit_memory").read_text().strip() == "1",
    reason="this system refuses no memory",
)
def test_memory_that_runs_out_on_one_of_two_workers_changes_no_loss(home: Path) -> None:
    """It is refused there to more than three windows, three tenths of the machine's to each."""
    found = {}
    for loss in ("ce", "hungry"):
        done = searched(
            home, f"settings.objective.span={loss}", f"storage={home / loss}", "search.trials=1",
            "settings.training={epochs: 2, batch_size: 8, dropout: 0.0, precision: fp32}",
            "resources.workers=2",
        )  # fmt: skip
        assert (done.code, done.err) == (0, "")
        (trial,) = Storage(home / loss).trials("broken")
        assert trial["state"] == "finished", trial["cause"]
        found[loss] = trial["history"]
    assert "max_tokens" not in found["ce"][-1]
    assert found["hungry"][-1]["max_tokens"] < 8 * 128
    for row, wanted in zip(found["hungry"], found["ce"], strict=True):
        assert row["loss"] == pytest.approx(wanted["loss"], rel=1e-5)
