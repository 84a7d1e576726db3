"""A storage that is moved while it holds a study that has ended and one that was told to end."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command_runs import REPOSITORY, Done, Running, Storage, module, run, settings
from ray_here import a_home

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

YAML = """
name: tiny
settings:
  encoder: demo
  base: null
  start_from_base: false
  data: {train: demo/train, select: demo/dev, languages: [en, es], ntl: 1, limit: 8,
         max_length: 128, max_question_tokens: 32, stride: 16}
  training: {epochs: 2, batch_size: 8, learning_rate: 2e-3, dropout: 0.0}
search: {trials: 1, scheduler: none, evaluate_every: 1.0}
resources: {cpus_per_worker: 1}
"""
LONGER = settings("name=half", "settings.training.epochs=20", "tracking.register_as=half")
MODEL = ["--model", "models:/xmrc-gxlt@champion"]
ASKED = ["--question", "Who lives in Rome?", "--context", "Ada lives in Rome."]


@dataclass
class Story:
    """What was written at one place, and what commands said when it was at another."""

    old: Path
    storage: Storage  # at its new place
    at_sigterm: list[dict[str, Any]]  # the ledger of the study that was told to end
    report: Done
    answer: Done
    evaluate: Done
    resumed: Done


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    with a_home() as home, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(REPOSITORY))
        yield told(home)


def told(home: Path) -> Story:
    file, old, new = home / "tiny.yaml", home / "here" / "runs", home / "there" / "our runs"
    file.write_text(YAML)
    for folder in (old.parent, new.parent):
        folder.mkdir()
    tune = module("tune", "--space", str(file))
    done = run(tune, home, cwd=old.parent)
    assert done.code == 0, done.err
    half, begun = Running([*tune, *LONGER], home, cwd=old.parent), Storage(old)
    half.wait_until(lambda: [one for one in begun.trials("half") if len(one["history"]) > 1])
    stopped = half.kill(signal.SIGTERM)
    assert stopped.code == 143, stopped.err
    at_sigterm = begun.trials("half")
    os.rename(old, new)

    def there(name: str, *options: str) -> Done:
        return run(module(name, *options), home, cwd=new.parent)

    place = ["--storage", "our runs"]
    corpus = ["--corpus", "demo/dev", "--languages", "en", "--out", "read"]
    run_name = Storage(new).folder("half").name
    return Story(
        old,
        Storage(new),
        at_sigterm,
        there("report", "--study", "tiny", *place),
        there("answer", *MODEL, *ASKED, *place),
        there("evaluate", *MODEL, *corpus, *place),
        there("tune", "--space", str(file), *LONGER, *settings("storage=our runs"),
              "--resume", run_name),
    )  # fmt: skip


@pytest.mark.parametrize("command", ["report", "answer", "evaluate", "resumed"])
def test_every_command_works_at_the_new_place(story: Story, command: str) -> None:
    done: Done = getattr(story, command)
    assert (done.code, done.err) == (0, "")


def test_the_interrupted_study_went_on_where_it_was(story: Story) -> None:
    (then,), (now,) = story.at_sigterm, story.storage.trials("half")
    assert now["history"][: len(then["history"])] == then["history"]
    assert (now["state"], len(now["history"])) == ("finished", 20)
    (child,) = story.storage.children("half")
    assert story.storage.steps(child) == list(range(1, 21))
    assert len(story.storage.parents("half")) == 1


def test_mlflow_knows_the_new_place_alone(story: Story) -> None:
    for study in ("tiny", "half"):
        for one in story.storage.parents(study):
            assert one.info.artifact_uri.startswith(str(story.storage.root))
            assert one.data.tags["xmrc.folder"].startswith(str(story.storage.root))


def test_nothing_appears_at_the_old_place(story: Story) -> None:
    assert list(story.old.parent.iterdir()) == []
