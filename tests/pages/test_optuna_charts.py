"""The search rebuilt from the ledger, against one that Optuna has made itself."""

import warnings

import matplotlib
import optuna
import pytest
from matplotlib import pyplot
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from study_folders import COEFFICIENT, NTL, RATE, TRIALS, VARIANT, trial

from xmrc.pages.optuna_charts import (
    draw_contour,
    draw_evaluations,
    draw_history,
    draw_importances,
    draw_parallel,
    importances,
    rebuild,
)
from xmrc.search.ledger import TrialRecord
from xmrc.search.space import SearchSpace
from xmrc.settings import Domain

SPACE = {
    NTL: Domain.model_validate({"int": [1, 3]}),
    COEFFICIENT: Domain.model_validate({"choice": [0.0, 1.0, "map"]}),
    VARIANT: Domain.model_validate(
        {"choice": ["first_hit", "average_precision"], "when": {COEFFICIENT: "map"}}
    ),
    RATE: Domain.model_validate({"log_float": [1e-4, 1e-2]}),
}
SHORT = {"ntl": NTL, "coefficient": COEFFICIENT, "variant": VARIANT, "learning_rate": RATE}


@pytest.fixture(scope="module")
def plain():
    """A search that Optuna has run."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = SearchSpace(SPACE)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=1))

    def objective(drawn):
        space(drawn)
        return drawn.params[NTL] + 10 * (drawn.params[COEFFICIENT] == "map")

    study.optimize(objective, n_trials=60)
    return study


@pytest.fixture(scope="module")
def rebuilt(plain):
    space = SearchSpace(SPACE)
    trials = [
        TrialRecord(**trial(one.number + 1, space.values_of(one.params), [0.0, one.value]))
        for one in plain.trials
    ]
    return rebuild(trials, SPACE, "gxlt_f1")


def test_trials_are_those_of_the_search(plain, rebuilt):
    for ours, theirs in zip(rebuilt.trials, plain.trials, strict=True):
        assert ours.number == theirs.number
        assert ours.value == theirs.value
        assert {SHORT[name]: value for name, value in ours.params.items()} == theirs.params
        named = {SHORT[name]: value for name, value in ours.distributions.items()}
        assert named == theirs.distributions
        assert ours.intermediate_values == {1: 0.0, 2: theirs.value}


def test_importances_are_those_of_the_search(plain, rebuilt):
    ours = importances(rebuilt)
    theirs = get_param_importances(plain, evaluator=PedAnovaImportanceEvaluator())
    assert {SHORT[name]: value for name, value in ours.items()} == pytest.approx(theirs)
    assert ours["learning_rate"] < min(ours["ntl"], ours["coefficient"])


def test_another_score_of_the_best_evaluation():
    found = rebuild([TrialRecord(**one) for one in TRIALS], SPACE, "gxlt_f1", score="xlt_em")
    assert [one.value for one in found.trials] == [32.0, 44.0, 11.5, None]
    assert found.trials[3].state == optuna.trial.TrialState.FAIL


@pytest.mark.parametrize(
    "draw",
    [
        lambda path, study: draw_history(path, study, "gxlt_f1"),
        lambda path, study: draw_evaluations(path, study, "gxlt_f1"),
        lambda path, study: draw_parallel(path, study, "gxlt_f1"),
        draw_importances,
        lambda path, study: draw_contour(path, study, ["ntl", "learning_rate"], "gxlt_f1"),
    ],
)
@pytest.mark.parametrize("count", [1, 2, 4])
def test_pictures_of_few_trials_leave_no_trace(draw, count, tmp_path):
    style, backend = dict(matplotlib.rcParams), matplotlib.get_backend()
    study = rebuild([TrialRecord(**one) for one in TRIALS[:count]], SPACE, "gxlt_f1")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw(tmp_path / "picture.png", study)
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert pyplot.get_fignums() == []
    assert (dict(matplotlib.rcParams), matplotlib.get_backend()) == (style, backend)
