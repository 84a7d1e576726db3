"""One whole tiny study through the real command: search, registered reader, page."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from command_runs import NOISE, Done, Storage, module, run
from ray_here import a_home
from safetensors.torch import load_file

pytestmark = pytest.mark.studies

YAML = """
name: tiny
storage: {storage}
settings:
  encoder: demo
  base: null
  start_from_base: false
  data: {{train: demo/train, select: demo/dev, languages: [en, es], ntl: 1, limit: 8,
          max_length: 128, max_question_tokens: 32, stride: 16}}
  training: {{epochs: 2, batch_size: 8, learning_rate: 2e-3, dropout: 0.0}}
space:
  training.learning_rate: {{choice: [1e-4, 2e-3]}}
search: {{sampler: grid, scheduler: none, evaluate_every: 1.0}}
resources: {{cpus_per_worker: 1}}
"""


@dataclass(frozen=True)
class Study:
    """The command, and where it has written."""

    done: Done
    storage: Storage


@pytest.fixture(scope="module")
def study() -> Iterator[Study]:
    with a_home() as home:
        storage, file = Storage(home / "runs"), home / "tiny.yaml"
        file.write_text(YAML.format(storage=storage.root))
        yield Study(run(module("tune", "--space", str(file)), home), storage)


def test_it_ends_well_and_in_silence_but_for_its_own_lines(study: Study) -> None:
    assert (study.done.code, study.done.err) == (0, "")
    assert not [line for line in study.done.lines if NOISE.search(line)]


def test_every_point_of_the_grid_was_trained_to_its_end(study: Study) -> None:
    trials = study.storage.trials("tiny")
    rates = sorted(one["values"]["training.learning_rate"] for one in trials)
    assert rates == [1e-4, 2e-3]
    for one in trials:
        assert (one["state"], len(one["history"])) == ("finished", 2)
        assert one["history"][1]["loss"] < one["history"][0]["loss"]
    assert len(study.storage.children("tiny")) == 2


def test_the_registered_reader_is_that_of_the_best_trial(study: Study) -> None:
    best = max(study.storage.trials("tiny"), key=lambda one: (one["best"], -one["number"]))
    client = study.storage.mlflow
    version = client.get_model_version_by_alias("xmrc-gxlt", "champion")
    folder = Path(client.get_model_version_download_uri("xmrc-gxlt", version.version))
    kept = load_file(next((folder / "artifacts").rglob("model.safetensors")))
    checkpoint = study.storage.folder("tiny") / best["checkpoint"]
    trained = load_file(checkpoint / "model" / "model.safetensors")
    assert kept.keys() == trained.keys()
    assert all(bool((kept[name] == trained[name]).all()) for name in kept)
    assert f"(trial {best['number']})" in study.done.line("registered: models:/xmrc-gxlt@champion")


def test_the_page_of_the_study_is_there(study: Study) -> None:
    page = (study.storage.folder("tiny") / "report" / "index.html").read_text(encoding="utf-8")
    assert "<h1>tiny</h1>" in page
