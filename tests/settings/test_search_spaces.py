from pathlib import Path

import pytest

from xmrc.settings import RunSettings, flat, load_study, with_values

FOLDER = Path(__file__).parents[2] / "search_spaces"
FILES = sorted(FOLDER.rglob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_every_study_that_we_ship_loads(path):
    study = load_study(path)
    assert study.space
    assert isinstance(study.settings, RunSettings)


def test_the_self_distillation_study_is_that_of_the_released_code():
    settings = load_study(FOLDER / "skd.yaml").settings
    expected = {
        "encoder": "bert-base-multilingual-cased",
        "base.corpus": "squad/train",
        "base.epochs": 2,
        "base.batch_size": 6,
        "base.learning_rate": 3e-5,
        "data.train": "xquad",
        "data.select": "mlqa/dev",
        "data.ntl": 5,
        "data.max_length": 384,
        "objective.distill.temperature": 2.0,
        "objective.distill.k": 10,
        "objective.distill.delta": 5,
        "training.batch_size": 24,
        "training.epochs": 3,
        "training.learning_rate": 5e-5,
        "training.weight_decay": 0.0,
        "training.warmup": 0.0,
        "training.clip": 1.0,
    }
    assert expected.items() <= flat(settings).items()


def test_the_self_distillation_study_runs_without_weights_and_hub():
    overrides = [
        "settings.encoder=scratch",
        "settings.base.corpus=tydiqa-goldp/train",
        "settings.data.root=.",
        "settings.data.limit=20",
        "settings.training.max_tokens=4096",
        "search.trials=2",
        "space.data.ntl.int=[1, 2]",
        "search.start_from=[]",
    ]
    study = load_study(FOLDER / "skd.yaml", overrides)
    plain = with_values(study.settings, {"objective.distill.coefficient": 0.0})
    assert plain.objective.distill.coefficient == 0.0
