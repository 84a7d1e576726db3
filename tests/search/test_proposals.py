"""What Ray Tune is given to train, before and after a search was killed."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.search import Searcher

from xmrc.search.ledger import Ledger
from xmrc.search.phases import SEARCH, TrialFiles
from xmrc.search.proposals import FAILURE, TRIAL, VALUES, GivenPoints, Proposals, search_points
from xmrc.settings import Study, load_study

YAML = """
name: few
settings: {encoder: demo, base: null, start_from_base: false, objective: {distill: {}},
  data: {train: demo/train, select: demo/dev, max_length: 128, stride: 16}}
space:
  data.ntl: {int: [1, 6]}
  training.learning_rate: {log_float: [1e-5, 1e-2]}
  objective.distill.coefficient: {choice: [0.0, 1.0, map]}
  objective.distill.temperature: {log_float: [1, 16], when: {objective.distill.coefficient: map}}
search: {trials: 20, start_from: [{data.ntl: 2, objective.distill.coefficient: map}]}
"""
RATE = "training.learning_rate"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    path = tmp_path_factory.mktemp("study") / "few.yaml"
    path.write_text(YAML)
    return load_study(path)


class Search:
    """A search without Ray: asks for trials, lets them report, ends them; killed at any time."""

    def __init__(
        self, folder: Path, study: Study, room: int = 1, failures_allowed: int = 20
    ) -> None:
        self.folder, self.study, self.room = folder, study, room
        self.failures_allowed = failures_allowed
        self.begin()

    def begin(self) -> None:
        files = TrialFiles(self.folder, SEARCH, "gxlt_f1")
        self.ledger = files.open_ledger()
        points = search_points(self.study, self.ledger)
        self.proposals = Proposals(
            files, self.ledger, points,
            trials=20, room=lambda: self.room, failures_allowed=self.failures_allowed,
        )  # fmt: skip
        self.asked: dict[str, str] = {}  # our name to what Ray calls it

    def ask(self) -> dict[str, Any] | None:
        ray = f"ray-{len(self.asked)}"
        config = self.proposals.suggest(ray)
        assert not isinstance(config, str), "there must be more to try"
        if config is not None:
            self.asked[config[TRIAL]] = ray
        return config

    def end(self, name: str, score: float | None) -> None:
        result = {"best": score} if score is not None else {FAILURE: "broken", "best": -1.0}
        if score is not None:
            self.ledger.evaluated(name, [{"evaluation": 1, "gxlt_f1": score}], 1, 1.0)
        self.ledger.end(name, "" if score is not None else "broken", None, 2.0)
        self.proposals.on_trial_complete(self.asked[name], result)


def score_of(values: dict[str, Any]) -> float | None:
    """Some values cannot be trained."""
    return None if values["data.ntl"] == 5 else 1000 * values[RATE] + values["data.ntl"]


def run_to_the_end(search: Search, kills: frozenset[int]) -> dict[str, dict[str, Any]]:
    """All trials by their names; before these trials have ended, the search is killed."""
    for number in range(1, 21):
        config = search.ask()
        assert config is not None
        if number in kills:
            search.begin()
            again = search.ask()
            assert again == config
        search.end(config[TRIAL], score_of(config[VALUES]))
    return {name: record.values for name, record in search.ledger.trials.items()}


@pytest.fixture(scope="module")
def undisturbed(
    study: Study, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    return run_to_the_end(Search(tmp_path_factory.mktemp("whole"), study), frozenset())


def test_trials_are_named_by_their_numbers_and_the_given_points_come_first(
    undisturbed: dict[str, dict[str, Any]],
) -> None:
    assert [*undisturbed] == [f"trial-{number}" for number in range(1, 21)]
    first = undisturbed["trial-1"]
    assert (first["data.ntl"], first["objective.distill.coefficient"]) == (2, "map")
    assert 1 <= first["objective.distill.temperature"] <= 16
    assert len({values[RATE] for values in undisturbed.values()}) == 20
    for values in undisturbed.values():
        assert ("objective.distill.temperature" in values) == (
            values["objective.distill.coefficient"] == "map"
        )


@settings(max_examples=8, deadline=None)
@given(kills=st.frozensets(st.integers(1, 20), min_size=1, max_size=5))
def test_a_killed_search_proposes_what_it_would_have_proposed(
    kills: frozenset[int],
    study: Study,
    undisturbed: dict[str, dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    found = run_to_the_end(Search(tmp_path_factory.mktemp("killed"), study), kills)
    assert found == undisturbed


def test_the_sampler_learns_from_what_has_ended(
    study: Study, undisturbed: dict[str, dict[str, Any]]
) -> None:
    """TPE leaves the start, of ten trials, for larger rates: these score higher."""
    rates = [values[RATE] for values in undisturbed.values()]
    assert sum(rates[10:]) / 10 > sum(rates[:10]) / 10


def test_running_trials_come_first_with_their_names_and_values(
    study: Study, tmp_path: Path
) -> None:
    search = Search(tmp_path, study, room=3)
    configs = [search.ask() for _ in range(3)]
    assert all(configs)
    assert search.ask() is None, "there is room for three"
    search.end("trial-2", 5.0)
    fourth = search.ask()
    search.begin()
    again = [search.ask() for _ in range(4)]
    assert again == [configs[0], configs[2], fourth, None]
    assert [record.number for record in search.ledger.trials.values()] == [1, 2, 3, 4]


def test_a_search_that_only_fails_proposes_no_more(study: Study, tmp_path: Path) -> None:
    """Not the second failure but the third, and what runs then stays as it is."""
    search = Search(tmp_path, study, room=4, failures_allowed=2)
    configs = [search.ask() for _ in range(4)]
    assert all(configs)
    search.end("trial-1", None)
    search.end("trial-3", None)
    fifth = search.ask()
    assert fifth is not None
    search.end(fifth[TRIAL], None)
    assert search.proposals.suggest("one more") == Searcher.FINISHED
    assert [record.id for record in search.ledger.unfinished] == ["trial-2", "trial-4"]
    assert len(search.ledger.trials) == 5
    search.begin()
    assert search.proposals.suggest("after a kill") == Searcher.FINISHED


def test_with_no_room_there_is_one_that_waits(study: Study, tmp_path: Path) -> None:
    search = Search(tmp_path, study, room=0)
    assert search.ask() is not None
    assert search.ask() is None


def test_ended_trials_stay_whatever_ray_knew(study: Study, tmp_path: Path) -> None:
    search = Search(tmp_path / "first", study)
    for _ in range(3):
        config = search.ask()
        assert config is not None
        search.end(config[TRIAL], 1.0)
    before = search.ledger.trials
    (tmp_path / "moved").mkdir()
    shutil.copy(search.ledger.path, tmp_path / "moved" / "trials.json")
    moved = Search(tmp_path / "moved", study)
    assert moved.ledger.trials == before
    assert moved.proposals.left == [*range(4, 21)]


def test_given_points_are_a_trial_each_in_their_order(tmp_path: Path) -> None:
    files = TrialFiles(tmp_path, SEARCH, "gxlt_f1")
    ledger = Ledger.open(tmp_path / "trials.json", "gxlt_f1")
    points = GivenPoints([{RATE: 1.0}, {RATE: 2.0}, {RATE: 3.0}])
    ledger.propose("trial-2", 2, {RATE: 2.0}, 0.0)
    ledger.end("trial-2", "broken", None, 1.0)
    proposals = Proposals(files, ledger, points, trials=3, room=lambda: 5)
    found = [proposals.suggest(ray) for ray in "ab"]
    assert found == [
        {TRIAL: "trial-1", VALUES: {RATE: 1.0}},
        {TRIAL: "trial-3", VALUES: {RATE: 3.0}},
    ]
    proposals.on_trial_complete("a", {"best": 1.0})
    proposals.on_trial_complete("b", error=True)
    assert proposals.left == []


def test_a_grid_is_tried_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text(YAML)
    space = "space={data.ntl: {int: [1, 2]}, training.learning_rate: {choice: [1e-3, 1e-4]}}"
    study = load_study(path, [space, "search.sampler=grid", "search.start_from=[]"])
    points = search_points(study, Ledger.open(tmp_path / "trials.json", "gxlt_f1"))
    values = [points.ask(number) for number in (1, 2, 3, 4)]
    assert values == [{"data.ntl": n, RATE: rate} for n in (1, 2) for rate in (1e-3, 1e-4)]
