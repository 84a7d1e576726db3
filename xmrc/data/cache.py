"""What is expensive is computed once. In: what it is computed from. Out: the folder that holds it.

A folder `root/kind/key` is either absent or whole: its writer fills a sibling that no reader looks
at and renames it into place, sealed with the sizes and checksums of its files. `key` is the
`content_hash` of everything the content depends on, so nothing in the cache ever has to be
invalidated.
"""

import errno
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from xmrc.errors import DataError, ResourceError
from xmrc.files import creating_folder, is_whole, remove_abandoned, seal

_STORAGE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class Cache:
    """Folders under `root`, found by the hash of what they were made from; shared by processes."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root).absolute()  # workers may run in another working directory

    def build(self, kind: str, key: str, write: Callable[[Path], None]) -> Path:
        """The folder of `key`, filled by `write(folder)` if no process has done so before.

        Of several builders one writes and the others wait for it. A file system that ignores locks
        (some network ones) costs double work, nothing else: the first rename wins. An error in
        `write` is raised as it is. Raises ResourceError where the storage cannot be written,
        DataError where the folder has lost something since.
        """
        target = self.root / kind / key
        try:
            if target.exists():
                return _whole(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(target.with_name(f".{key}.lock"))
            lock.acquire()
        except OSError as error:
            raise _unwritable(target.parent, error) from error
        try:
            if not target.exists():
                _fill(target, write)
        finally:
            lock.release()
        return _whole(target)


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


def _whole(folder: Path) -> Path:
    if not is_whole(folder):
        raise DataError(f"{folder}: must have all that was written there; delete the folder")
    return folder


def _unwritable(folder: Path, error: OSError) -> ResourceError:
    return ResourceError(f"storage: the folder must be writable, got {folder}: {error.strerror}")
