"""What is expensive is computed once. In: what it is computed from. Out: the folder that holds it.

A folder `root/kind/key` is either absent or whole: its writer fills a sibling that no reader looks
at and renames it into place, sealed with the sizes and checksums of its files. `key` is the
`content_hash` of everything the content depends on, so nothing in the cache ever has to be
invalidated. What was damaged since is found by its checksum, named on standard error and made
again.
"""

import errno
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from xmrc.errors import ResourceError
from xmrc.files import creating_folder, discard_folder, notice, remove_abandoned
from xmrc.seals import damage_of, seal

_STORAGE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class Cache:
    """Folders under `root`, found by the hash of what they were made from; shared by processes."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root).absolute()  # workers may run in another working directory

    def build(self, kind: str, key: str, write: Callable[[Path], None]) -> Path:
        """The folder of `key`, filled by `write(folder)` if no process has done so before.

        Of several builders one writes and the others wait for it. A file system that ignores locks
        (some network ones) costs double work, nothing else: the first rename wins. A folder that is
        damaged is filled anew. An error in `write` is raised as it is. Raises ResourceError where
        the storage cannot be written.
        """
        target = self.root / kind / key
        if damage_of(target):  # or another process is making it: under the lock that is known
            with _locked(target):
                _discard_damaged(target)
                if not target.exists():
                    _fill(target, write)
        return target

    def found(self, kind: str) -> list[Path]:
        """All folders of a kind, sorted by key, without the damaged ones, which are deleted.

        Raises ResourceError where the storage cannot be written.
        """
        folders = sorted((self.root / kind).glob("[!.]*"))
        for folder in filter(damage_of, folders):
            with _locked(folder):
                _discard_damaged(folder)
        return [folder for folder in folders if folder.exists()]


def content_hash(*parts: Any) -> str:
    """20 hexadecimal digits that depend on the parts, their kinds and their order alone.

    A part is text, bytes, or anything that JSON can say (a mapping's order does not count).
    """
    digest = hashlib.sha256()
    for part in parts:
        kind, content = _canonical(part)
        digest.update(b"%s %d " % (kind, len(content)))  # no two lists of parts spell the same
        digest.update(content)
    return digest.hexdigest()[:20]


def _canonical(part: Any) -> tuple[bytes, bytes]:
    if isinstance(part, bytes):
        return b"bytes", part
    if isinstance(part, str):
        return b"text", part.encode("utf-8", "surrogatepass")
    plain = dict(part) if isinstance(part, Mapping) else part
    spelled = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return b"json", spelled.encode()


def _fill(target: Path, write: Callable[[Path], None]) -> None:
    """Called under this machine's lock alone: what lies beside `target` was left by the killed."""
    remove_abandoned(target)
    begun = False
    try:
        with creating_folder(target) as partial:
            begun = True
            write(partial)
            seal(partial)
    except OSError as error:
        if error.errno in _STORAGE_ERRORS or not begun:
            raise _unwritable(target.parent, error) from error
        raise


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(target.with_name(f".{target.name}.lock"))
        lock.acquire()
    except OSError as error:
        raise _unwritable(target.parent, error) from error
    try:
        yield
    finally:
        lock.release()


def _discard_damaged(folder: Path) -> None:
    if not folder.exists() or not (damage := damage_of(folder)):
        return
    notice(f"{damage}; it is made again")
    try:
        discard_folder(folder)
    except OSError as error:
        raise _unwritable(folder.parent, error) from error


def _unwritable(folder: Path, error: OSError) -> ResourceError:
    return ResourceError(f"storage: the folder must be writable, got {folder}: {error.strerror}")
