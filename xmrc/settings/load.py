"""A study from its files. In: a path and `--set` texts. Out: a checked `Study`.

Whatever is wrong is one `SettingsError` that names the file, or the `--set`, and the key.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from xmrc.errors import SettingsError
from xmrc.settings.overrides import Override, apply, parse_override
from xmrc.settings.plugins import is_file, load_plugins
from xmrc.settings.schema import Study
from xmrc.settings.sections import RunSettings
from xmrc.settings.space_checks import check_space
from xmrc.settings.study_file import StudyFile, merged, read_study_files
from xmrc.settings.values import BrokenRuleError, with_values
from xmrc.settings.wording import Problem, problems, summary

_BUILT_IN = ("demo", "scratch")  # encoders, whatever folders there are
DATA_ROOT = "XMRC_DATA"  # environment variable: folder of the corpora


def load_study(path: Path, overrides: Sequence[str] = ()) -> Study:
    """The study of the file `path` with `overrides` (`KEY=VALUE`, dotted from the top of the file).

    Raises:
        SettingsError: no such file, no YAML, an unknown key, a broken rule.
    """
    assignments = [parse_override(text) for text in overrides]
    files = read_study_files(path)
    tree = _with_plugins(apply(merged(files), assignments), files, assignments)
    try:
        study = _validated(tree)
        check_space(study)
        return study.model_copy(update={"settings": _resolved(study.settings, os.environ)})
    except BrokenRuleError as error:
        raise SettingsError(_Sources(files, assignments).sentence(error.problems)) from error


def _with_plugins(
    tree: Mapping[str, Any], files: Sequence[StudyFile], overrides: Sequence[Override]
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
    values: dict[str, Any] = {"data.root": str(_absolute(root)) if root else None}
    if settings.encoder not in _BUILT_IN and Path(settings.encoder).is_dir():
        values["encoder"] = str(_absolute(settings.encoder))
    if settings.base and settings.base.model and Path(settings.base.model).is_dir():
        values["base.model"] = str(_absolute(settings.base.model))
    return with_values(settings, values)


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

    files: Sequence[StudyFile]  # each extends the next
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
