"""YAML as its version 1.2 reads it. In: text. Out: mappings, lists and scalars, and back again.

ruamel.yaml follows YAML 1.2 (`no` is Norwegian, 3e-5 a number, 010 ten, 12:30 a text), but takes
dates, `1_000`, `0b1` and `<<` for more than text, and any key. Here none of that holds.
"""

import io
import re
import sys
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.representer import SafeRepresenter
from ruamel.yaml.resolver import VersionedResolver

_TAG = "tag:yaml.org,2002:"
_SCALARS = {  # kind: what a scalar without quotes looks like, characters that it may start with
    "null": (r"~|null|Null|NULL|", [*"~nN", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    "int": (r"[-+]?[0-9]{1,999}|0o[0-7]{1,999}|0x[0-9a-fA-F]{1,999}", [*"-+0123456789"]),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        [*"-+.0123456789"],
    ),
}
_LOOKS = {kind: re.compile(rf"(?:{pattern})\Z") for kind, (pattern, _) in _SCALARS.items()}
_BY_START = {
    start: [(f"{_TAG}{kind}", _LOOKS[kind]) for kind in _SCALARS if start in _SCALARS[kind][1]]
    for start in {start for _, starts in _SCALARS.values() for start in starts}
}


class _Resolver(VersionedResolver):
    """Reads scalars without quotes by `_SCALARS` alone, whatever version a text asks for."""

    @property
    def processing_version(self) -> tuple[int, int]:
        return 1, 2

    @property
    def versioned_resolver(self) -> Any:
        return _BY_START


class _Constructor(SafeConstructor):
    """Only values that are written as what they are, below keys that are text."""

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        if node in self.recursive_objects:
            _refuse("an alias must not stand inside what it stands for", node)
        return super().construct_object(node, deep=True)

    def construct_non_recursive_object(self, node: Node, tag: str | None = None) -> Any:
        if not _fits(node):
            _refuse(f"the tag {str(node.tag).replace(_TAG, '!!')} does not fit", node)
        value = super().construct_non_recursive_object(node, tag)
        if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
            _refuse(f"a text must be valid Unicode, got {value!a}", node)
        return value

    def check_mapping_key(
        self, node: Node, key_node: Node, mapping: Any, key: Any, value: Any
    ) -> bool:
        if not isinstance(key, str):
            _refuse(f"a key must be text, got {one_line(key)}", key_node)
        if key in mapping:
            _refuse(f"the key {key} stands here twice", key_node)
        return True


def _fits(node: Node) -> bool:
    """Whether a tag, which can be written, says what stands there anyway."""
    kind = str(node.tag).removeprefix(_TAG)
    if isinstance(node, ScalarNode):
        return kind == "str" or (kind in _LOOKS and bool(_LOOKS[kind].match(node.value)))
    return kind == ("map" if isinstance(node, MappingNode) else "seq")


def _refuse(rule: str, node: Node) -> NoReturn:
    raise ConstructorError(None, None, rule, node.start_mark)


class _Representer(SafeRepresenter):
    """Quotes exactly the text that `_Resolver` would read as something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_str(self, data: str) -> ScalarNode:
        """Line breaks and the like only as escapes: they survive, and a value stays on its line."""
        misread = "'" if data.startswith(("?", ":")) else None  # ruamel.yaml would not quote it
        style = misread if data.isprintable() else '"'
        return self.represent_scalar(f"{_TAG}str", data, style=style)

    def represent_float(self, data: float) -> ScalarNode:
        """With a point, so that other readers of YAML take it for a number too: 5.0e-05."""
        node = super().represent_float(data)
        if "." not in node.value:
            node.value = node.value.replace("e", ".0e")
        return node


_Representer.add_representer(str, _Representer.represent_str)
_Representer.add_representer(float, _Representer.represent_float)


def _yaml() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.Resolver, yaml.Constructor, yaml.Representer = _Resolver, _Constructor, _Representer
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.brace_single_entry_mapping_in_flow_sequence = True
    yaml.width = sys.maxsize  # a line is never broken
    return yaml


def parse_yaml(text: str) -> Any:
    """The value that `text` writes.

    Raises:
        ValueError: `text` is no YAML; the message ends in line and column, counted from 1.
    """
    try:
        return _yaml().load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise ValueError(f"{said} (line {mark.line + 1}, column {mark.column + 1})") from error
    except RecursionError as error:
        raise ValueError("lists or mappings stand too deep inside each other") from error
    except ReaderError as error:
        before = text[: error.position].split("\n")
        where = f"(line {len(before)}, column {len(before[-1]) + 1})"
        raise ValueError(f"the character U+{error.character:04X} may not stand {where}") from error


def write_yaml(value: Any) -> str:
    """Block text for people, which reads back as it was; what holds only scalars is on one line."""
    return _written(value, flow=None)


def one_line(value: Any) -> str:
    """`value` as it could stand after `key:`; `parse_yaml` gives it back."""
    return _written(value, flow=True).removesuffix("...\n").rstrip("\n")


def _written(value: Any, *, flow: bool | None) -> str:
    yaml, stream = _yaml(), io.StringIO()
    yaml.default_flow_style = flow
    yaml.dump(value, stream)
    return stream.getvalue()
