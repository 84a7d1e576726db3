import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from xmrc.tracking.interrupts import (
    heed_sigterm,
    interrupted_by,
    own_handler,
    undisturbed,
    uninterrupted,
)
from xmrc.tracking.tracker import Tracker


@pytest.fixture(autouse=True)
def default_handler() -> Iterator[None]:
    """Python's own; a shell's background job ignores Ctrl-C, and Ray Train leaves a handler."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    at_sigterm = signal.getsignal(signal.SIGTERM)
    heed_sigterm()
    yield
    signal.signal(signal.SIGINT, before)
    signal.signal(signal.SIGTERM, at_sigterm)


def pressed_in_a_block(end: Callable[[], object], number: int = signal.SIGINT) -> None:
    with uninterrupted():
        signal.raise_signal(number)
        end()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_interrupt_comes_after_the_block(number: signal.Signals) -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        pressed_in_a_block(lambda: done.append("the rest of the block"), number)
    assert done == ["the rest of the block"]
    assert interrupted_by() == number
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)


def test_what_ends_an_interrupted_study_is_not_interrupted() -> None:
    with undisturbed():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)


def other_handler_in_a_block(code: int) -> None:
    """As Ray has it while it starts."""
    with own_handler():
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(code))
        signal.raise_signal(signal.SIGTERM)


def test_sigterm_is_ours_although_ray_has_a_handler_of_its_own() -> None:
    with pytest.raises(KeyboardInterrupt):
        other_handler_in_a_block(signal.SIGTERM)
    assert interrupted_by() == signal.SIGTERM
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)


def test_any_other_exit_is_one() -> None:
    with pytest.raises(SystemExit):
        other_handler_in_a_block(3)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)


def test_an_error_of_the_block_is_known_behind_the_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt) as caught:
        pressed_in_a_block(lambda: int("no number"))
    assert isinstance(caught.value.__context__, ValueError)


def test_other_threads_have_nothing_to_wait_for() -> None:
    seen = []

    def work() -> None:
        with uninterrupted():
            seen.append(signal.getsignal(signal.SIGINT))

    usual = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [usual]


def test_a_write_that_is_interrupted_leaves_the_database_open(
    new_database: Path, tmp_path: Path
) -> None:
    """Ctrl-C while SQLite executes a statement; then another writes down how the study ended."""
    uri = f"sqlite:///{new_database}"
    tracker = Tracker.open(uri, str(tmp_path), "interrupted")
    tracker.start_study("skd", {}, {})
    tracker.start_trial("t1", "first", {})
    pressed = []

    def press(cursor: Any, statement: str, parameters: Any, context: object) -> bool:
        """In place of SQLAlchemy's own call; True: nothing else needs to be executed."""
        cursor.executemany(statement, rows(statement, parameters))
        return True

    def rows(statement: str, parameters: Sequence[Any]) -> Iterator[Any]:
        for number, row in enumerate(parameters):
            if number and "INSERT INTO metrics" in statement:
                pressed.append(statement)
                signal.raise_signal(signal.SIGINT)
            yield row

    sqlalchemy.event.listen(sqlalchemy.Engine, "do_executemany", press)
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            tracker.log_evaluation("t1", 1, {"gxlt_em": 0.5, "gxlt_f1": 1.0})
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "do_executemany", press)
    assert len(pressed) == 1
    assert caught.tb, "on its way up, the interrupt holds on to what it has interrupted"
    tracker.end_study("stopped", "KeyboardInterrupt: no message")
    assert tracker.close() == []
    assert tracker.client.get_run(tracker.run_id()).info.status == "KILLED"
    assert tracker.client.get_run(tracker.run_id("t1")).data.metrics == {
        "gxlt_em": 0.5,
        "gxlt_f1": 1.0,
    }
