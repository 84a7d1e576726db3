"""Study files as plain trees. In: a path. Out: the tree of the file and of those that it extends.

`extends: ../skd.yaml`, a path from the file's own folder, starts from the keys of another study:

    name                    is never taken over: what a study writes is found by its name
    space, expected         are taken over whole, if the file has none of its own
    search.start_from       belongs to the space: points of a space that is replaced are dropped
    all other sections      are merged key by key; a value, a list or null replaces what was there
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xmrc.errors import SettingsError
from xmrc.settings import yaml_text
from xmrc.settings.wording import written_value

_EXTENDS = "extends"
_WHOLE = ("space", "expected")  # replaced, not merged


@dataclass(frozen=True)
class StudyFile:
    """One file and what it says of the study, which is less than it says where it is extended."""

    path: Path
    tree: Mapping[str, Any]


def read_study_files(path: Path) -> list[StudyFile]:
    """The file, then the one that it extends, and so on.

    Raises:
        SettingsError: no such file, no YAML, no path behind `extends`, or files in a circle.
    """
    files: list[StudyFile] = []
    following: Path | None = path
    while following is not None:
        _refuse_circle(following, files)
        try:
            tree = _read_mapping(following)
        except OSError as error:
            raise SettingsError(_unreadable(following, files, error)) from error
        extended = tree.pop(_EXTENDS, None)
        files.append(StudyFile(following, _taken_over(tree, files)))
        following = None if extended is None else _beside(following, extended)
    return files


def _read_mapping(path: Path) -> dict[str, Any]:
    """The plain tree of one file.

    Raises:
        OSError: it cannot be read.
        SettingsError: it is no YAML, or no mapping.
    """
    try:
        tree = yaml_text.parse(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: must be UTF-8 text, byte {error.start} is not") from error
    except ValueError as error:
        raise SettingsError(f"{path}: is no YAML: {error}") from error
    if not isinstance(tree, dict):
        raise SettingsError(
            f"{path}: must be a mapping of keys to values, got {written_value(tree)}"
        )
    return tree


def merged(files: Sequence[StudyFile]) -> dict[str, Any]:
    """The tree of the first file over those that it extends."""
    tree: dict[str, Any] = {}
    for file in reversed(files):
        tree = _over(tree, file.tree)
    return tree


def _taken_over(tree: dict[str, Any], nearer: Sequence[StudyFile]) -> dict[str, Any]:
    """What is left of `tree` where `nearer` files stand before it."""
    if not nearer:
        return tree
    replaced = {key for key in _WHOLE for file in nearer if key in file.tree}
    left = {key: value for key, value in tree.items() if key not in {"name", *replaced}}
    if "space" in replaced and isinstance(left.get("search"), dict):
        left["search"] = {k: v for k, v in left["search"].items() if k != "start_from"}
    return left


def _over(below: Any, above: Any) -> Any:
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return below | {key: _over(below.get(key), value) for key, value in above.items()}


def _beside(path: Path, extended: Any) -> Path:
    if not isinstance(extended, str) or not extended:
        raise SettingsError(
            f"{path}: {_EXTENDS} must be the path of a study file from this file's folder, "
            f"got {written_value(extended)}"
        )
    return path.parent / os.path.expanduser(extended)


def _refuse_circle(path: Path, files: Sequence[StudyFile]) -> None:
    if path.resolve() in [file.path.resolve() for file in files]:
        circle = " on ".join(str(file.path) for file in files)
        raise SettingsError(
            f"{files[-1].path}: {_EXTENDS} goes round in a circle: {circle} on {path}"
        )


def _unreadable(path: Path, files: Sequence[StudyFile], error: OSError) -> str:
    by = f"{files[-1].path}: {_EXTENDS}: " if files else ""
    return f"{by}{path}: cannot be read: {error.strerror}"
