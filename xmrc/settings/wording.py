"""Broken rules in words. In: pydantic's errors. Out: `Problem`s, each a place and one sentence.

A sentence reads `settings.objective.distill.temperature must be greater than 0, got -1`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError, WrapValidator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from xmrc.errors import SettingsError
from xmrc.settings.yaml_text import one_line

KeyPath = tuple[str | int, ...]

_LONGEST_VALUE = 60  # characters of a value that an error repeats

# where pydantic's own sentence speaks of Python, what stands between the key and the value
_RULES = {
    "bool_type": "must be true or false",
    **dict.fromkeys(
        ("dict_type", "mapping_type", "model_type"), "must be a mapping of keys to values"
    ),
    "path_type": "must be a path",
    **dict.fromkeys(("string_too_short", "too_short"), "must not be empty"),
    "tuple_type": "must be a list",
}


@dataclass(frozen=True)
class Problem:
    """A broken rule: where, counted from the top of the file, and what to say after the key."""

    path: KeyPath
    rule: str

    def __str__(self) -> str:
        return f"{dotted(self.path)} {self.rule}".strip()


class BrokenRuleError(SettingsError):
    """A `SettingsError` that still has its parts, for callers that know more about the place."""

    def __init__(self, found: list[Problem]) -> None:
        super().__init__(found)
        self.problems = found

    def __str__(self) -> str:
        return summary(self.problems)


def broken(key: str, rule: str, value: Any) -> PydanticCustomError:
    """For a model's own check of several keys; `key` is below the model, or "" for all of it."""
    return PydanticCustomError("broken", "{rule}", {"key": key, "rule": rule, "value": value})


def rule(text: str) -> WrapValidator:
    """One message for a type of several forms, in place of one for each form."""

    def check(value: Any, handler: Any) -> Any:
        try:
            return handler(value)
        except ValidationError as error:
            raise broken("", text, value) from error

    return WrapValidator(check)


def dotted(path: KeyPath) -> str:
    """`("settings", "data", "languages", 1)` as settings.data.languages[1]."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)[1:]


def written_value(value: Any) -> str:
    """`value` as the user would write it, cut to a length that leaves the message readable."""
    text = one_line(value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def problems(error: ValidationError, model: type[BaseModel], above: KeyPath = ()) -> list[Problem]:
    """What `error` of `model` says, unknown keys first: they tend to be the cause of the rest."""
    details = error.errors(include_url=False)
    details.sort(key=lambda detail: detail["type"] != "extra_forbidden")
    return [_problem(detail, model, above) for detail in details]


def summary(found: Sequence[Problem]) -> str:
    """The first of `found`, and how many more there are."""
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return f"{found[0]}{more}"


def _problem(detail: ErrorDetails, model: type[BaseModel], above: KeyPath) -> Problem:
    place, kind, context = detail["loc"], detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return Problem(above + place, unknown(place, model, above))
    if kind == "missing":
        return Problem(above + place, "is required")
    if kind == "broken":
        key = tuple(context["key"].split(".")) if context["key"] else ()
        return Problem(
            above + place + key, f"{context['rule']}, got {written_value(context['value'])}"
        )
    said = _RULES.get(kind) or detail["msg"].removeprefix("Input ").replace("should", "must", 1)
    return Problem(above + place, f"{said}, got {written_value(detail['input'])}")


def unknown(place: Sequence[str | int], model: type[BaseModel], above: KeyPath = ()) -> str:
    """What to say after a wrong key: where it belongs, or the nearest, a sibling before others."""
    wrong, section = str(place[-1]), _model_at(model, place[:-1])
    siblings = get_close_matches(wrong, _fields(section) if section else (), n=1)
    last = {key: key.rpartition(".")[2] for key in keys_of(model)}
    others = get_close_matches(wrong, sorted(set(last.values())), n=1)
    near = (
        [key for key in last if last[key] == wrong]
        or [dotted((*place[:-1], key)) for key in siblings]
        or [key for key in last if last[key] in others]
    )
    hint = " or ".join(dotted((*above, key)) for key in near)
    return f"is no known key; did you mean {hint}?" if near else "is no known key"


@cache
def keys_of(model: type[BaseModel]) -> tuple[str, ...]:
    """Every dotted key below `model`, sections included."""
    keys: list[str] = []
    for name, field in _fields(model).items():
        section = _section_of(field.annotation)
        keys += [name, *(f"{name}.{key}" for key in keys_of(section))] if section else [name]
    return tuple(keys)


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields as the file names them."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _section_of(annotation: Any) -> type[BaseModel] | None:
    """The model whose keys stand directly below a field of this type: `Model`, `Model | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if _is_mapping(annotation):
        return None
    return next(filter(None, map(_section_of, get_args(annotation))), None)


def _model_at(model: type[BaseModel], place: Sequence[str | int]) -> type[BaseModel] | None:
    """The model whose keys stand below `place`, if any do.

    The keys of a mapping and the places of a list are passed over.
    """
    parts = iter([part for part in place if isinstance(part, str)])
    for part in parts:
        annotation = _fields(model)[part].annotation
        if _is_mapping(annotation):
            next(parts)
            annotation = get_args(annotation)[1]
        section = _section_of(annotation)
        if section is None:
            return None
        model = section
    return model


def _is_mapping(annotation: Any) -> bool:
    origin = get_origin(annotation)
    return isinstance(origin, type) and issubclass(origin, Mapping)
