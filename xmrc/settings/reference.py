"""The settings reference. In: the models, as JSON Schema. Out: a page of Markdown, every key of it.

    python -m xmrc.settings.reference > docs/settings.md

Plugins that are named behind it show their sections, too.
"""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from xmrc.settings.objective import span_losses
from xmrc.settings.plugins import load_plugins
from xmrc.settings.schema import Study
from xmrc.settings.yaml_text import one_line

_Schema = Mapping[str, Any]

_INTRODUCTION = """# Settings

Every key of a study file, its type, its default and its meaning, as `python -m
xmrc.settings.reference` prints them. `extends: FILE`, which may stand at the top of a file, starts
from the keys of another one.
"""
_TYPES = {
    "boolean": "true or false",
    "integer": "whole number",
    "null": "null",
    "number": "number",
    "object": "mapping",
    "string": "text",
}
_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
_UNBOUNDED = 2**31 - 1  # a limit that is there for the machine's sake is not told


def _reference() -> str:
    """Sections in the order of the file, each with a table of its keys."""
    schema = Study.model_json_schema()
    objective = schema["$defs"]["ObjectiveSettings"]["properties"]
    objective["span"]["enum"] = list(span_losses())  # text, as plugins may add to them
    tables = _tables("", schema, schema["$defs"])
    return "\n".join([_INTRODUCTION, *tables])


def _tables(key: str, section: _Schema, known: Mapping[str, _Schema]) -> Iterator[str]:
    """The table of the section at `key`, then those of the sections below it."""
    heading = f"## {key}\n\n{_meaning(section, known)}\n\n" if key else ""
    head = "| key | type | default | meaning |\n| --- | --- | --- | --- |\n"
    rows = [_row(name, field, section, known) for name, field in section["properties"].items()]
    yield f"{heading}{head}{''.join(rows)}"
    for name, field in section["properties"].items():
        for suffix, below in _sections(field, known):
            yield from _tables(f"{key}.{name}{suffix}".removeprefix("."), below, known)


def _row(name: str, field: _Schema, section: _Schema, known: Mapping[str, _Schema]) -> str:
    default = "required" if name in section.get("required", ()) else f"`{_default(field, known)}`"
    return f"| `{name}` | {_type(field)} | {default} | {_meaning(field, known)} |\n"


def _meaning(field: _Schema, known: Mapping[str, _Schema]) -> str:
    """The first paragraph of what its docstring says; of a section without one, of its class."""
    says = [field, *(section for _, section in _sections(field, known))]
    text = next((one["description"] for one in says if "description" in one), "")
    return " ".join(text.split("\n\n")[0].split()).replace("|", "\\|")


def _default(field: _Schema, known: Mapping[str, _Schema]) -> str:
    """As it would be written; of a section, what is not the default of its own keys."""
    value = field.get("default", {})
    for suffix, section in _sections(field, known):
        if isinstance(value, dict) and not suffix:
            usual = {key: below.get("default", {}) for key, below in section["properties"].items()}
            value = {key: own for key, own in value.items() if own != usual[key]}
    return one_line(value)


def _sections(field: _Schema, known: Mapping[str, _Schema]) -> Iterator[tuple[str, _Schema]]:
    """The sections that a field has below it, with what stands between its key and theirs."""
    if "$ref" in field:
        yield "", known[field["$ref"].rpartition("/")[2]]
    for choice in field.get("anyOf", ()):
        yield from _sections(choice, known)
    for suffix, kind in ((".KEY", "additionalProperties"), ("[]", "items")):
        if isinstance(field.get(kind), dict):
            for further, section in _sections(field[kind], known):
                yield suffix + further, section


def _type(field: _Schema) -> str:
    """`whole number ≥ 1`, `list of text` and the like."""
    if "$ref" in field:
        return "section"
    if "anyOf" in field:
        return " or ".join(map(_type, field["anyOf"]))
    if "enum" in field or "const" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    if "prefixItems" in field:
        return f"[{', '.join(map(_type, field['prefixItems']))}]"
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}"
    if isinstance(field.get("additionalProperties"), dict):
        return f"mapping of {_type(field['additionalProperties'])}"
    return _TYPES.get(field.get("type", ""), "any value") + _bounds(field)


def _bounds(field: _Schema) -> str:
    told = {sign: field[key] for key, sign in _BOUNDS.items() if key in field}
    return ",".join(f" {sign} {end}" for sign, end in told.items() if end < _UNBOUNDED)


if __name__ == "__main__":
    load_plugins(sys.argv[1:])
    print(_reference(), end="")
