"""What a user sees while a search runs. In: the ledger. Out: one live table, or plain lines.

On a terminal the table is redrawn in place; elsewhere (a job's log) each ended trial is one line.
"""

import atexit
import time
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import pandas as pd
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from xmrc.search.ledger import RUNNING, Ledger, TrialRecord
from xmrc.tables import Column, Table, as_terminal, frame_of

ROWS = 20  # trials in the live table; the best and the running ones


def say(console: Console, text: str) -> None:
    """A line as it is: nothing wrapped, coloured or read as markup."""
    console.print(text, highlight=False, soft_wrap=True, markup=False)


class _Display(Protocol):
    """Shows how a search goes."""

    def update(self, ledger: Ledger, changed: TrialRecord) -> None:
        """`changed` has just started, reported or ended."""

    def close(self) -> None:
        """Leave the terminal as it was."""


def open_display(console: Console, trials: int, at_once: int) -> _Display:
    """The live table on a terminal, plain lines elsewhere."""
    if console.is_terminal:
        return LiveTable(console, trials, at_once)
    return PlainLines(console, trials, at_once)


class PlainLines:
    """One line for each trial that ends."""

    def __init__(self, console: Console, trials: int, at_once: int) -> None:
        self._console, self._trials, self._at_once = console, trials, at_once

    def update(self, ledger: Ledger, changed: TrialRecord) -> None:
        """Say how a trial ended."""
        if changed.state == RUNNING:
            return
        score = "no score" if changed.best is None else f"{ledger.metric} {changed.best:.1f}"
        values = f" with {shown_values(changed.values)}" if changed.values else ""
        line = f"trial {changed.number} {changed.state}: {score}{values}"
        cause = f" ({changed.cause})" if changed.state == "failed" else ""
        say(self._console, f"{line}{cause} | {headline(ledger, self._trials, self._at_once)}")

    def close(self) -> None:
        """Nothing to put back."""


class LiveTable:
    """The trials, the best so far and the time left, redrawn in place."""

    def __init__(self, console: Console, trials: int, at_once: int) -> None:
        self._trials, self._at_once = trials, at_once
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._live.start()
        atexit.register(self.close)  # also where the search is interrupted

    def update(self, ledger: Ledger, changed: TrialRecord) -> None:
        """Redraw."""
        head = Text(headline(ledger, self._trials, self._at_once), style="bold")
        table = as_terminal(trials_table(best_and_running(ledger), ledger.metric))
        self._live.update(Group(head, table), refresh=True)

    def close(self) -> None:
        """Take the table off the terminal."""
        self._live.stop()
        atexit.unregister(self.close)


def best_and_running(ledger: Ledger) -> list[TrialRecord]:
    """What the live table has rows for: all that run, and above them the best that have ended."""
    running = [trial for trial in ledger.trials.values() if trial.state == RUNNING]
    best = [trial for trial in ledger.ranking if trial.state != RUNNING]
    return (best[: max(0, ROWS - len(running))] + running)[:ROWS]


def headline(ledger: Ledger, trials: int, at_once: int) -> str:
    """`5 of 8 trials | best gxlt_f1 58.1 (trial 3) | about 1:20 left`."""
    parts = [f"{len(ledger.ended)} of {trials} trials"]
    if ledger.ranking:
        best = ledger.ranking[0]
        parts.append(f"best {ledger.metric} {best.best:.1f} (trial {best.number})")
    left = seconds_left(ledger, trials, at_once, time.time())
    if left is not None and left > 0:
        parts.append(f"about {clock(left)} left")
    return " | ".join(parts)


def seconds_left(ledger: Ledger, trials: int, at_once: int, now: float) -> float | None:
    """Time for what is still to run, at the pace seen, `at_once` side by side; None: unknown."""
    seen = [record for record in ledger.trials.values() if record.progress > 0]
    if not seen:
        return None
    spent = sum(
        now - record.started if record.state == RUNNING else record.seconds for record in seen
    )
    per_trial = spent / sum(record.progress for record in seen)
    remaining = trials - sum(record.progress for record in ledger.trials.values())
    return max(0.0, remaining * per_trial / at_once)


def trials_frame(records: Sequence[TrialRecord], metric: str) -> pd.DataFrame:
    """A row for each trial, in the given order: what was searched, how it went, its best score."""
    return frame_of(
        {
            "trial": record.number,
            **record.values,
            "state": record.state,
            "cause": record.cause,
            "evaluations": len(record.history),
            "seconds": round(record.seconds, 1),
            metric: record.best,
        }
        for record in records
    )


def trials_table(records: Sequence[TrialRecord], metric: str) -> Table:
    """The trials as they are looked at, with the epoch that each has come to."""
    epochs = [one.history[-1]["epoch"] if one.history else None for one in records]
    keys = dict.fromkeys(key for record in records for key in record.values)
    return Table(
        trials_frame(records, metric).assign(epoch=epochs),
        [
            Column("trial"),
            *(Column(key, name, shown_value, absent="") for key, name in short_names(keys).items()),
            Column("state"),
            Column("epoch", show="{:.3g}"),
            Column(metric, show="{:.1f}"),
        ],
    )


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """`temperature` for objective.distill.temperature: the fewest last parts that tell it apart."""
    parts = {key: key.split(".") for key in keys}

    def shortest(key: str) -> str:
        for length in range(1, len(parts[key]) + 1):
            end = parts[key][-length:]
            if sum(other[-length:] == end for other in parts.values()) == 1:
                return ".".join(end)
        return key

    return {key: shortest(key) for key in parts}


def shown_values(values: dict[str, Any]) -> str:
    """`ntl=3 temperature=2.1`."""
    names = short_names(values)
    return " ".join(f"{names[key]}={shown_value(value)}" for key, value in values.items())


def shown_value(value: Any) -> str:
    """Numbers with three digits, everything else as it is."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def clock(seconds: float) -> str:
    """Minutes and seconds, with hours where there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
