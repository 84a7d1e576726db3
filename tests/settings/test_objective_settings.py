# ruff: noqa: E501  (tables with one broken rule a line)
"""What an objective may be: its parts, switched on and off, and an exact word where it cannot be."""

from pathlib import Path

import pytest

from xmrc.errors import SettingsError
from xmrc.settings import flat, load_study, with_values

STUDY = """
name: objectives
settings:
  base: {corpus: demo/train}
  objective: {distill: {}}
"""


@pytest.fixture
def load(tmp_path: Path):
    def load(*overrides: str, space: str = "{}"):
        path = tmp_path / "study.yaml"
        path.write_text(f"{STUDY}\nspace: {space}\n")
        return load_study(path, [f"settings.{each}" for each in overrides])

    return load


@pytest.mark.parametrize(
    ("override", "error"),
    [
        ("objective.span=best", "settings.objective.span must be 'ce', 'mml', 'hard_em', 'hl' or 'none', got best"),
        ("objective.alpha=1.5", "settings.objective.alpha must be less than or equal to 1, got 1.5"),
        ("objective.alpha=-0.1", "settings.objective.alpha must be greater than or equal to 0, got -0.1"),
        ("objective.alpha=.nan", "settings.objective.alpha must be a finite number, got .nan"),
        ("objective.candidates.size=0", "settings.objective.candidates.size must be greater than or equal to 1, got 0"),
        ("objective.candidates.size=2.5", "settings.objective.candidates.size must be a valid integer, got 2.5"),
        ("objective.candidates.weights=rank", "settings.objective.candidates.weights must be 'slot' or 'type', got rank"),
        ("objective.candidates.gold_floor=1.1", "settings.objective.candidates.gold_floor must be less than or equal to 1, got 1.1"),
        ("objective.candidates.learning_rate=0", "settings.objective.candidates.learning_rate must be greater than 0, got 0"),
        ("objective.contrast.negatives=0", "settings.objective.contrast.negatives must be greater than or equal to 1, got 0"),
        ("objective.contrast.tau=0", "settings.objective.contrast.tau must be greater than 0, got 0"),
        ("objective.contrast.tau=-2", "settings.objective.contrast.tau must be greater than 0, got -2"),
        ("objective.contrast.taus=1", "settings.objective.contrast.taus is no known key; did you mean settings.objective.contrast.tau?"),
        ("objective.distill.temperature=0", "settings.objective.distill.temperature must be greater than 0, got 0"),
        ("objective.distill.coefficient=much", "settings.objective.distill.coefficient must be a number of at least 0, or map, got much"),
        ("objective.distill.variant=mine", "settings.objective.distill.variant must be 'first_hit', 'average_precision' or 'per_example', got mine"),
    ],
)  # fmt: skip
def test_a_broken_rule_names_key_rule_and_value(load, override, error):
    with pytest.raises(SettingsError) as caught:
        load(override)
    assert error in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_defaults_are_those_of_the_papers(load):
    expected = {
        "objective.span": "ce",
        "objective.alpha": 0.0,
        "objective.candidates.size": 20,
        "objective.candidates.weights": "slot",
        "objective.candidates.gold_floor": 0.5,
        "objective.candidates.learning_rate": 1e-3,
        "objective.contrast.tau": 10.0,
        "objective.contrast.negatives": 50,
    }
    assert expected.items() <= flat(load().settings).items()


@pytest.mark.parametrize("off", ["none", "null"])
def test_a_contrast_that_is_off_weighs_nothing(load, off):
    assert load(f"objective.contrast={off}").settings.objective.contrast is None
    with pytest.raises(
        SettingsError, match=r"objective\.alpha must be 0 where contrast is none, got 0\.5"
    ):
        load(f"objective.contrast={off}", "objective.alpha=0.5")


def test_something_must_be_trained(load):
    off = ["objective.span=none", "objective.distill=none"]
    with pytest.raises(
        SettingsError, match="must not be none where alpha is 0 and distillation is"
    ):
        load(*off)
    assert load(*off, "objective.alpha=1").settings.objective.alpha == 1.0
    assert load(off[0]).settings.objective.span == "none"


@pytest.mark.parametrize("span", ["mml", "hard_em", "hl"])
def test_candidates_need_a_base(load, span):
    without = ["base=null", "start_from_base=false"]
    assert load(*without).settings.base is None
    with pytest.raises(
        SettingsError, match=r"objective\.span must be ce or none where base is null"
    ):
        load(*without, f"objective.span={span}")
    from_encoder = load("start_from_base=false", f"objective.span={span}").settings
    assert from_encoder.objective.needs_candidates


def test_every_key_can_be_searched(load):
    searched = {
        "objective.span": "{choice: [ce, mml, hard_em, hl]}",
        "objective.alpha": "{float: [0, 1]}",
        "objective.candidates.size": "{log_int: [1, 50]}",
        "objective.candidates.weights": "{choice: [slot, type]}",
        "objective.candidates.gold_floor": "{float: [0, 1]}",
        "objective.candidates.learning_rate": "{log_float: [1e-4, 1e-1]}",
        "objective.contrast.tau": "{log_float: [0.01, 20]}",
        "objective.contrast.negatives": "{int: [1, 100]}",
        "objective.distill.variant": "{choice: [first_hit, average_precision, per_example]}",
    }
    domains = ", ".join(f"{key}: {domain}" for key, domain in searched.items())
    study = load(space=f"{{{domains}}}")
    lowest = {key: domain.values[0] for key, domain in study.space.items()}
    assert with_values(study.settings, lowest).objective.candidates.size == 1


@pytest.mark.parametrize(
    ("space", "error"),
    [
        ("{objective.alpha: {float: [0, 2]}}", "space.objective.alpha must be less than or equal to 1, got 2.0"),
        ("{objective.candidates.size: {int: [0, 20]}}", "space.objective.candidates.size must be greater than or equal to 1, got 0"),
        ("{objective.contrast.tau: {float: [0, 20]}}", "space.objective.contrast.tau must be greater than 0, got 0.0"),
        ("{objective.span: {choice: [hl]}, data.stride: {int: [8, 16]}}", "space.data.stride must be a choice where objective.span is one of mml, hard_em, hl"),
    ],
)  # fmt: skip
def test_a_space_that_breaks_a_rule_names_its_key(load, space, error):
    with pytest.raises(SettingsError) as caught:
        load(space=space)
    assert error in str(caught.value)


def test_windows_of_any_size_can_be_searched_without_candidates(load):
    assert load(space="{data.stride: {int: [8, 16]}}").space["data.stride"].values == (8, 16)
    load("objective.span=hl", space="{data.stride: {choice: [8, 16]}}")
