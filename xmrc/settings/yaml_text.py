"""YAML as its version 1.2 reads it. In: text. Out: mappings, lists and scalars, and back again.

PyYAML follows YAML 1.1, where `no` (Norwegian) and `on` are booleans, `3e-5` is text, 010 is 8,
12:30 is 750, and of two equal keys the second silently wins. Here none of that holds.
"""

import math
import re
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import yaml


def _integer(text: str) -> int:
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    return int(text if base == 10 else text[2:], base)


def _number(text: str) -> float:
    return float(re.sub(r"\.(inf|nan)", r"\1", text.lower()))


# kind: pattern, characters that it may start with ("" for the empty scalar), the value that it is
_SCALARS: dict[str, tuple[str, list[str], Callable[[str], Any]]] = {
    "null": (r"~|null|Null|NULL|", [*"~nN", ""], lambda text: None),
    "bool": (r"true|True|TRUE|false|False|FALSE", [*"tTfF"], lambda text: text.lower() == "true"),
    "int": (
        r"[-+]?[0-9]{1,999}|0o[0-7]{1,999}|0x[0-9a-fA-F]{1,999}",
        [*"-+0123456789"],
        _integer,
    ),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        [*"-+.0123456789"],
        _number,
    ),
}


class _Loader(yaml.SafeLoader):
    """Reads plain scalars by `_SCALARS` alone."""


class _Dumper(yaml.SafeDumper):
    """Quotes exactly the text that `_Loader` would read as something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    """Line breaks and the like only as escapes: they survive, and a value stays on its line."""
    style = None if text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


def _refuse(rule: str, node: yaml.Node) -> NoReturn:
    raise yaml.constructor.ConstructorError(None, None, rule, node.start_mark)


def _unicode(loader: _Loader, node: yaml.ScalarNode) -> str:
    """A text; an escape can write half of a character, which nothing else can."""
    text = str(loader.construct_scalar(node))
    if any("\ud800" <= character <= "\udfff" for character in text):
        _refuse(f"a text must be valid Unicode, got {text!a}", node)
    return text


def _mapping(loader: _Loader, node: yaml.Node) -> dict[str, Any]:
    result: dict[str, Any] = {}
    if not isinstance(node, yaml.MappingNode):
        _refuse("a mapping must stand here", node)
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)  # type: ignore[no-untyped-call]
        if not isinstance(key, str):
            _refuse(f"a key must be text, got {one_line(key)}", key_node)
        if key in result:
            _refuse(f"the key {key} stands here twice", key_node)
        result[key] = loader.construct_object(value_node, deep=True)  # type: ignore[no-untyped-call]
    return result


def _scalar(
    loader: _Loader,
    node: yaml.Node,
    kind: str,
    whole: re.Pattern[str],
    value_of: Callable[[str], Any],
) -> Any:
    if not isinstance(node, yaml.ScalarNode) or not whole.match(node.value):
        _refuse(f"this is no {kind}", node)
    return value_of(node.value)


def _register() -> None:
    """Our scalars, texts and mappings, PyYAML's lists, and no other tag."""
    _Loader.yaml_implicit_resolvers = {}
    _Dumper.yaml_implicit_resolvers = {}
    kept = ("tag:yaml.org,2002:seq", None)
    _Loader.yaml_constructors = {tag: yaml.SafeLoader.yaml_constructors[tag] for tag in kept}
    _Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
    _Loader.add_constructor("tag:yaml.org,2002:str", _unicode)
    _Dumper.add_representer(str, _text)
    for kind, (pattern, first, value_of) in _SCALARS.items():
        tag, whole = f"tag:yaml.org,2002:{kind}", re.compile(rf"(?:{pattern})\Z")
        _Loader.add_constructor(tag, partial(_scalar, kind=kind, whole=whole, value_of=value_of))
        for reader in (_Loader, _Dumper):
            reader.add_implicit_resolver(tag, whole, first)  # type: ignore[no-untyped-call]


_register()


def parse(text: str) -> Any:
    """The value that `text` writes.

    Raises:
        ValueError: `text` is no YAML; the message ends in line and column, counted from 1.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        assert mark, "PyYAML marks every problem that it names"
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise ValueError(f"{said} (line {mark.line + 1}, column {mark.column + 1})") from error
    except RecursionError as error:
        raise ValueError("lists or mappings stand too deep inside each other") from error
    except yaml.reader.ReaderError as error:
        before = text[: error.position].split("\n")
        where = f"(line {len(before)}, column {len(before[-1]) + 1})"
        raise ValueError(f"the character U+{error.character:04X} may not stand {where}") from error


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
