"""The checkpoints of trials, as they lie on disk. In: a study's folder. Out: a trial's best one.

Ray tells of a checkpoint only while its driver listens; what a killed search has left behind is
known from the disk alone. A checkpoint holds its trial's history, so it says itself what it is.
"""

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xmrc.files import is_whole
from xmrc.learning.history import HISTORY
from xmrc.search.ledger import Ledger
from xmrc.search.phases import Phase


@dataclass(frozen=True)
class TrialFiles:
    """Where the trainings of one phase of a study keep their checkpoints, below its `folder`.

    `metric`: what the best one is best at, higher is better; None: the last one is the best.
    """

    folder: Path
    phase: Phase
    metric: str | None

    def open_ledger(self) -> Ledger:
        """What has happened to the trainings, or a new ledger; a base has none."""
        assert self.metric is not None
        return Ledger.open(self.folder / self.phase.ledger, self.metric)

    @property
    def workers(self) -> Path:
        """The storage of the Ray Train groups of the trials."""
        return self.folder / f"{self.phase.name}-workers"

    def best(self, trial: str) -> Path | None:
        """The checkpoint of the best evaluation, of equals the later.

        A copy that a kill cut short is never the latest of its evaluation: it was done again.
        """
        found = []
        for path in self._checkpoints(trial):
            history = _history(path)
            if history:
                worth = 0.0 if self.metric is None else history[-1][self.metric]
                found.append((worth, len(history), path.stat().st_mtime, path))
        return max(found)[-1] if found else None

    def newest(self, trial: str) -> Path | None:
        """The checkpoint that a trial in its own process goes on from, whatever Ray knew of it."""
        whole = [path for path in self._own(trial) if _history(path) and is_whole(path)]
        return max(whole, key=lambda path: (len(_history(path)), _written(path)), default=None)

    def thin(self, trial: str, *, seconds: float) -> None:
        """Delete what is neither the best nor the last, nor younger than `seconds`.

        A group of workers is left alone: Ray Train deletes only what it has written off.
        """
        ages = {path: _written(path) for path in self._own(trial) if _history(path)}
        kept = {self.best(trial), max(ages, key=ages.__getitem__, default=None)}
        for path, written in ages.items():
            if path not in kept and time.time() - written >= seconds:
                shutil.rmtree(path, ignore_errors=True)

    def discard(self, trial: str) -> None:
        """Delete the checkpoints of a trial that has ended; its scores stay."""
        for path in self._checkpoints(trial):
            shutil.rmtree(path, ignore_errors=True)

    def _checkpoints(self, trial: str) -> Iterator[Path]:
        yield from self._own(trial)
        yield from _folders_in(self.workers / trial)

    def _own(self, trial: str) -> Iterator[Path]:
        """Those that Ray Tune keeps itself: of trials in their own process."""
        return _folders_in(self.folder / self.phase.name / trial)


def _folders_in(place: Path) -> Iterator[Path]:
    return (path for path in place.glob("checkpoint_*") if path.is_dir())


def _written(checkpoint: Path) -> float:
    """When, in seconds since the epoch; a resumed trial writes over what a kill has left."""
    return (checkpoint / HISTORY).stat().st_mtime


def _history(checkpoint: Path) -> list[dict[str, float]]:
    """Empty where the copy was cut short."""
    try:
        return list(json.loads((checkpoint / HISTORY).read_text()))
    except (FileNotFoundError, ValueError):
        return []
