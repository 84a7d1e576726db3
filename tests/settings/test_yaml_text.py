import json
import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmrc.settings.yaml_text import one_line, parse_yaml, write_yaml

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from(
        ["no", "on", "yes", "3e-5", "010", "12:30", "2020-01-01", "~", "null", "", "<<"]
    )
    | st.sampled_from(
        ["1_000", "0x1F", "0o7", ".5", "=", "-", "? a", "# a", "a: b", "*a", "&a", "..."]
    )
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("off", "off"),
        ("3e-5", 3e-5),
        ("1E3", 1000.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("+1", 1),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2020-01-01", "2020-01-01"),
        ("TRUE", True),
        ("tRUE", "tRUE"),
        ("~", None),
        ("", None),
        ("Null", None),
        ("e5", "e5"),
        ("'1'", "1"),
        ("=", "="),
        ("{<<: 1}", {"<<": 1}),
        ("{no: off}", {"no": "off"}),
        ("%YAML 1.1\n--- [no, 010, 1e5, 12:30]", ["no", 10, 1e5, "12:30"]),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    assert repr(parse_yaml(text)) == repr(value)


@settings(deadline=None)
@given(TREES)
def test_json_reads_as_json(tree):
    text = json.dumps(tree, ensure_ascii=True).replace("Infinity", ".inf")
    if "\\u" not in text:  # JSON writes a character above U+FFFF as two escapes, YAML as one
        assert parse_yaml(text) == json.loads(text.replace(".inf", "Infinity"))


@settings(deadline=None)
@given(TREES)
def test_written_text_reads_back(tree):
    assert repr(parse_yaml(write_yaml(tree))) == repr(tree)
    assert repr(parse_yaml(one_line(tree))) == repr(tree)
    assert "\n" not in one_line(tree)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a: 1\nb: {c: 1, c: 2}", "the key c stands here twice (line 2, column 11)"),
        ("on: 1\non: 2", "the key on stands here twice (line 2, column 1)"),
        ("a:\n  1: 2", "a key must be text, got 1 (line 2, column 3)"),
        ("? [a]\n: 2", "a key must be text, got [a] (line 1, column 3)"),
        ("a: b: c", "mapping values are not allowed here (line 1, column 5)"),
        ("{a: b", "expected ',' or '}', but got '<stream end>' (line 1, column 6)"),
        ("a:\tb", "found character '\\t' that cannot start any token (line 1, column 3)"),
        ("a: 1\n---\nb: 2", "but found another document (line 2, column 1)"),
        ("a: &x [*x]", "an alias must not stand inside what it stands for (line 1, column 4)"),
        ("a: !!python/name:os.system", "the tag !!python/name:os.system does not fit (line 1, "),
        ("a: !!timestamp 2020-01-01", "the tag !!timestamp does not fit (line 1, column 4)"),
        ("a: !!bool maybe", "the tag !!bool does not fit (line 1, column 4)"),
        ("a: !!int [1]", "the tag !!int does not fit (line 1, column 4)"),
        ("a: !!map [1]", "the tag !!map does not fit (line 1, column 4)"),
        ('a: "\\ud800"', "a text must be valid Unicode, got '\\ud800' (line 1, column 4)"),
        ("a:\n - \x07", "the character U+0007 may not stand (line 2, column 4)"),
        ("[" * 1000, "too deep inside each other"),
    ],
)
def test_what_is_no_yaml_is_named_with_its_place(text, error):
    with pytest.raises(ValueError, match=re.escape(error)) as caught:
        parse_yaml(text)
    assert "\n" not in str(caught.value)


def refused(text):
    """The line that says why the text is no YAML of ours, None for one that reads."""
    try:
        parse_yaml(text)
    except ValueError as error:
        return str(error)
    return None


@settings(deadline=None)
@given(st.text(alphabet="ab:{}[],&*!?#'\"|>-%@~ \n\t0.e\\", max_size=30))
def test_any_text_reads_or_is_refused(text):
    refusal = refused(text)
    assert refusal is None or (refusal and "\n" not in refusal)
