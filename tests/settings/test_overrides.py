import pytest

from xmrc.errors import SettingsError
from xmrc.settings import load_study

STUDY = """
name: few
settings: {objective: {distill: none}, data: {ntl: 3}}
space:
  data.ntl: {int: [1, 6], when: {training.epochs: [2, 3]}}
  training.epochs: {int: [1, 3]}
search: {start_from: [{data.ntl: 5, training.epochs: 2}, {training.epochs: 3}]}
"""
DISTILL = "objective.distill.temperature"


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.delenv("XMRC_DATA", raising=False)
    path = tmp_path / "few.yaml"
    path.write_text(STUDY, encoding="utf-8")
    return lambda *overrides: load_study(path, overrides)


def written(study):
    return {key: domain.as_written() for key, domain in study.space.items()}


def test_a_later_override_wins(load):
    study = load("settings.data.ntl=1", "settings.training.epochs=9", "settings.data.ntl=2")
    assert (study.settings.data.ntl, study.settings.training.epochs) == (2, 9)


def test_values_are_yaml(load):
    study = load(
        "settings.data.languages=[en, no]", "settings.training.learning_rate=3e-5", "name=on"
    )
    assert study.settings.data.languages == ("en", "no")
    assert study.settings.training.learning_rate == 3e-5
    assert study.name == "on"
    assert load("storage=a=b").storage == "a=b"


def test_a_key_below_a_part_that_is_off_turns_it_on(load):
    distill = load("settings.objective.distill.temperature=4").settings.objective.distill
    assert (distill.temperature, distill.k) == (4, 10)
    assert load("tracking.uri=here").tracking.uri == "here"


def test_a_section_is_replaced_whole(load):
    assert load("settings.data={limit: 3}").settings.data.ntl == 5


@pytest.mark.parametrize(
    ("override", "entry"),
    [
        ("space.data.ntl={int: [5, 6]}", {"int": [5, 6]}),
        (
            "space.data.ntl.int=[4, 5]",
            {"int": [4, 5], "when": {"training.epochs": [2, 3]}},
        ),
        (
            "space.data.ntl.choice=[4, 5]",
            {"choice": [4, 5], "when": {"training.epochs": [2, 3]}},
        ),
        (
            "space.data.ntl.when.training.epochs=2",
            {"int": [1, 6], "when": {"training.epochs": 2}},
        ),
        (
            "space.data.ntl.when={training.epochs: 2}",
            {"int": [1, 6], "when": {"training.epochs": 2}},
        ),
        ("space.data.ntl.when.training.epochs=null", {"int": [1, 6]}),
        ("space.data.ntl.when=null", {"int": [1, 6]}),
    ],
)
def test_an_entry_of_the_space_is_changed(load, override, entry):
    study = load(override)
    assert written(study) == {"data.ntl": entry, "training.epochs": {"int": [1, 3]}}


def test_an_entry_is_added_whole_or_in_part(load):
    epochs = {"training.epochs": {"int": [1, 3]}}
    ntl = {"data.ntl": {"int": [1, 6], "when": {"training.epochs": [2, 3]}}}
    seed = {"training.seed": {"choice": [1, 2]}}
    assert written(load("space.training.seed={choice: [1, 2]}")) == ntl | epochs | seed
    assert written(load("space.training.seed.choice=[1, 2]")) == ntl | epochs | seed
    distill = load("settings.objective.distill={}", f"space.{DISTILL}.float=[1, 2]").space[DISTILL]
    assert distill.values == (1.0, 2.0)


def test_what_leaves_the_space_leaves_the_starting_points(load):
    study = load("space.data.ntl=null")
    assert written(study) == {"training.epochs": {"int": [1, 3]}}
    assert study.search.start_from == ({"training.epochs": 2}, {"training.epochs": 3})
    study = load("space=null")
    assert (study.space, study.search.start_from) == ({}, ())
    study = load("space={training.seed: {int: [1, 2]}}", "space.training.warmup.float=[0, 1]")
    assert list(study.space) == ["training.seed", "training.warmup"]
    assert study.search.start_from == ()


def test_a_condition_on_what_left_the_space_is_refused(load):
    with pytest.raises(
        SettingsError, match=r"ntl\.when\.training\.epochs must be a key of the spa"
    ):
        load("space.training.epochs=null")


@pytest.mark.parametrize(
    ("override", "error"),
    [
        ("settings", "--set settings: must be KEY=VALUE with a dotted key"),
        ("=1", "--set =1: must be KEY=VALUE with a dotted key"),
        ("settings..data=1", "--set settings..data=1: must be KEY=VALUE with a dotted key"),
        ("name=[", "--set name=[: the value is no YAML: while parsing a flow node, expected"),
        ("name.x=1", "--set name.x=1: name is no section"),
        ("settings.data.ntl.x=1", "--set settings.data.ntl.x=1: settings.data.ntl is no section"),
        (
            "space.data.ntl.int.x=1",
            "--set space.data.ntl.int.x=1: space.data.ntl.int.x must be a m",
        ),
        (
            "space.data.ntl.int=3",
            "--set space.data.ntl.int=3: space.data.ntl.int must be two whole",
        ),
        ("space.int=3", "--set space.int=3: space.int must be a mapping"),
        ("space.data.ntl.when.x=1", "--set space.data.ntl.when.x=1: space.data.ntl.when.x must be"),
    ],
)
def test_a_broken_override_is_named_as_it_was_written(load, override, error):
    with pytest.raises(SettingsError) as caught:
        load(override)
    assert str(caught.value).startswith(error)
