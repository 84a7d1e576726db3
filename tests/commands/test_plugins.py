"""A loss and a term from outside the package: trained on two workers, searched, resumed, served."""

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from command_runs import Done, Running, Storage, module, run
from ray_here import CPUS, a_home

PLUGIN = Path(__file__).parents[1] / "plugins" / "my_losses.py"
FRAMES, FILES = 8, 7  # of ours, at most, from the command to the loss
# The same plugin, which also writes down by which of our functions search and loss are reached.
WATCHED = """
import json, traceback
from ray.tune import Tuner

def watched(function, file):
    def watching(*arguments):
        stack = [(f.filename.partition("/xmrc/")[2], f.name) for f in traceback.extract_stack()]
        with open("{folder}/" + file, "w") as written:
            json.dump([frame for frame in stack if frame[0]], written)
        return function(*arguments)
    return watching

Tuner.fit = watched(Tuner.fit, "search.json")
Focal.losses = watched(Focal.losses, "loss.json")
"""
YAML = """
name: own
plugins: [my_losses.py]
storage: {storage}
settings:
  encoder: demo
  base: null
  start_from_base: false
  data: {{train: demo/train, select: demo/dev, languages: [en, es, zh], ntl: 1, limit: 12,
          max_length: 128, max_question_tokens: 32, stride: 16}}
  objective: {{span: focal, confidence: {{weight: 0.05}}}}
  training: {{epochs: 3, batch_size: 8, dropout: 0.0}}
space:
  objective.focal.gamma: {{float: [0.0, 4.0]}}
search: {{trials: 2, evaluate_every: 1.0, scheduler: none}}
resources: {{workers: {workers}, cpus_per_worker: 1}}
"""
pytestmark = [pytest.mark.studies, pytest.mark.timeout(1800)]


@dataclass(frozen=True)
class Story:
    """Killed in a trial and resumed, with a copy of the plugin beside the study file."""

    storage: Storage
    resumed: Done
    plugin: Path
    answered: Done


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    with a_home() as home:
        yield told(home)


def told(home: Path) -> Story:
    storage, plugin, study = Storage(home / "runs"), home / "my_losses.py", home / "own.yaml"
    plugin.write_text(PLUGIN.read_text())
    study.write_text(YAML.format(storage=storage.root, workers=CPUS))
    command = module("tune", "--space", str(study))
    first = Running(command, home)
    first.wait_until(lambda: any(one["history"] for one in storage.trials("own")))
    first.kill(signal.SIGKILL)
    resumed = run([*command, "--resume"], home)
    plugin.unlink()  # what it has made needs it no longer
    asked = ["--question", "Where?", "--context", "Ada lives in Rome."]
    model = ["--model", "models:/xmrc-gxlt@champion", "--storage", str(storage.root)]
    return Story(storage, resumed, plugin, run(module("answer", *model, *asked), home))


def test_a_killed_search_over_a_setting_of_the_plugin_goes_on(story: Story) -> None:
    assert story.resumed.code == 0, story.resumed.err
    trials = story.storage.trials("own")
    assert [one["state"] for one in trials] == ["finished", "finished"]
    gammas = {one["values"]["objective.focal.gamma"] for one in trials}
    assert len(gammas) == 2


def test_both_parts_of_the_loss_are_reported_and_weighed(story: Story) -> None:
    for trial in story.storage.trials("own"):
        assert [row["evaluation"] for row in trial["history"]] == [1, 2, 3]
        for row in trial["history"]:
            expected = row["loss_span"] + 0.05 * row["loss_confidence"]
            assert row["loss"] == pytest.approx(expected, abs=1e-4)
            assert row["loss_confidence"] < 0  # minus an entropy


def test_the_registered_model_says_what_made_it_and_answers_without(story: Story) -> None:
    client = story.storage.mlflow
    version = client.get_model_version_by_alias("xmrc-gxlt", "champion")
    assert json.loads(version.tags["xmrc.plugins"]) == [str(story.plugin)]
    assert "my_losses.py" in version.description
    assert story.answered.code == 0, story.answered.err
    assert story.answered.out.strip()


def test_from_the_command_to_the_loss_it_is_not_far() -> None:
    """One process searches and another one trains: the frames of both, from `main` on."""
    with a_home() as home:
        plugin, study = home / "my_losses.py", home / "own.yaml"
        plugin.write_text(PLUGIN.read_text() + WATCHED.format(folder=home))
        study.write_text(YAML.format(storage=home / "runs", workers=1))
        options = ["--set", "search.trials=1", "--set", "settings.training.epochs=1"]
        done = run(module("tune", "--space", str(study), *options), home)
        assert done.code == 0, done.err
        search, loss = (
            [tuple(frame) for frame in json.loads((home / name).read_text())]
            for name in ("search.json", "loss.json")
        )
    stack = [*search[search.index(("tune.py", "main")) :], *loss]
    assert len(stack) <= FRAMES, stack
    assert len({file for file, _ in stack}) <= FILES, stack
