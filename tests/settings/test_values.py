import pickle

import pytest

from xmrc.errors import SettingsError
from xmrc.learning.terms import DistillSettings
from xmrc.settings import ObjectiveSettings, RunSettings, flat, to_yaml, with_values
from xmrc.settings.yaml_text import parse_yaml


@pytest.fixture
def on() -> RunSettings:
    """Settings that distil; made when they are needed, as plugins add sections to the objective."""
    return RunSettings(objective=ObjectiveSettings(distill=DistillSettings()))


def test_values_make_new_settings(on):
    changed = with_values(
        on, {"data.ntl": 2, "objective.distill.coefficient": 0, "data.languages": ["en"]}
    )
    assert changed.data.ntl == 2
    assert changed.objective.distill.coefficient == 0.0
    assert changed.data.languages == ("en",)
    assert changed.training == on.training
    assert on.data.ntl == 5


def test_a_part_is_turned_on_and_off(on):
    off = with_values(on, {"objective.distill": None})
    assert off.objective.distill is None
    on = with_values(off, {"objective.distill": {}, "objective.distill.k": 3})
    assert on.objective.distill == DistillSettings(k=3)


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"data.ntl": -1}, "settings.data.ntl must be greater than or equal to 0, got -1"),
        ({"data.nlt": 1}, "settings.data.nlt is no known key; did you mean settings.data.ntl?"),
        ({"data.ntl.x": 1}, "settings.data.ntl.x is no known key"),
        (
            {"encoder_config.layers": 2},
            "settings.encoder_config.layers needs settings.encoder_config",
        ),
        ({"data.ntl": -1, "data.k": 1}, "settings.data.k is no known key"),
        (
            {"data.ntl": -1, "data.limit": 0},
            "settings.data.ntl must be greater than or equal to 0, got -1 (and 1 more)",
        ),
    ],
)
def test_an_error_names_the_setting(on, values, error):
    with pytest.raises(SettingsError) as caught:
        with_values(on, values)
    assert str(caught.value).startswith(error)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_flat_is_one_scalar_for_each_key(on):
    rows = flat(on)
    assert rows["data.languages"] == "[en, es, de, ar, vi, hi, zh]"
    assert rows["objective.distill.temperature"] == 2.0
    assert rows["encoder_config"] is None
    assert rows["base.corpus"] == "squad/train"
    assert all(value is None or isinstance(value, str | int | float) for value in rows.values())
    assert (
        with_values(
            on,
            {
                key: parse_yaml(value) if key.endswith("languages") else value
                for key, value in rows.items()
            },
        )
        == on
    )


def test_settings_are_written_whole_and_read_back(on, tmp_path):
    settings = with_values(on, {"data.root": str(tmp_path), "training.dropout": 0.1})
    assert RunSettings.model_validate(parse_yaml(to_yaml(settings))) == settings
