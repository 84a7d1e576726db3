# ruff: noqa: E501  (tables with one broken rule a line)
"""What a paper prints, as a study file has it."""

import pytest

from xmrc.data.examples import Answer, Example
from xmrc.errors import SettingsError
from xmrc.scoring.gxlt import score
from xmrc.scoring.predictions import Prediction
from xmrc.scoring.spans import AnswerSpan
from xmrc.settings import load_study, to_yaml
from xmrc.settings.expected import PRINTED_METRICS


@pytest.fixture
def load(tmp_path):
    def load(expected, *overrides):
        path = tmp_path / "few.yaml"
        path.write_text(f"name: few\nexpected: {expected}\n")
        return load_study(path, overrides)

    return load


def test_numbers_of_a_system_without_a_name(load):
    found = load("{gxlt_f1: 59.1, xlt_em: {mean: 46.2, en: 65}}").expected
    assert found["paper"].scores == {"gxlt_f1": 59.1, "xlt_em": {"mean": 46.2, "en": 65}}
    assert found["paper"].where == {}


def test_systems_by_name(load):
    found = load(
        "{base: {gxlt_f1: 49.7, ranks: {en: [1773, 460]}},"
        " CE: {where: {objective.distill.coefficient: 0.0}, gxlt_f1: 57.5,"
        " final: {mlqa/test: {gxlt_f1: 56.3}}, note: table 2}}"
    ).expected
    assert list(found) == ["base", "CE"]
    assert found["base"].ranks == {"en": (1773, 460)}
    assert found["CE"].scores == {"gxlt_f1": 57.5}
    assert found["CE"].where == {"objective.distill.coefficient": 0.0}
    assert found["CE"].final == {"mlqa/test": {"gxlt_f1": 56.3}}
    assert found["CE"].note == "table 2"


@pytest.mark.parametrize("expected", ["null", "{}"])
def test_nothing_is_expected(load, expected):
    assert load(expected).expected == {}


def test_it_survives_being_written(load, tmp_path):
    study = load(
        "{base: {gxlt_f1: 49.7}, CE: {where: {data.ntl: 3}, ranks: {en: [1, 2]}, xlt_f1: {en: 3.5}}}"
    )
    path = tmp_path / "again.yaml"
    path.write_text(to_yaml(study))
    assert load_study(path, []) == study


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ("{gxlt_f9: 3}", "expected.gxlt_f9 must be a metric (gxlt_f1, "),
        ("{CE: {gxlt_f9: 3}}", "expected.CE.gxlt_f9 must be a metric (gxlt_f1, "),
        (
            "{CE: {final: {mlqa/test: {loss: 3}}}}",
            "expected.CE.final.mlqa/test.loss must be a metric (",
        ),
        ("{CE: {scores: {loss: 3}}}", "expected.CE.scores.loss must be a metric ("),
        (
            "{CE: {gxlt_f1: high}}",
            "expected.CE.scores.gxlt_f1 must be a number, or numbers by language, got high",
        ),
        (
            "{CE: {gxlt_micro_f1: {en: 3}}}",
            "expected.CE.gxlt_micro_f1 must be a number: there is none by language, got {en: 3}",
        ),
        (
            "{CE: {gxlt_f1: 3, ranks: {en: [1.5]}}}",
            "expected.CE.ranks.en must be a list of at most 10 whole numbers",
        ),
        (
            "{CE: {where: {data.ntk: 3}}}",
            "expected.CE.where.data.ntk is no known key; did you mean expected.CE.where.data.ntl?",
        ),
        ("3", "expected must be a mapping of keys to values, got 3"),
        ("{CE: [3]}", "expected.CE must be a mapping of keys to values, got [3]"),
    ],
)
def test_what_is_refused(load, tmp_path, expected, said):
    with pytest.raises(SettingsError) as caught:
        load(expected)
    assert str(caught.value).startswith(f"{tmp_path / 'few.yaml'}: {said}")


def test_from_the_command_line(load):
    assert load("{gxlt_f1: 3}", "expected=null").expected == {}
    assert load("null", "expected.CE.gxlt_f1=57.5").expected["CE"].scores == {"gxlt_f1": 57.5}


def test_every_metric_that_we_have_may_be_expected():
    def example(context):
        return Example("1", "who", "it is Ada", (Answer("Ada", 6),), "en", context)

    examples = [example("en"), example("de")]
    answer = (AnswerSpan("Ada", 6, 9, 1.0),)
    scores = score(
        examples, [Prediction("1", "en", one.context_language, answer) for one in examples]
    )
    assert set(PRINTED_METRICS) == set(scores.metrics)
