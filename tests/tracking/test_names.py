from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric_name, _validate_param_name, _validate_tag_name

from xmrc.tracking.names import LONGEST_VALUE, key_of, value_of


@given(st.text(min_size=1))
def test_mlflow_takes_every_key(name: str) -> None:
    key = key_of(name)
    _validate_metric_name(key)
    _validate_param_name(key)
    _validate_tag_name(key)
    assert len(key) <= 250


@given(st.text(min_size=1), st.text(min_size=1))
def test_two_names_never_share_a_key(a: str, b: str) -> None:
    assert a == b or key_of(a) != key_of(b)


def test_names_of_ours_stay_as_they_are() -> None:
    for name in ("objective.distill.temperature", "gxlt_f1", "data.mlqa/dev", "f1/en-de"):
        assert key_of(name) == name


def test_values() -> None:
    assert value_of("plain") == "plain"
    assert value_of(None) == "null"
    assert value_of(True) == "true"
    assert value_of(3e-05) == "3e-05"
    assert value_of(["en", "हि"]) == '["en", "हि"]'


@given(st.text(min_size=LONGEST_VALUE + 1, max_size=2000))
def test_a_long_value_is_cut_and_says_so(text: str) -> None:
    value = value_of(text)
    assert len(value) == LONGEST_VALUE
    assert value[:400] == text[:400]
    assert f"({len(text)} characters" in value
