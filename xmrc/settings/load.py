"""A study from its files. In: a path and `--set` texts. Out: a checked `Study`.

Whatever is wrong is one `SettingsError` that names the file, or the `--set`, and the key.
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

from pydantic import ValidationError

from xmrc.credentials import kept_argument
from xmrc.errors import SettingsError
from xmrc.settings.overrides import Override, apply_overrides, parse_override
from xmrc.settings.plugins import is_file, load_plugins
from xmrc.settings.schema import Study
from xmrc.settings.sections import RunSettings
from xmrc.settings.space_checks import check_space
from xmrc.settings.wording import BrokenRuleError, Problem, problems, summary, written_value
from xmrc.settings.yaml_text import parse_yaml

_BUILT_IN = ("demo", "scratch")  # encoders, whatever folders there are
DATA_ROOT = "XMRC_DATA"  # environment variable: folder of the corpora
_EXTENDS = "extends"
_WHOLE = ("space", "expected")  # replaced, not merged


@dataclass(frozen=True)
class _StudyFile:
    """One file and what it says of the study, which is less than it says where it is extended."""

    path: Path
    tree: Mapping[str, Any]


def load_study(path: Path, overrides: Sequence[str] = ()) -> Study:
    """The study of the file `path` with `overrides` (`KEY=VALUE`, dotted from the top of the file).

    Raises:
        SettingsError: no such file, no YAML, an unknown key, a broken rule.
    """
    assignments = [parse_override(kept_argument(text)) for text in overrides]
    files = _read_files(path)
    tree = _with_plugins(apply_overrides(_merged(files), assignments), files, assignments)
    try:
        study = _validated(tree)
        check_space(study)
        return study.model_copy(update={"settings": _resolved(study.settings, os.environ)})
    except BrokenRuleError as error:
        raise SettingsError(_Sources(files, assignments).sentence(error.problems)) from error


def _read_files(path: Path) -> list[_StudyFile]:
    """The file, then the one that it extends, and so on.

    Raises:
        SettingsError: no such file, no YAML, no path behind `extends`, or files in a circle.
    """
    files: list[_StudyFile] = []
    following: Path | None = path
    while following is not None:
        _refuse_circle(following, files)
        try:
            tree = _read_mapping(following)
        except OSError as error:
            raise SettingsError(_unreadable(following, files, error)) from error
        extended = tree.pop(_EXTENDS, None)
        files.append(_StudyFile(following, _taken_over(tree, files)))
        following = None if extended is None else _beside(following, extended)
    return files


def _read_mapping(path: Path) -> dict[str, Any]:
    """The plain tree of one file.

    Raises:
        OSError: it cannot be read.
        SettingsError: it is no YAML, or no mapping.
    """
    try:
        tree = parse_yaml(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: must be UTF-8 text, byte {error.start} is not") from error
    except ValueError as error:
        raise SettingsError(f"{path}: is no YAML: {error}") from error
    if not isinstance(tree, dict):
        raise SettingsError(
            f"{path}: must be a mapping of keys to values, got {written_value(tree)}"
        )
    return tree


def _merged(files: Sequence[_StudyFile]) -> dict[str, Any]:
    """The tree of the first file over those that it extends."""
    tree: dict[str, Any] = {}
    for file in reversed(files):
        tree = _over(tree, file.tree)
    return tree


def _taken_over(tree: dict[str, Any], nearer: Sequence[_StudyFile]) -> dict[str, Any]:
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


def _refuse_circle(path: Path, files: Sequence[_StudyFile]) -> None:
    if path.resolve() in [file.path.resolve() for file in files]:
        circle = " on ".join(str(file.path) for file in files)
        raise SettingsError(
            f"{files[-1].path}: {_EXTENDS} goes round in a circle: {circle} on {path}"
        )


def _unreadable(path: Path, files: Sequence[_StudyFile], error: OSError) -> str:
    by = f"{files[-1].path}: {_EXTENDS}: " if files else ""
    return f"{by}{path}: cannot be read: {error.strerror}"


def _with_plugins(
    tree: Mapping[str, Any], files: Sequence[_StudyFile], overrides: Sequence[Override]
) -> Mapping[str, Any]:
    """Load the plugins, which say what may stand in the file; their paths become whole ones."""
    names = tree.get("plugins")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        load_plugins()  # what else is written there is refused with all other mistakes
        return tree
    folder = next((file.path.parent for file in files if "plugins" in file.tree), Path())
    if any(override.path[0] == "plugins" for override in overrides):
        folder = Path()
    whole = [str(_absolute(folder / name)) if is_file(name) else name for name in names]
    load_plugins(whole)
    return {**tree, "plugins": whole}


def _resolved(settings: RunSettings, environment: Mapping[str, str]) -> RunSettings:
    """`settings` with absolute folders, as Ray moves trials into folders of their own."""
    root = settings.data.root or environment.get(DATA_ROOT) or None
    whole = {"root": _absolute(root) if root else None}
    values: dict[str, Any] = {"data": settings.data.model_copy(update=whole)}
    if settings.encoder not in _BUILT_IN and Path(settings.encoder).is_dir():
        values["encoder"] = str(_absolute(settings.encoder))
    if settings.base and settings.base.model and Path(settings.base.model).is_dir():
        whole_model = {"model": str(_absolute(settings.base.model))}
        values["base"] = settings.base.model_copy(update=whole_model)
    return settings.model_copy(update=values)


def _absolute(folder: str | Path) -> Path:
    return Path(os.path.expanduser(folder)).absolute()


def _validated(tree: Mapping[str, Any]) -> Study:
    try:
        return Study.model_validate(tree)
    except ValidationError as error:
        raise BrokenRuleError(problems(error, Study)) from error


@dataclass(frozen=True)
class _Sources:
    """Which text of the user's wrote a key: the last `--set` that touched it, else a file."""

    files: Sequence[_StudyFile]  # each extends the next
    overrides: Sequence[Override]

    def sentence(self, found: Sequence[Problem]) -> str:
        text = f"{self._source(found[0].path)}: {summary(found)}"
        return " ".join(text.split())

    def _source(self, path: Sequence[str | int]) -> str:
        # dotted, as a key of the space is one part here and several there
        key = ".".join(map(str, path)) + "."
        for override in reversed(self.overrides):
            written = ".".join(override.path) + "."
            if key.startswith(written) or written.startswith(key):
                return f"--set {override.text}"
        return str(max(self.files, key=lambda file: _depth(file.tree, path)).path)


def _depth(tree: Any, path: Sequence[str | int]) -> int:
    """How many parts of `path` stand in `tree`."""
    if not path or not isinstance(tree, dict) or path[0] not in tree:
        return 0
    return 1 + _depth(tree[path[0]], path[1:])
