"""Folders that can tell whether they were copied whole. In: a folder. Out: yes or no.

What runs a training copies its checkpoints file by file, and may be killed in between.
"""

import json
from pathlib import Path

SIZES = "sizes.json"  # bytes of every other file


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
