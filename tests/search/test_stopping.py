"""ASHA over a kill: the same decisions as if nothing had happened."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from xmrc.search.ledger import Ledger
from xmrc.search.proposals import TRIAL
from xmrc.search.stopping import RecordedAsha, scheduler_of
from xmrc.settings import Study, load_study

EVALUATIONS = 9
NOBODY: Any = None


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    path = tmp_path_factory.mktemp("study") / "few.yaml"
    path.write_text(
        "name: few\n"
        "settings: {encoder: demo, base: null, start_from_base: false, training: {epochs: 9},"
        " data: {train: demo/train, select: demo/dev, max_length: 128, stride: 16}}\n"
        "space: {training.learning_rate: {log_float: [1e-5, 1e-2]}}\n"
        "search: {trials: 8, evaluate_every: 1.0, reduction_factor: 2}\n"
    )
    return load_study(path)


class Search:
    """Trials that report in some order, as Ray Tune tells a scheduler of them."""

    def __init__(self, folder: Path, study: Study) -> None:
        self.folder, self.study, self.clock = folder, study, 0.0
        self.actions: list[tuple[str, str]] = []
        self.begin()

    def begin(self) -> list[str]:
        self.ledger = Ledger.open(self.folder / "trials.json", "gxlt_f1")
        self.scheduler, behind = scheduler_of(self.study, self.ledger)
        self.added: set[str] = set()
        return behind

    def report(self, name: str, score: float) -> None:
        """One more evaluation of a trial, unless it was stopped."""
        self.clock += 1
        if name not in self.ledger.trials:
            self.ledger.propose(name, 1 + len(self.ledger.trials), {}, self.clock)
        record = self.ledger.trials[name]
        if record.state != "running":
            return
        trial: Any = SimpleNamespace(trial_id=f"ray-{name}-{self.clock}", config={TRIAL: name})
        if name not in self.added:
            self.scheduler.on_trial_add(NOBODY, trial)
            self.added.add(name)
        history = [*record.history, {"evaluation": len(record.history) + 1.0, "gxlt_f1": score}]
        self.ledger.evaluated(name, history, EVALUATIONS, self.clock)
        result = {"evaluation": len(history), "best": self.ledger.trials[name].best}
        action = self.scheduler.on_trial_result(NOBODY, trial, result)
        self.actions.append((name, action))
        if action == TrialScheduler.STOP or len(history) == EVALUATIONS:
            self.ledger.end(name, "", None, self.clock)
            self.scheduler.on_trial_complete(NOBODY, trial, result)


EVENTS = st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0, 100)), max_size=50)


@settings(max_examples=60, deadline=None)
@given(events=EVENTS, kills=st.sets(st.integers(0, 50), max_size=4))
def test_a_killed_search_stops_the_same_trials_at_the_same_evaluation(
    events: list[tuple[str, float]],
    kills: set[int],
    study: Study,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    whole, killed = (Search(tmp_path_factory.mktemp("asha"), study) for _ in range(2))
    for number, event in enumerate(events):
        if number in kills:
            assert killed.begin() == []
        for search in (whole, killed):
            search.report(*event)
    assert killed.actions == whole.actions


def test_there_are_stops_to_be_the_same(study: Study, tmp_path: Path) -> None:
    search = Search(tmp_path, study)
    for name, score in (("a", 50.0), ("b", 60.0), ("c", 10.0)):
        search.report(name, score)
    assert search.actions[-1] == ("c", TrialScheduler.STOP)
    assert search.ledger.trials["c"].state == "stopped"


def test_empty_rungs_would_have_let_it_go_on(study: Study) -> None:
    """Why the rungs are filled: a scheduler that knows nothing stops nobody."""
    asha = ASHAScheduler("evaluation", "best", "max", max_t=10, reduction_factor=2)
    trial: Any = SimpleNamespace(trial_id="c")
    asha.on_trial_add(NOBODY, trial)
    result = {"evaluation": 1, "best": 10.0}
    assert asha.on_trial_result(NOBODY, trial, result) == TrialScheduler.CONTINUE


def test_who_was_behind_when_the_search_was_killed_is_not_trained_on(
    study: Study, tmp_path: Path
) -> None:
    """The decision fell, and the kill came before anybody wrote it down."""
    search = Search(tmp_path, study)
    for name, score in (("a", 50.0), ("b", 60.0)):
        search.report(name, score)
    search.ledger.propose("c", 3, {}, 5.0)
    search.ledger.evaluated("c", [{"evaluation": 1.0, "gxlt_f1": 10.0}], EVALUATIONS, 6.0)
    assert search.begin() == ["c"]
    assert isinstance(search.scheduler, RecordedAsha)


def test_without_a_scheduler_nobody_is_stopped(study: Study, tmp_path: Path) -> None:
    none = study.model_copy(
        update={"search": study.search.model_copy(update={"scheduler": "none"})}
    )
    scheduler, behind = scheduler_of(none, Ledger.open(tmp_path / "trials.json", "gxlt_f1"))
    assert type(scheduler) is FIFOScheduler
    assert behind == []
