import pickle
from collections import Counter

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.search.optuna import OptunaSearch

from xmrc.search.space import SearchSpace, SpaceRow
from xmrc.settings import Domain, RunSettings, with_values

optuna.logging.set_verbosity(optuna.logging.ERROR)

COEFFICIENT, VARIANT = "objective.distill.coefficient", "objective.distill.variant"
WRITTEN = {
    VARIANT: {"choice": ["first_hit", "average_precision"], "when": {COEFFICIENT: "map"}},
    "objective.distill.temperature": {"log_float": [1, 16], "when": {COEFFICIENT: [1.0, "map"]}},
    COEFFICIENT: {"choice": [0, 1.0, "map"]},
    "data.ntl": {"int": [1, 6]},
    "training.batch_size": {"log_int": [4, 64]},
    "training.warmup": {"float": [0, 1]},
    "training.dropout": {"choice": [None, 0.1]},
    "start_from_base": {"choice": [True, False]},
    "data.languages": {"choice": [["en"], ["en", "no"], ["en", "de", "es"]]},
}
DOMAINS = {key: Domain.model_validate(written) for key, written in WRITTEN.items()}
SPACE = SearchSpace(DOMAINS)
START = [
    {
        "data.ntl": 5,
        COEFFICIENT: "map",
        VARIANT: "average_precision",
        "data.languages": ["en", "no"],
    },
    {"objective.distill.temperature": 2, COEFFICIENT: 1, "training.warmup": 0},
    {COEFFICIENT: 0.0},
]


def run(seed, trials, start_from=(), startup=40):
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup),
    )
    for point in SPACE.points(start_from):
        study.enqueue_trial(point)

    def objective(trial):
        SPACE(trial)
        values = SPACE.values_of(trial.params)
        return values["data.ntl"] + 3 * (values[COEFFICIENT] == "map")

    study.optimize(objective, n_trials=trials)
    return study


@pytest.fixture(scope="module")
def study():
    return run(seed=0, trials=120)


def test_every_point_lies_in_its_domains_and_makes_settings(study):
    settings = with_values(RunSettings(), {"objective.distill": {}})
    for trial in study.trials:
        values = SPACE.values_of(trial.params)
        assert all(DOMAINS[key].holds(value) for key, value in values.items())
        assert with_values(settings, values)


def test_conditions_hold_at_every_point(study):
    seen = Counter()
    for trial in study.trials:
        coefficient = trial.params[COEFFICIENT]
        assert (VARIANT in trial.params) == (coefficient == "map")
        assert ("objective.distill.temperature" in trial.params) == (coefficient != 0)
        assert trial.params.keys() >= {"data.ntl", "training.dropout", "data.languages"}
        seen[coefficient] += 1
    assert seen.keys() == {0, 1.0, "map"}


def test_the_ends_are_drawn_and_the_optimum_is_found(study):
    ntl = Counter(trial.params["data.ntl"] for trial in study.trials)
    assert {1, 6} <= ntl.keys() <= set(range(1, 7))
    best = SPACE.values_of(study.best_params)
    assert (best["data.ntl"], best[COEFFICIENT]) == (6, "map")


def test_the_same_seed_draws_the_same_points(study):
    again = run(seed=0, trials=20)
    assert [t.params for t in again.trials] == [t.params for t in study.trials[:20]]
    assert [t.params for t in run(1, 20).trials] != [t.params for t in again.trials]


def test_a_list_travels_as_text_and_comes_back(study):
    params = {trial.params["data.languages"] for trial in study.trials}
    assert params == {"[en]", "[en, no]", "[en, de, es]"}
    values = [SPACE.values_of(trial.params)["data.languages"] for trial in study.trials]
    assert ["en", "no"] in values
    assert all(isinstance(value, list) for value in values)


def test_starting_points_come_first():
    trials = run(seed=0, trials=4, start_from=START).trials
    for point, trial in zip(START, trials, strict=False):
        values = SPACE.values_of(trial.params)
        assert {key: values[key] for key in point} == point
        assert values.keys() >= {"data.ntl", "start_from_base", "training.batch_size"}


def test_the_space_travels():
    copy = pickle.loads(pickle.dumps(SPACE))
    assert copy.describe() == SPACE.describe()


def test_ray_searches_the_space():
    search = OptunaSearch(
        SPACE,
        metric="gxlt_f1",
        mode="max",
        sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=5),
        points_to_evaluate=SPACE.points(START),
    )
    configs = []
    for number in range(40):
        config = search.suggest(str(number))
        configs.append(SPACE.values_of(config))
        assert config.keys() == configs[-1].keys()
        score = configs[-1]["data.ntl"] + 3.0 * (configs[-1][COEFFICIENT] == "map")
        search.on_trial_result(str(number), {"gxlt_f1": score, "training_iteration": 1})
        search.on_trial_complete(str(number), {"gxlt_f1": score})
    for point, values in zip(START, configs, strict=False):
        assert {key: values[key] for key in point} == point
    assert max(values["data.ntl"] for values in configs[20:]) == 6
    assert sum(values[COEFFICIENT] == "map" for values in configs[20:]) > 10


def test_ray_saves_and_restores_the_search(tmp_path):
    def searcher():
        return OptunaSearch(
            SPACE, metric="f1", mode="max", sampler=optuna.samplers.RandomSampler(seed=3)
        )

    whole, before = searcher(), searcher()
    expected = [whole.suggest(str(number)) for number in range(6)]
    assert [before.suggest(str(number)) for number in range(3)] == expected[:3]
    before.save(str(tmp_path / "search.pkl"))
    after = searcher()
    after.restore(str(tmp_path / "search.pkl"))
    assert [after.suggest(str(number)) for number in range(3, 6)] == expected[3:]


def test_ray_takes_a_space_with_nothing_in_it():
    search = OptunaSearch(SearchSpace({}), metric="f1", mode="max")
    assert search.suggest("a") == {}


def test_what_is_searched_is_described_in_the_order_of_drawing():
    assert SPACE.describe()[:3] == [
        SpaceRow(COEFFICIENT, "choice [0, 1.0, map]", ""),
        SpaceRow(VARIANT, "choice [first_hit, average_precision]", f"{COEFFICIENT}: map"),
        SpaceRow(
            "objective.distill.temperature", "log_float [1.0, 16.0]", f"{COEFFICIENT}: [1.0, map]"
        ),
    ]
    assert len(SPACE.describe()) == len(DOMAINS)


SCALAR = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("no1. '~")
CHOICES = st.lists(SCALAR | st.lists(SCALAR, max_size=3), min_size=1, max_size=5)


@settings(deadline=None)
@given(CHOICES)
def test_any_choice_survives_optuna(choices):
    distinct = [c for i, c in enumerate(choices) if c not in choices[:i]]
    space = SearchSpace({"key": Domain(choice=distinct)})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for choice in distinct:
        (point,) = space.points([{"key": choice}])
        study.enqueue_trial(point)
        trial = study.ask()
        space(trial)
        assert repr(space.values_of(trial.params)["key"]) == repr(choice)
