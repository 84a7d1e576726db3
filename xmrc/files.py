"""The one way anything is written. In: a path, what to write. Out: a file or folder that is whole.

Whatever is written appears under its name only when all of it is there: it is written beside and
renamed into place, and the disk has it before that, so that a machine that vanishes leaves no
empty files. What a study keeps is a document, with a checksum by which it is trusted again.
"""

import errno
import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from xmrc.errors import DataError, ResourceError

INTACT = "must be as it was written, and its checksum says it is not"
_FORMAT = 2  # of the documents of a study; raised when what they hold changes


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to, renamed to `path` when the block ends without an error.

    Makes the folder. Raises `ResourceError` where it cannot be written.
    """
    partial = _beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        _sync(partial)
        os.replace(partial, path)
        _sync(path.parent)
    except OSError as error:
        raise ResourceError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        if os.path.exists(partial):
            os.unlink(partial)


@contextmanager
def replacing_folder(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """A new folder to write `names` into; when the block ends without an error they are `folder`'s.

    A folder that is not there appears whole. In one that is, the files take the places of the old
    ones, one after the other; those of `names` that were not written are gone, all else stays.
    Raises `ResourceError` where it cannot be written.
    """
    exists = folder.is_dir()
    partial = _beside(folder / folder.name if exists else folder)
    try:
        partial.mkdir(parents=True)
        yield partial
        if exists:
            _move_files(partial, folder, names)
        else:
            partial.rename(folder)
    except OSError as error:
        raise ResourceError(f"{folder}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def creating_folder(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder` to fill, renamed to it when the block ends without an error.

    Where another process was first, its folder stays and all is well. An error of the file system
    is passed on.
    """
    partial = _beside(folder)
    try:
        partial.mkdir(parents=True)
        yield partial
        for path in (partial, *partial.rglob("*")):
            _sync(path)
        partial.rename(folder)
        _sync(folder.parent)
    except OSError:
        if not folder.exists():
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _sync(path: Path) -> None:
    """Have the disk keep a file, or the names that a folder holds."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems do this for files alone
            raise
    finally:
        os.close(opened)


def discard_folder(folder: Path) -> None:
    """Delete a folder; nobody finds half of it there, however long that takes."""
    aside = _beside(folder)
    folder.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)


def remove_abandoned(path: Path) -> None:
    """Delete what killed processes of this machine have left beside `path`.

    Under a lock of this machine alone: what living ones are writing there would go, too.
    """
    for abandoned in path.parent.glob(f"{_prefix(path)}*"):
        shutil.rmtree(abandoned, ignore_errors=True)


def _beside(path: Path) -> Path:
    return path.with_name(_prefix(path) + uuid.uuid4().hex)


def _prefix(path: Path) -> str:
    return f".{path.name}.{platform.node()}."


def _move_files(source: Path, target: Path, names: Sequence[str]) -> None:
    for name in names:
        if (source / name).exists():
            os.replace(source / name, target / name)
        else:
            (target / name).unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Raise `ResourceError` unless files can be written into `folder`, once it is made.

    Leaves nothing behind: for what takes long before it writes.
    """
    try:
        there = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise ResourceError(f"{folder}: cannot be written: {error.strerror or error}") from error


def write_text(path: Path, text: str) -> None:
    """Write a text; a reader sees the old one or the new one, whole."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_document(path: Path, content: Any) -> None:
    """Write what JSON can say, with the version of the format and a checksum, and a copy of it."""
    document = {"format": _FORMAT, "sha256": digest_of(content), "content": content}
    text = json.dumps(document, indent=1)
    for place in (path, _copy(path)):
        write_text(place, text)


def read_document(path: Path) -> Any:
    """What `write_document` wrote, or its copy where that is damaged or gone, which is said.

    Raises DataError (the file, the rule): another format, or damaged and without a good copy;
    FileNotFoundError: there is none, and no copy.
    """
    try:
        return _content(path)
    except (DataError, FileNotFoundError) as damage:
        try:
            content = _content(_copy(path))
        except (DataError, OSError):
            raise damage from None
        said = f"{path}: must be there" if isinstance(damage, OSError) else str(damage)
        notice(f"{said}; its last good copy is used")
        return content


def _content(path: Path) -> Any:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: must be JSON, and is damaged: {error}") from error
    version = document.get("format") if isinstance(document, dict) else None
    if version != _FORMAT:
        found = "none" if version is None else json.dumps(version)
        raise DataError(
            f"{path}: must be of format {_FORMAT}, which is all that this version of xmrc reads, "
            f"got {found}"
        )
    if document.get("sha256") != digest_of(document.get("content")):
        raise DataError(f"{path}: {INTACT}")
    return document["content"]


def _copy(path: Path) -> Path:
    return path.with_name(f".{path.name}.copy")


@cache
def notice(text: str) -> None:
    """A line for the user on standard error, which is said once."""
    print(f"note: {text}", file=sys.stderr)


def digest_of(content: Any) -> str:
    """The SHA-256 of what JSON can say, by which a document knows that it is as it was written."""
    spelled = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(spelled.encode()).hexdigest()
