"""`--set KEY=VALUE`. In: the texts, in their order. Out: values put into the tree of the file.

A key is dotted from the top of the file; the value is YAML; a later one wins. The keys of `space`
have dots of their own, and nothing of a domain is called like a setting, so behind `space.` stands

    data.ntl={int: [1, 3]}          a domain, in place of the one in the file
    data.ntl=null                   no longer searched (`space=null`: nothing is)
    data.ntl.int=[1, 3]             another range or kind, under the same condition
    KEY.when={KEY: VALUE}           another condition (null: none)
    KEY.when.KEY=VALUE              another value of a condition (null: without it)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xmrc.errors import SettingsError
from xmrc.settings.domains import KINDS
from xmrc.settings.values import put
from xmrc.settings.yaml_text import parse_yaml


@dataclass(frozen=True)
class Override:
    """One `--set`: as written, where it goes, and its value."""

    text: str
    path: tuple[str, ...]
    value: Any


def parse_override(text: str) -> Override:
    """`settings.training.epochs=1` in parts."""
    key, equals, value = text.partition("=")
    parts = tuple(key.strip().split("."))
    if not equals or not all(parts):
        raise SettingsError(f"--set {text}: must be KEY=VALUE with a dotted key")
    try:
        return Override(text, _path(parts), parse_yaml(value))
    except ValueError as error:
        raise SettingsError(f"--set {text}: the value is no YAML: {error}") from error


def _path(parts: tuple[str, ...]) -> tuple[str, ...]:
    if parts[0] != "space" or len(parts) == 1:
        return parts
    entry = parts[1:]
    if "when" in entry[1:]:
        at = entry.index("when", 1)
        condition = entry[at + 1 :]
        return (
            "space",
            ".".join(entry[:at]),
            "when",
            *([".".join(condition)] if condition else []),
        )
    if entry[-1] in KINDS and len(entry) > 1:
        return ("space", ".".join(entry[:-1]), entry[-1])
    return ("space", ".".join(entry))


def apply_overrides(tree: Mapping[str, Any], overrides: Sequence[Override]) -> dict[str, Any]:
    """`tree` with every override put in."""
    result = dict(tree)
    for override in overrides:
        try:
            result = put(_without_other_kinds(result, override.path), override.path, override.value)
        except ValueError as error:
            place = ".".join(error.args[0])
            raise SettingsError(f"--set {override.text}: {place} is no section") from error
    return _start_without_deleted(tree, result)


def _without_other_kinds(tree: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """The range that `space.KEY.int=...` replaces may be of another kind."""
    if path[0] != "space" or path[2:] == () or path[2] not in KINDS:
        return tree
    space = tree.get("space")
    domain = space.get(path[1]) if isinstance(space, dict) else None
    if not isinstance(domain, dict):
        return tree
    return put(tree, path[:2], {key: value for key, value in domain.items() if key not in KINDS})


def _start_without_deleted(before: Mapping[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """A key that an override takes out of the space leaves the starting points too."""
    deleted = _searched(before) - _searched(after)
    search = after.get("search")
    points = search.get("start_from") if isinstance(search, dict) else None
    if not deleted or not isinstance(points, list) or not all(isinstance(p, dict) for p in points):
        return after
    left = [{key: value for key, value in point.items() if key not in deleted} for point in points]
    return put(after, ("search", "start_from"), [point for point in left if point])


def _searched(tree: Mapping[str, Any]) -> set[str]:
    space = tree.get("space")
    return {key for key in space if space[key] is not None} if isinstance(space, dict) else set()
