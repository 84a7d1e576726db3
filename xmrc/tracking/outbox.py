"""Writes to a server that may fall silent.

In: small actions, each safe to repeat. Out: the same actions done in the order they came. One that
fails waits, with all that follow, and is tried again at a later call; nothing is raised, so that an
outage of the tracking server stops no search.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from xmrc.tracking.server import cause, patience

SECONDS_BETWEEN_TRIES = 15.0
TRIES = 3  # of a write that fails although the server answers


@dataclass
class _Write:
    what: str
    act: Callable[[], None]
    refusals: int = 0


@dataclass
class Outbox:
    """`ask` raises if the server does not answer."""

    ask: Callable[[], object]
    reason: str = ""
    _waiting: deque[_Write] = field(default_factory=deque)
    _lost: list[str] = field(default_factory=list)
    _next_try: float = 0.0

    def put(self, what: str, act: Callable[[], None]) -> None:
        """Do `act` now, or later if the server was silent a moment ago."""
        self._waiting.append(_Write(what, act))
        if time.monotonic() >= self._next_try:
            with patience(retries=0, seconds=10):
                self._work()

    def close(self) -> list[str]:
        """Try once more, with more patience; what is not written after that, and why."""
        with patience(retries=3, seconds=30):
            while self._waiting and self._answers():
                self._work()
        return [*self._lost, *(f"{write.what}: {self.reason}" for write in self._waiting)]

    def __len__(self) -> int:
        return len(self._waiting)

    def _work(self) -> None:
        while self._waiting:
            write = self._waiting[0]
            try:
                write.act()
            except Exception as error:  # of MLflow, its database or any artifact store
                reason = cause(error)
                write.refusals += self._answers()
                self.reason = reason
                if write.refusals < TRIES:
                    self._next_try = time.monotonic() + SECONDS_BETWEEN_TRIES
                    return
                self._lost.append(f"{write.what}: {reason}")
            self._waiting.popleft()

    def _answers(self) -> bool:
        try:
            self.ask()
        except Exception as error:
            self.reason = cause(error)
            return False
        return True
