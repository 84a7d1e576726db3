"""YAML as its version 1.2 reads it. In: text. Out: mappings, lists and scalars, and back again.

PyYAML follows YAML 1.1, where `no` (Norwegian) and `on` are booleans, `3e-5` is text, 010 is 8,
dates and 12:30 are no text, and of two equal keys the second silently wins. Here none of that holds.
"""

import math
import re
from typing import Any

import yaml

_SCALARS = [
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
]


class _Loader(yaml.SafeLoader):
    """Reads plain scalars by `_SCALARS` alone."""


class _Dumper(yaml.SafeDumper):
    """Quotes exactly the text that `_Loader` would read as something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _register_scalars() -> None:
    _Loader.yaml_implicit_resolvers = {}
    _Dumper.yaml_implicit_resolvers = {}
    for kind, pattern, first in _SCALARS:
        tag, whole = f"tag:yaml.org,2002:{kind}", re.compile(rf"(?:{pattern})\Z")
        starts = ["" if character == "\0" else character for character in first]
        for reader in (_Loader, _Dumper):
            reader.add_implicit_resolver(tag, whole, starts)  # type: ignore[no-untyped-call]


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = node.value
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    return int(text if base == 10 else text[2:], base)


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)  # type: ignore[no-untyped-call]
        if not isinstance(key, str):
            _refuse(f"a key must be text, got {one_line(key)}", key_node)
        if key in result:
            _refuse(f"the key {key} stands here twice", key_node)
        result[key] = loader.construct_object(value_node, deep=True)  # type: ignore[no-untyped-call]
    return result


def _refuse(rule: str, node: yaml.Node) -> None:
    raise yaml.constructor.ConstructorError(None, None, rule, node.start_mark)


_register_scalars()
_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def parse(text: str) -> Any:
    """The value that `text` writes.

    Raises:
        ValueError: `text` is no YAML; the message ends in line and column, counted from 1.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise ValueError(f"{error.problem or error.context}{where}") from error
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def write(value: Any) -> str:
    """Block text for people; `parse` gives `value` back. What holds only scalars is on one line."""
    return yaml.dump(
        value,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=None,
        width=120,
    )


def one_line(value: Any) -> str:
    """`value` as it could stand after `key:`; `parse` gives it back."""
    text = yaml.dump(
        value,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=True,
        width=math.inf,
    )
    return text.removesuffix("...\n").rstrip("\n")
