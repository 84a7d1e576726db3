"""Settings by dotted key. In: a model, and values by key. Out: a model, a flat table, YAML text."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from xmrc.settings.sections import RunSettings
from xmrc.settings.wording import (
    BrokenRuleError,
    KeyPath,
    Problem,
    dotted,
    keys_of,
    problems,
    unknown,
)
from xmrc.settings.yaml_text import one_line, write_yaml

_ABOVE = ("settings",)


def with_values(settings: RunSettings, values: Mapping[str, Any]) -> RunSettings:
    """`settings` with `values`, whose dotted keys start below `settings`, all checked again.

    Raises:
        SettingsError: an unknown key, a key of a part that is off, or a value that breaks a rule.
    """
    tree = settings.model_dump(mode="json")
    for key, value in values.items():
        path = tuple(key.split("."))
        refuse_unknown(path, _ABOVE)
        refuse_off(tree, path, _ABOVE)
        tree = put(tree, path, value)
    try:
        return RunSettings.model_validate(tree)
    except ValidationError as error:
        raise BrokenRuleError(problems(error, RunSettings, _ABOVE)) from error


def refuse_unknown(path: tuple[str, ...], above: KeyPath) -> None:
    """Raise where `path` is no key of the settings; `above` is what the user wrote before it."""
    for depth in range(1, len(path) + 1):
        here = path[:depth]
        if ".".join(here) not in keys_of(RunSettings):
            raise BrokenRuleError([Problem(above + here, unknown(here, RunSettings, above))])


def refuse_off(tree: Mapping[str, Any], path: tuple[str, ...], above: KeyPath) -> None:
    """Raise where `path` stands below a part that is null in `tree`, settings as plain values."""
    for depth, key in enumerate(path[:-1], start=1):
        tree = tree[key]
        if tree is None:
            off = dotted(_ABOVE + path[:depth])
            rule = f"needs {off}, which is null; write {{}} there for its defaults"
            raise BrokenRuleError([Problem(above + path, rule)])


def put(tree: Mapping[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """A copy of `tree` with `value` at `path`; sections that are missing or null come into being.

    Raises:
        ValueError: a part of the path is no section; its argument is that part's path.
    """
    key, below = path[0], path[1:]
    if not below:
        return {**tree, key: value}
    inner = tree.get(key)
    if inner in (None, "none"):
        inner = {}
    if not isinstance(inner, dict):
        raise ValueError((key,))
    try:
        return {**tree, key: put(inner, below, value)}
    except ValueError as error:
        raise ValueError((key, *error.args[0])) from error


def flat(model: BaseModel) -> dict[str, Any]:
    """Scalars by dotted key, a part that is off as None, lists as their YAML text."""
    return _flat(model.model_dump(mode="json"), "")


def _flat(tree: Mapping[str, Any], above: str) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            rows |= _flat(value, f"{above}{key}.")
        else:
            rows[above + key] = one_line(value) if isinstance(value, list | dict) else value
    return rows


def to_yaml(model: BaseModel) -> str:
    """The whole of `model`, defaults included, as a study file (or its `settings`) is written."""
    return write_yaml(model.model_dump(mode="json"))
