"""The checkpoints of trials, as they lie on disk. In: a study's folder. Out: a trial's best one.

Ray tells of a checkpoint only while its driver listens; what a killed search has left behind is
known from the disk alone. A checkpoint holds its trial's history, so it says itself what it is.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xmrc.learning.history import HISTORY

SEARCH = "search"  # the trials of a study; its base is a search of its own, of one trial


@dataclass(frozen=True)
class TrialFolders:
    """Where the trials of one search keep their checkpoints: `name` below `folder`."""

    folder: Path
    name: str

    @property
    def workers(self) -> Path:
        """The storage of the Ray Train groups of the trials."""
        return self.folder / f"{self.name}-workers"

    def best(self, trial: str, metric: str | None) -> Path | None:
        """The checkpoint of the best evaluation, of equals the later; of the last without a metric.

        A copy that a kill cut short is never the latest of its evaluation: it was done again.
        """
        found = []
        for path in self._checkpoints(trial):
            history = _history(path)
            if history:
                worth = 0.0 if metric is None else history[-1][metric]
                found.append((worth, len(history), path.stat().st_mtime, path))
        return max(found)[-1] if found else None

    def discard(self, trial: str) -> None:
        """Delete the checkpoints of a trial that has ended; its scores stay."""
        for path in self._checkpoints(trial):
            shutil.rmtree(path, ignore_errors=True)

    def _checkpoints(self, trial: str) -> Iterator[Path]:
        for place in (self.folder / self.name, self.workers):
            yield from (path for path in (place / trial).glob("checkpoint_*") if path.is_dir())


def _history(checkpoint: Path) -> list[dict[str, float]]:
    """Empty where the copy was cut short."""
    try:
        return list(json.loads((checkpoint / HISTORY).read_text()))
    except (FileNotFoundError, ValueError):
        return []
