"""The checkpoints of one training, on disk. In: its folder. Out: the best reader, where to go on.

checkpoint_000004/                after the fourth evaluation
    model/                        the reader, sealed; opens with `AutoModelForQuestionAnswering`
    history.json, observed.json   what was reported until then
    state/                        what going on needs beside the reader, sealed; of the last alone

What a killed process has left behind is known from the disk alone; nobody else keeps a list.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from xmrc.errors import DataError, ResourceError
from xmrc.files import creating_folder, remove_abandoned
from xmrc.learning.history import History
from xmrc.seals import is_intact, is_whole

MODEL, STATE = "model", "state"
_LOCK = ".lock"
_PROBE = 1 << 20  # bytes
_PATIENCE = 120.0  # seconds that a killed process may take to end


class StorageFullError(ResourceError):
    """There is no space for a checkpoint."""


@dataclass(frozen=True)
class Checkpoints:
    """What one training has written into `folder`.

    `metric`: what the best one is best at, higher is better; None: the last one is the best.
    """

    folder: Path
    metric: str | None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the only process that writes here, on this machine and wherever locks are shared.

        A search that was killed may leave one behind that trains on for a second or two. Errors:
        ResourceError if there is another one and it does not end.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / _LOCK, timeout=_PATIENCE):
                yield
        except Timeout as error:
            raise ResourceError(
                f"{self.folder}: must be trained by one process at a time, and another still does"
            ) from error

    @contextmanager
    def adding(self, evaluation: int) -> Iterator[Path]:
        """A folder to write the checkpoint of an evaluation into.

        Once it is whole only the best one, without its state, and this one are kept. Errors:
        StorageFullError.
        """
        target = self.folder / f"checkpoint_{evaluation:06d}"
        remove_abandoned(target)
        shutil.rmtree(target, ignore_errors=True)  # nothing could go on from there
        with creating_folder(target) as partial, _naming_a_full_disk(partial):
            yield partial
        self._keep(self.best(), target)

    def newest(self) -> Path | None:
        """Where to go on: the furthest checkpoint that is as it was written, with its state."""
        return next((path for path in self._furthest_first() if _goes_on(path)), None)

    def damaged(self) -> list[Path]:
        """Checkpoints behind the newest from which nobody can go on any more, the last first."""
        newest = self.newest()
        paths = self._furthest_first()
        return paths if newest is None else paths[: paths.index(newest)]

    def best(self) -> Path | None:
        """The checkpoint of the best evaluation, of equals the later."""
        found = []
        for path in self._furthest_first():
            rows = _rows(path)
            if rows and is_whole(path / MODEL):
                worth = 0.0 if self.metric is None else rows[-1][self.metric]
                found.append((worth, len(rows), path))
        return max(found)[-1] if found else None

    def settle(self) -> Path | None:
        """The training has ended: the reader of its best checkpoint stays, and nothing else."""
        best = self.best()
        self._keep(best, None)
        return best

    def discard(self) -> None:
        """Delete them all; the scores stay."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _keep(self, best: Path | None, last: Path | None) -> None:
        for path in self._furthest_first():
            if path not in (best, last):
                shutil.rmtree(path, ignore_errors=True)
            elif path != last:
                shutil.rmtree(path / STATE, ignore_errors=True)

    def _furthest_first(self) -> list[Path]:
        return sorted(self.folder.glob("checkpoint_*"), reverse=True)


@contextmanager
def _naming_a_full_disk(partial: Path) -> Iterator[None]:
    """Libraries say in many ways that they could not write; whether for want of space, we see."""
    try:
        yield
    except Exception as error:
        try:
            with (partial / "probe").open("wb") as probe:
                probe.write(bytes(_PROBE))
        except OSError as full:
            place = partial.parent
            raise StorageFullError(f"{place}: cannot be written: {full.strerror}") from error
        raise


def _goes_on(checkpoint: Path) -> bool:
    parts = (checkpoint / MODEL, checkpoint / STATE)
    return bool(_rows(checkpoint)) and all(map(is_intact, parts))


def _rows(checkpoint: Path) -> list[dict[str, float]]:
    """What was reported, an evaluation a row; none where that is not as it was written."""
    try:
        return History.read(checkpoint).rows
    except (DataError, FileNotFoundError):
        return []
