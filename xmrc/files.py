"""The one way anything is written. In: a path, what to write. Out: a file or folder that is whole.

Whatever is written appears under its name only when all of it is there: it is written beside and
renamed into place.
"""

import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from xmrc.errors import ResourceError

if TYPE_CHECKING:
    import pandas as pd

SIZES = "sizes.json"  # bytes of every other file


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to, renamed to `path` when the block ends without an error.

    Makes the folder. Raises `ResourceError` where it cannot be written.
    """
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        os.replace(partial, path)
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
    parent = folder if exists else folder.parent
    partial = parent / f".{folder.name}.{uuid.uuid4().hex}"
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


def write_csv(path: Path, frame: "pd.DataFrame") -> None:
    """Write a frame without its index; NaN is empty, a lone surrogate its escape."""
    with replacing(path) as partial:
        frame.to_csv(
            partial, index=False, lineterminator="\n", encoding="utf-8", errors="backslashreplace"
        )


def seal(folder: Path) -> None:
    """Write down what a folder holds, once all of it is there."""
    (folder / SIZES).write_text(json.dumps(_sizes(folder)))


def is_whole(folder: Path) -> bool:
    """Whether a copy of a sealed folder has all of it; not if it was never sealed."""
    try:
        return bool(json.loads((folder / SIZES).read_text()) == _sizes(folder))
    except (FileNotFoundError, ValueError):
        return False


def _sizes(folder: Path) -> dict[str, int]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != SIZES)
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
