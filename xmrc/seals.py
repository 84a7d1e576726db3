"""Checksums of folders. In: a folder that is whole. Out: whether it still is as it was written.

A seal lies in the folder, or goes with its copies.
"""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from xmrc.errors import DataError
from xmrc.files import INTACT, digest_of, write_text

SEAL = "seal.json"  # bytes and SHA-256 of every other file of a folder


def seal(folder: Path) -> None:
    """Write down what a folder holds, once all of it is there."""
    sealed = {"bytes": _sizes(folder), "sha256": _sums(folder)}
    write_text(folder / SEAL, json.dumps({**sealed, "seal": digest_of(sealed)}))


def is_whole(folder: Path) -> bool:
    """Whether a copy of a sealed folder has all of it, by the sizes; not if it was never sealed."""
    return _sealed(folder).get("bytes") == _sizes(folder)


def is_intact(folder: Path) -> bool:
    """Whether a copy of a sealed folder is the very same, by the checksums; reads all of it."""
    return is_whole(folder) and _sealed(folder).get("sha256") == _sums(folder)


def check_intact(path: Path) -> None:
    """Refuse a folder, or a file of it, that was damaged or lost since the folder was sealed.

    What was never sealed passes, and so does what was added. Goes by the checksums, which are taken
    once in a process as long as sizes and times stay. Raises DataError (the file, the rule).
    """
    folder = path if path.is_dir() else path.parent
    if (folder / SEAL).exists():
        files = sorted(folder.rglob("*")) if folder == path else [path, folder / SEAL]
        only = None if folder == path else path.name
        _check_sums(folder.absolute(), only, tuple(map(_stamp, files)))


def damage_of(folder: Path) -> str:
    """Why `check_intact` refuses a folder, or that it has no seal; empty where all is well."""
    try:
        check_intact(folder)
        return "" if (folder / SEAL).exists() else f"{folder / SEAL}: must be there, and is not"
    except (DataError, OSError) as error:
        return str(error)


def _stamp(path: Path) -> tuple[str, int, int]:
    stat = path.lstat()
    return str(path), stat.st_size, stat.st_mtime_ns


@cache
def _check_sums(folder: Path, only: str | None, stamps: tuple[tuple[str, int, int], ...]) -> None:
    """An error is not remembered: who asks again is refused again."""
    sums = _sealed(folder).get("sha256")
    if sums is None:
        raise DataError(f"{folder / SEAL}: {INTACT}")
    for path in (folder / name for name in sums if only in (None, name)):
        try:
            intact = path.is_file() and _sum(path) == sums[path.relative_to(folder).as_posix()]
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}") from error
        if not intact:
            raise DataError(f"{path}: {INTACT}")


def _sealed(folder: Path) -> dict[str, Any]:
    """What `seal` wrote; empty where it is damaged or there is none."""
    try:
        sealed = dict(json.loads((folder / SEAL).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return {}
    return sealed if sealed.pop("seal", None) == digest_of(sealed) else {}


def _sizes(folder: Path) -> dict[str, int]:
    return {name: path.stat().st_size for name, path in _files(folder).items()}


def _sums(folder: Path) -> dict[str, str]:
    return {name: _sum(path) for name, path in _files(folder).items()}


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(folder: Path) -> dict[str, Path]:
    """All but the seal, by their names below the folder."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != SEAL)
    return {path.relative_to(folder).as_posix(): path for path in files}
