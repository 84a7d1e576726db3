"""Writes to a server that may fall silent.

In: small actions, each safe to repeat, under a name. Out: the same actions done in the order they
came. One that fails waits, with all that follow, and is tried again at a later call; nothing is
raised, so that an outage of the tracking server stops no search.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic, sleep

from xmrc.tracking.interrupts import uninterrupted
from xmrc.tracking.server import cause, patience

SECONDS_BETWEEN_TRIES = 15.0
_SECONDS_BETWEEN_QUESTIONS = 1.0
_TRIES = 3  # of a write that fails although the server answers


@dataclass
class _Write:
    act: Callable[[], None]
    refusals: int = 0


@dataclass
class Outbox:
    """`ask` raises if the server does not answer."""

    ask: Callable[[], object]
    reason: str = ""
    _waiting: dict[str, _Write] = field(default_factory=dict)  # name -> write, in order
    _lost: list[str] = field(default_factory=list)
    _next_try: float = 0.0

    def put(self, what: str, act: Callable[[], None]) -> None:
        """Do `act` now, or later if the server was silent a moment ago. It takes the place of one
        that waits under the same name."""
        self._waiting[what] = _Write(act)
        if monotonic() >= self._next_try:
            with patience(retries=0, seconds=10):
                self._work()

    def answers_within(self, seconds: float) -> bool:
        """Whether the server answers, now or seconds later; if not it is left alone a while."""
        until = monotonic() + seconds
        with patience(retries=0, seconds=5):
            while not self._answers():
                if monotonic() >= until:
                    self._next_try = monotonic() + SECONDS_BETWEEN_TRIES
                    return False
                sleep(_SECONDS_BETWEEN_QUESTIONS)
        return True

    def close(self) -> list[str]:
        """Try once more, with more patience; what is not written after that, and why."""
        with patience(retries=2, seconds=5):
            while self._waiting and self._answers():
                self._work()
        return [*self._lost, *(f"{what}: {self.reason}" for what in self._waiting)]

    def __len__(self) -> int:
        return len(self._waiting)

    def _work(self) -> None:
        while self._waiting:
            what, write = next(iter(self._waiting.items()))
            try:
                with uninterrupted():
                    write.act()
            except Exception as error:  # of MLflow, its database or any artifact store
                reason = cause(error)
                write.refusals += self._answers()
                self.reason = reason
                if write.refusals < _TRIES:
                    self._next_try = monotonic() + SECONDS_BETWEEN_TRIES
                    return
                self._lost.append(f"{what}: {reason}")
            del self._waiting[what]

    def _answers(self) -> bool:
        try:
            self.ask()
        except Exception as error:
            self.reason = cause(error)
            return False
        return True
