"""One search per run. In: the folder of a run. Out: the right to write there, or a refusal.

`lock.json` says who has it: host, process, since when; its time is the owner's heartbeat. An owner
on this machine lives as long as its process does, one elsewhere as long as its heart beats, by the
clock of the file system: those of two hosts may differ.
"""

import json
import os
import platform
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TextIO

from xmrc.errors import ResourceError
from xmrc.tracking.interrupts import interrupt_main_thread, uninterrupted

LOCK = "lock.json"
_SECONDS_BETWEEN_BEATS = 5.0
_SECONDS_OF_SILENCE = 60.0  # after which an owner elsewhere is dead


@dataclass(frozen=True)
class Owner:
    """A process that has a lock, told apart from all others that ever had its number."""

    host: str
    machine: str  # its boot, and who counts its processes; empty where nobody says
    pid: int
    born: str  # in ticks since the boot
    since: str
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __str__(self) -> str:
        return f"{self.host}, pid {self.pid}, since {self.since}"

    @classmethod
    def here(cls) -> "Owner":
        """This process, from now on."""
        now = datetime.now().astimezone().isoformat(" ", "seconds")
        return cls(platform.node(), _machine(), os.getpid(), _born(os.getpid()), now)

    @property
    def neighbour(self) -> bool:
        """Whether its process can be seen from here."""
        return bool(self.machine) and self.machine == _machine()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Have the run in `folder` to oneself.

    Errors: ResourceError with who has it; after the block, if it was lost in between.
    """
    path, mine, ended = folder / LOCK, Owner.here(), threading.Event()
    with uninterrupted():
        _take(path, mine)
    threading.Thread(target=_beat, args=(path, mine, ended), daemon=True).start()
    try:
        yield
    except KeyboardInterrupt as interrupt:
        if _owner(path) != mine:
            raise ResourceError(_lost(path)) from interrupt
        raise
    finally:
        ended.set()
        if _owner(path) == mine:
            path.unlink()


def living_owner(folder: Path) -> Owner | None:
    """Who has the run in `folder`, None: nobody."""
    owner = _owner(folder / LOCK)
    return owner if owner is not None and _lives(owner, folder / LOCK) else None


def is_ours(folder: Path) -> bool:
    """Whether it is this process that has the run in `folder`."""
    owner = _owner(folder / LOCK)
    return owner is not None and owner.neighbour and owner.pid == os.getpid()


def _take(path: Path, mine: Owner) -> None:
    """Make the lock, or take it over from a dead owner. ResourceError: a living one has it."""
    while not _created(path, mine):
        owner = _owner(path)
        if owner is None:
            continue  # let go of in this very moment
        if _lives(owner, path):
            raise ResourceError(_refusal(path, owner))
        # Only who has the claim named after the dead owner may replace that very lock. A claim is
        # a lock, too: who has it may die.
        claim = path.with_name(f"{path.name}.{owner.key}")
        _take(claim, mine)
        if _owner(path) == owner:
            os.replace(claim, path)
            return
        claim.unlink()


def _created(path: Path, mine: Owner) -> bool:
    """Write the lock unless there is one. ResourceError: it cannot be written."""
    try:
        with path.open("x", encoding="utf-8") as file:
            json.dump(asdict(mine), file)
    except FileExistsError:
        return False
    except OSError as error:
        raise ResourceError(f"{path}: cannot be written: {error.strerror or error}") from error
    return True


def _owner(path: Path) -> Owner | None:
    """Who the lock names; None where there is none."""
    try:
        with path.open(encoding="utf-8") as file:
            return _read(file)
    except FileNotFoundError:
        return None


def _read(file: TextIO) -> Owner:
    """Who a lock names; who is still writing it, or was killed while it did, has no name."""
    try:
        return Owner(**json.load(file))
    except (ValueError, TypeError):
        written = os.fstat(file.fileno())
        key = f"nameless-{written.st_ino}-{written.st_mtime_ns}"  # another one for every file
        return Owner("an unknown host", "", 0, "", "a moment ago", key)


def _lives(owner: Owner, path: Path) -> bool:
    if owner.neighbour:
        return _born(owner.pid) == owner.born
    return _silence(path) < _SECONDS_OF_SILENCE


def _silence(path: Path) -> float:
    """Seconds since the last heartbeat, by the clock of the file system."""
    probe = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    probe.touch()
    try:
        return probe.stat().st_mtime - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0  # let go of in this very moment
    finally:
        probe.unlink()


def _beat(path: Path, mine: Owner, ended: threading.Event) -> None:
    """Keep the lock's time young; a lock that was lost ends the search."""
    while not ended.wait(_SECONDS_BETWEEN_BEATS):
        try:
            if _owner(path) != mine:
                break
            os.utime(path)
        except OSError:
            continue  # a storage that is away for a while
    if not ended.is_set():
        interrupt_main_thread()


def _refusal(path: Path, owner: Owner) -> str:
    elsewhere = f" (if that is gone: free {_SECONDS_OF_SILENCE:.0f} s after it was last there)"
    return (
        f"{path.parent}: must be written to by one search at a time, and is by {owner}"
        f"{'' if owner.neighbour else elsewhere}"
    )


def _lost(path: Path) -> str:
    owner = _owner(path)
    by = f"was taken over by {owner}" if owner else f"is gone from its place, and {path.name} too"
    return f"{path.parent}: must be this search's alone to its end, and {by}"


def _machine() -> str:
    """This boot of this machine, and the processes that are counted together with this one."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""  # no Linux: the heartbeat decides


def _born(pid: int) -> str:
    """When the process of that number began, in ticks since the boot; empty if it is no more."""
    try:
        state, *others = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state in "ZX" else others[18]
