import threading
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmrc.files import read_document
from xmrc.search.ledger import Ledger


def history(*scores, metric="gxlt_f1"):
    return [{"evaluation": i, "epoch": float(i), metric: s} for i, s in enumerate(scores, 1)]


@pytest.fixture
def ledger(tmp_path):
    return Ledger.open(tmp_path / "trials.json", "gxlt_f1")


def start(ledger, trial, values, now):
    """A trial that is proposed and begins, or begins again."""
    if trial not in ledger.trials:
        ledger.propose(trial, 1 + len(ledger.trials), values, now)
    return ledger.start(trial, now)


def reopened(ledger):
    """What another process reads."""
    return Ledger.open(ledger.path, ledger.metric)


def test_a_trial_from_start_to_end(ledger):
    start(ledger, "a", {"data.ntl": 3, "objective.distill.coefficient": "map"}, now=100.0)
    assert (ledger.trials["a"].state, ledger.trials["a"].progress) == ("running", 0.0)
    ledger.evaluated("a", history(40.0), evaluations=2, now=130.0)
    assert ledger.trials["a"].progress == 0.5
    ledger.evaluated("a", history(40.0, 38.0), evaluations=2, now=150.0)
    record = ledger.end("a", "", None, now=151.0)
    assert (record.number, record.state, record.cause) == (1, "finished", "")
    assert (record.best, record.seconds, record.progress) == (40.0, 51.0, 1.0)
    assert record.values == {"data.ntl": 3, "objective.distill.coefficient": "map"}
    assert [one["gxlt_f1"] for one in record.history] == [40.0, 38.0]


def test_how_trials_end(ledger, tmp_path):
    for trial in ("whole", "behind", "broken", "silent"):
        start(ledger, trial, {}, now=0.0)
    ledger.evaluated("whole", history(1.0, 2.0), evaluations=2, now=1.0)
    ledger.evaluated("behind", history(1.0), evaluations=2, now=1.0)
    ledger.evaluated("broken", history(5.0), evaluations=2, now=1.0)
    ended = [
        ledger.end("whole", "", tmp_path / "checkpoint_000001", now=2.0),
        ledger.end("behind", "", None, now=2.0),
        ledger.end("broken", "DivergedError: the loss is not finite", None, now=2.0),
        ledger.end("silent", "ValueError: x", None, now=2.0),
    ]
    states = [(one.state, one.cause) for one in ended]
    assert states[0] == ("finished", "")
    assert states[1][0] == "stopped"
    assert "behind the others" in states[1][1]
    assert states[2] == ("failed", "DivergedError: the loss is not finite")
    assert states[3] == ("failed", "ValueError: x")
    assert ended[0].checkpoint == "checkpoint_000001"  # below the folder, wherever that is moved
    assert {one.progress for one in ended} == {1.0}


def test_the_best_come_first_and_of_equals_the_earlier(ledger):
    scores = {"a": 50.0, "b": 61.5, "c": 61.5, "d": None, "e": 0.0, "f": 61.4}
    for trial, score in scores.items():
        start(ledger, trial, {}, now=0.0)
        if score is not None:
            ledger.evaluated(trial, history(score, score - 1), evaluations=3, now=1.0)
    ledger.end("b", "lost", None, now=2.0)  # a failed trial keeps what it has reached
    assert [record.id for record in ledger.ranking] == ["b", "c", "f", "a", "e"]
    assert [record.id for record in ledger.table] == ["b", "c", "f", "a", "e", "d"]
    assert [record.id for record in ledger.ended] == ["b"]


def test_the_history_is_replaced_so_that_unheard_reports_are_made_up_for(ledger):
    start(ledger, "a", {}, now=0.0)
    ledger.evaluated("a", history(10.0), evaluations=4, now=1.0)
    ledger.evaluated("a", history(10.0, 30.0, 20.0), evaluations=4, now=2.0)
    assert len(ledger.trials["a"].history) == 3
    assert ledger.trials["a"].best == 30.0


def test_a_trial_that_begins_again_keeps_its_place_and_the_break_does_not_count(ledger):
    start(ledger, "a", {"data.ntl": 1}, now=100.0)
    start(ledger, "b", {"data.ntl": 2}, now=100.0)
    ledger.evaluated("a", history(10.0), evaluations=2, now=130.0)
    resumed = reopened(ledger)  # the search was killed, and goes on a day later
    record = start(resumed, "a", {"data.ntl": 1}, now=90_000.0)
    assert (record.number, record.state, len(record.history)) == (1, "running", 1)
    resumed.evaluated("a", history(10.0, 20.0), evaluations=2, now=90_010.0)
    assert resumed.end("a", "", None, now=90_011.0).seconds == pytest.approx(41.0)
    assert start(resumed, "c", {}, now=0.0).number == 3


def test_a_trial_is_known_from_its_proposal_on(ledger):
    ledger.propose("a", 7, {"data.ntl": 1}, now=5.0)
    (record,) = reopened(ledger).unfinished
    assert (record.number, record.values, record.state) == (7, {"data.ntl": 1}, "running")


def test_when_each_evaluation_was_heard_of_is_kept(ledger):
    start(ledger, "a", {}, now=0.0)
    ledger.evaluated("a", history(10.0), evaluations=4, now=1.0)
    ledger.evaluated("a", history(10.0, 30.0, 20.0), evaluations=4, now=2.0)
    assert reopened(ledger).trials["a"].reported == [1.0, 2.0, 2.0]


def test_without_a_metric_nothing_is_compared(tmp_path):
    ledger = Ledger.open(tmp_path / "base.json", "")
    start(ledger, "a", {}, now=0.0)
    ledger.evaluated("a", [{"evaluation": 1, "loss": 2.0}], evaluations=1, now=1.0)
    assert (ledger.end("a", "", None, now=2.0).state, ledger.ranking) == ("finished", [])


def test_a_discarded_checkpoint_is_no_longer_named(ledger, tmp_path):
    start(ledger, "a", {}, now=0.0)
    ledger.end("a", "", tmp_path / "c", now=1.0)
    assert reopened(ledger).trials["a"].checkpoint == "c"
    ledger.discarded("a")
    assert reopened(ledger).trials["a"].checkpoint is None


EVENTS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from(["start", "evaluated", "end", "fail"]),
        st.floats(0, 100),
    ),
    max_size=20,
)


@settings(deadline=None, max_examples=50)
@given(events=EVENTS)
def test_what_is_on_disk_is_what_is_known_after_every_event(tmp_path_factory, events):
    ledger = Ledger.open(tmp_path_factory.mktemp("ledger") / "trials.json", "gxlt_f1")
    for now, (trial, event, score) in enumerate(events):
        if event == "start" or trial not in ledger.trials:
            start(ledger, trial, {"lr": score}, now)
        elif event == "evaluated":
            before = ledger.trials[trial].history
            ledger.evaluated(trial, [*before, *history(score)], 5, now)
        else:
            ledger.end(trial, "" if event == "end" else "cause", None, now)
        kept = {name: asdict(record) for name, record in reopened(ledger).trials.items()}
        assert kept == {name: asdict(record) for name, record in ledger.trials.items()}


def test_a_reader_never_sees_half_a_ledger(ledger):
    start(ledger, "a", {"text": "x" * 100_000}, now=0.0)
    seen, done = [], threading.Event()

    def read():
        while not done.is_set():
            seen.append(len(read_document(ledger.path)[0]["history"]))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for count in range(1, 150):
            ledger.evaluated("a", history(*range(count)), evaluations=200, now=1.0)
    finally:
        done.set()
        reader.join()
    assert len(seen) > 3
    assert seen == sorted(seen)
    names = {path.name for path in ledger.path.parent.iterdir()}
    assert names == {"trials.json", ".trials.json.copy"}
