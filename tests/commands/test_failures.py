"""Trials that cannot be trained: each is tried once, and a search that only fails ends."""

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
YAML = """
name: broken
storage: {home}/runs
plugins: [{home}/broken_loss.py]
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
        (home / "broken.yaml").write_text(YAML.format(home=home))
        yield home


def searched(home: Path, *overrides: str) -> Done:
    words = module("tune", "--space", str(home / "broken.yaml"), *settings(*overrides))
    return run(words, home)


def tries(home: Path) -> int:
    return len((home / "tries.txt").read_text().splitlines())


def test_a_mistake_is_not_repeated_and_a_search_that_only_fails_ends(home: Path) -> None:
    """Of six trials a third may fail, which is two; the third ends it. One at a time here."""
    done = searched(home, "resources.cpus_per_worker=2")
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
