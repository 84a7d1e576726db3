import io
import re
import subprocess
import sys

import pytest
from rich.console import Console

from xmrc.search import progress
from xmrc.search.ledger import Ledger
from xmrc.search.progress import (
    ROWS,
    LiveTable,
    PlainLines,
    best_and_running,
    clock,
    headline,
    open_display,
    seconds_left,
    short_names,
    trials_frame,
    trials_table,
)

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


def evaluations(*scores):
    return [{"evaluation": i, "epoch": i / 2, "gxlt_f1": s} for i, s in enumerate(scores, 1)]


@pytest.fixture
def ledger(tmp_path):
    """Four trials asked for: one took 100 s, one is half through after 30 s, one has just begun."""
    ledger = Ledger.open(tmp_path / "trials.json", "gxlt_f1")
    ledger.propose("a", 1, {"data.ntl": 3, "training.learning_rate": 3.14159e-4}, now=0.0)
    ledger.evaluated("a", evaluations(50.0, 61.25), evaluations=2, now=99.0)
    ledger.end("a", "", None, now=100.0)
    ledger.propose("b", 2, {"data.ntl": 1}, now=70.0)
    ledger.evaluated("b", evaluations(40.0), evaluations=2, now=95.0)
    ledger.propose("c", 3, {"data.ntl": 2}, now=100.0)
    return ledger


def a_terminal(**more):
    return Console(file=io.StringIO(), force_terminal=True, width=100, height=40, **more)


def a_log():
    return Console(file=io.StringIO(), width=40)


def written(console):
    return ESCAPES.sub("", console.file.getvalue())


def test_the_time_left_by_hand(ledger):
    # 100 s for a whole trial and 30 s for half of one: 130 s for 1.5 trials; 2.5 trials to go
    left = 2.5 * 130 / 1.5
    assert seconds_left(ledger, trials=4, at_once=1, now=100.0) == pytest.approx(left)
    assert seconds_left(ledger, trials=4, at_once=2, now=100.0) == pytest.approx(left / 2)
    # a running trial counts as long as it really takes
    assert seconds_left(ledger, trials=4, at_once=1, now=160.0) == pytest.approx(2.5 * 190 / 1.5)


def test_the_time_left_is_unknown_before_the_first_report(tmp_path):
    ledger = Ledger.open(tmp_path / "trials.json", "gxlt_f1")
    assert seconds_left(ledger, trials=4, at_once=1, now=0.0) is None
    ledger.propose("a", 1, {}, now=0.0)
    assert seconds_left(ledger, trials=4, at_once=1, now=50.0) is None
    assert "left" not in headline(ledger, trials=4, at_once=1)


def test_no_time_is_left_when_all_has_ended(ledger):
    for trial in "bc":
        ledger.end(trial, "broken", None, now=110.0)
    assert seconds_left(ledger, trials=3, at_once=1, now=200.0) == 0.0
    assert headline(ledger, 3, 1) == "3 of 3 trials | best gxlt_f1 61.2 (trial 1)"


def test_the_headline(ledger, monkeypatch):
    monkeypatch.setattr(progress.time, "time", lambda: 100.0)
    expected = "1 of 4 trials | best gxlt_f1 61.2 (trial 1) | about 1:48 left"
    assert headline(ledger, trials=4, at_once=2) == expected


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (3599, "59:59"), (3600, "1:00:00")],
)
def test_clock(seconds, shown):
    assert clock(seconds) == shown


def test_names_are_as_short_as_they_can_be():
    keys = ["base.epochs", "training.epochs", "data.ntl"]
    assert short_names(keys) == {
        "base.epochs": "base.epochs",
        "training.epochs": "training.epochs",
        "data.ntl": "ntl",
    }


def test_a_log_has_a_line_for_each_ended_trial(ledger, monkeypatch):
    monkeypatch.setattr(progress.time, "time", lambda: 100.0)
    console = a_log()
    display = open_display(console, trials=4, at_once=2)
    assert isinstance(display, PlainLines)
    for trial in "bca":
        display.update(ledger, ledger.trials[trial])
    ledger.end("c", "DivergedError: [bold]no number[/bold]", None, now=101.0)
    display.update(ledger, ledger.trials["c"])
    display.close()
    first, second = console.file.getvalue().splitlines()
    assert first == (
        "trial 1 finished: gxlt_f1 61.2 with ntl=3 learning_rate=0.000314 | "
        "1 of 4 trials | best gxlt_f1 61.2 (trial 1) | about 1:48 left"
    )
    assert second.startswith(
        "trial 3 failed: no score with ntl=2 (DivergedError: [bold]no number[/bold]) | 2 of 4 "
    )


def test_the_table_of_the_trials(ledger):
    table = trials_table(list(ledger.trials.values()), "gxlt_f1")
    assert table.headings == ["trial", "ntl", "learning_rate", "state", "epoch", "gxlt_f1"]
    assert table.texts == [
        ["1", "3", "0.000314", "finished", "1", "61.2"],
        ["2", "1", "", "running", "0.5", "40.0"],
        ["3", "2", "", "running", "–", "–"],
    ]


def test_the_frame_of_the_trials_has_every_digit(ledger):
    frame = trials_frame(list(ledger.trials.values()), "gxlt_f1")
    assert frame.iloc[0].to_dict() == {
        "trial": 1, "data.ntl": 3, "training.learning_rate": 3.14159e-4, "state": "finished",
        "cause": "", "evaluations": 2, "seconds": 100.0, "gxlt_f1": 61.25,
    }  # fmt: skip
    assert frame.iloc[2].isna().to_list() == [False, False, True, *[False] * 4, True]


def test_a_terminal_has_one_table_that_is_redrawn(ledger, monkeypatch):
    monkeypatch.setattr(progress.time, "time", lambda: 100.0)
    console = a_terminal()
    display = open_display(console, trials=4, at_once=2)
    assert isinstance(display, LiveTable)
    display.update(ledger, ledger.trials["a"])
    text = written(console)
    assert "1 of 4 trials | best gxlt_f1 61.2 (trial 1) | about 1:48 left" in text
    assert {"0.000314", "finished", "running"} <= set(text.split())
    lines = text.count("\n")
    display.update(ledger, ledger.trials["a"])
    drawn = console.file.getvalue()
    assert drawn.count("\x1b[1A") >= lines - 1  # the cursor went back up over the first one
    assert not drawn.endswith(SHOW_CURSOR)
    display.close()
    display.close()
    assert SHOW_CURSOR in console.file.getvalue()


def test_the_table_of_a_long_search_has_the_best_and_all_that_run(ledger):
    for number in range(60):
        ledger.propose(f"t{number}", number, {"data.ntl": 1}, now=0.0)
        ledger.evaluated(f"t{number}", evaluations(float(number)), evaluations=1, now=1.0)
        ledger.end(f"t{number}", "", None, now=1.0)
    shown = best_and_running(ledger)
    assert len(shown) == ROWS
    assert shown[:2] == [ledger.trials["a"], ledger.trials["t59"]]  # 61.25, and 59
    assert [one.number for one in shown[-2:]] == [2, 3]


INTERRUPTED = """
from rich.console import Console
from xmrc.search.progress import LiveTable
LiveTable(Console(force_terminal=True), 4, 1)
raise KeyboardInterrupt
"""


def test_an_interrupted_search_gives_the_terminal_back():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True)
    assert 0 <= done.stdout.rfind(HIDE_CURSOR) < done.stdout.rfind(SHOW_CURSOR)
