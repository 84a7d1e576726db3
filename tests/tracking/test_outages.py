from collections.abc import Callable
from typing import Any

import pytest

from xmrc.errors import ResourceError
from xmrc.tables import Table, frame_of
from xmrc.tracking import outbox
from xmrc.tracking.outbox import Outbox
from xmrc.tracking.tracker import Tracker


class DownError(Exception):
    pass


class FakeServer:
    """Keeps what it is told, in order, while it is up."""

    def __init__(self) -> None:
        self.up = True
        self.kept: list[str] = []

    def ask(self) -> None:
        if not self.up:
            raise DownError("no route")

    def write(self, text: str) -> Callable[[], None]:
        def act() -> None:
            self.ask()
            self.kept.append(text)

        return act


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(outbox, "monotonic", lambda: now[0])
    return now


def test_writes_wait_and_keep_their_order(clock: list[float]) -> None:
    server = FakeServer()
    box = Outbox(server.ask)
    box.put("a", server.write("a"))
    server.up = False
    for text in "bcd":
        box.put(text, server.write(text))
    assert (server.kept, len(box), box.reason) == (["a"], 3, "no route")
    server.up = True
    box.put("e", server.write("e"))
    assert server.kept == ["a"], "a silent server is left alone for a while"
    clock[0] += outbox.SECONDS_BETWEEN_TRIES
    box.put("f", server.write("f"))
    assert server.kept == list("abcdef")
    assert box.close() == []


def test_what_is_reported_again_waits_once(clock: list[float]) -> None:
    server = FakeServer()
    server.up = False
    box = Outbox(server.ask)
    for name, text in [("a", "old"), ("b", "b"), ("a", "new")]:
        box.put(name, server.write(text))
    assert len(box) == 2
    server.up = True
    assert box.close() == []
    assert server.kept == ["new", "b"]


def test_what_the_server_refuses_does_not_hold_up_the_rest(clock: list[float]) -> None:
    server = FakeServer()
    box = Outbox(server.ask)

    def refuse() -> None:
        raise ValueError("too long\nand more")

    box.put("bad", refuse)
    box.put("good", server.write("good"))
    assert server.kept == []
    assert box.close() == ["bad: too long"]
    assert server.kept == ["good"]


def test_what_waits_in_the_end_is_named(clock: list[float]) -> None:
    server = FakeServer()
    server.up = False
    box = Outbox(server.ask)
    for step in range(3):
        box.put(f"step {step}", server.write(str(step)))
    assert box.close() == [f"step {i}: no route" for i in range(3)]
    server.up = True
    assert box.close() == []
    assert server.kept == ["0", "1", "2"]


@pytest.mark.faults
def test_a_real_server_stops_and_comes_back(
    server: Any, monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    tracker = Tracker.open(server.uri, "runs", "outage")
    tracker.start_study("skd", {}, {})
    tracker.start_trial("t1", "first", {"ntl": 1})
    tracker.log_evaluation("t1", 1, {"gxlt_f1": 1.0})
    assert tracker.trouble == ""

    with server.stopped():
        for step in (1, 2):
            tracker.log_evaluation("t1", step, {"gxlt_f1": step})
        tracker.end_trial("t1", "finished")
        tracker.start_trial("t2", "second", {"ntl": 2})
        tracker.log_evaluation("t2", 1, {"gxlt_f1": 3.0})
        tracker.log_table(Table(frame_of([{"trial": "t1"}])), "trials.csv")
        assert "5 writes wait" in tracker.trouble
        assert "127.0.0.1" in tracker.trouble, "the server that does not answer is named"
        assert len(tracker.close()) == 5
        with pytest.raises(ResourceError, match=r"tracking\.uri"):
            tracker.run_id("t2")
        with pytest.raises(ResourceError, match=r"tracking\.uri"):
            Tracker.open(server.uri, "runs", "outage")

    clock[0] += outbox.SECONDS_BETWEEN_TRIES
    tracker.end_trial("t2", "stopped", "ASHA")
    assert tracker.trouble == ""
    assert tracker.close() == []

    client = tracker.client
    first, second = (client.get_run(tracker.run_id(trial)) for trial in ("t1", "t2"))
    points = client.get_metric_history(first.info.run_id, "gxlt_f1")
    assert [(point.step, point.value) for point in points] == [(1, 1.0), (2, 2.0)]
    assert (first.info.status, second.info.status) == ("FINISHED", "KILLED")
    assert second.info.run_name == "second"
    assert second.data.params == {"ntl": "2"}
    assert second.data.metrics == {"gxlt_f1": 3.0}
    assert [file.path for file in client.list_artifacts(tracker.run_id())] == ["trials.csv"]
