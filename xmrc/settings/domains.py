"""What may be searched. In: `{int: [1, 6], when: {...}}` for a settings key. Out: `Domain`.

The keys of a space are those below `settings`, dotted. Nothing here knows which keys there are.
"""

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_serializer, model_validator

from xmrc.settings.fields import Section
from xmrc.settings.wording import broken, rule
from xmrc.settings.yaml_text import one_line

KINDS = ("int", "log_int", "float", "log_float", "choice")


def _ordered(ends: tuple[float, float]) -> tuple[float, float]:
    if not ends[0] < ends[1]:
        raise broken("", "must have its low end below its high end", list(ends))
    return ends


def _positive(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] <= 0:
        raise broken("", "must start above 0", list(ends))
    return ends


def _each_once(choices: tuple[Any, ...]) -> tuple[Any, ...]:
    if any(is_in(choice, choices[:i]) for i, choice in enumerate(choices)):
        raise broken("", "must name each value once", list(choices))
    return choices


def _conditions(written: Any) -> Any:
    if not isinstance(written, dict):
        return {} if written is None else written
    return {
        key: value if isinstance(value, list) else [value]
        for key, value in written.items()
        if value is not None
    }


_Whole = Annotated[
    tuple[int, int],
    Field(strict=False),
    rule("must be two whole numbers [low, high]"),
    AfterValidator(_ordered),
]
_Numbers = Annotated[
    tuple[float, float],
    Field(strict=False),
    rule("must be two numbers [low, high]"),
    AfterValidator(_ordered),
]
_Values = Annotated[tuple[Any, ...], Field(strict=False, min_length=1), AfterValidator(_each_once)]


class Domain(Section):
    """One of five kinds; `when` maps searched keys to the values under which this one matters."""

    int_: _Whole | None = Field(None, alias="int")
    """[low, high], whole numbers; both ends are drawn."""
    log_int: Annotated[_Whole, AfterValidator(_positive)] | None = None
    """[low, high], whole numbers above 0, evenly by their logarithm."""
    float_: _Numbers | None = Field(None, alias="float")
    """[low, high]."""
    log_float: Annotated[_Numbers, AfterValidator(_positive)] | None = None
    """[low, high] above 0, evenly by their logarithm."""
    choice: _Values | None = None
    """[value, value, ...], of any kind."""
    when: Annotated[Mapping[str, _Values], BeforeValidator(_conditions)] = {}
    """Searched keys, and the value or the list of values under which this one matters."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        kinds = [kind for kind, values in self._by_kind().items() if values is not None]
        if len(kinds) != 1:
            raise broken("", f"must have exactly one of {', '.join(KINDS)}", kinds)
        return self

    @model_serializer
    def as_written(self) -> dict[str, Any]:
        written: dict[str, Any] = {self.kind: list(self.values)}
        if self.when:
            written["when"] = {key: _shortest(values) for key, values in self.when.items()}
        return written

    def _by_kind(self) -> dict[str, tuple[Any, ...] | None]:
        numbers = (self.int_, self.log_int, self.float_, self.log_float)
        return dict(zip(KINDS, (*numbers, self.choice), strict=True))

    @property
    def kind(self) -> str:
        return next(kind for kind, values in self._by_kind().items() if values is not None)

    @property
    def values(self) -> tuple[Any, ...]:
        """(low, high) of a range, all values of a choice."""
        values = self._by_kind()[self.kind]
        assert values is not None
        return values

    def holds(self, value: Any) -> bool:
        """Whether `value` can be drawn."""
        if self.choice is not None:
            return is_in(value, self.choice)
        whole = self.kind.endswith("int")
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            return False
        return self.values[0] <= value <= self.values[1]

    def applies(self, values: Mapping[str, Any]) -> bool:
        """Whether the condition holds, where `values` has every key that is active so far."""
        return all(
            key in values and is_in(values[key], allowed) for key, allowed in self.when.items()
        )

    def __str__(self) -> str:
        return f"{self.kind} {one_line(list(self.values))}"


Space = Mapping[str, Domain]


def is_in(value: Any, values: Sequence[Any]) -> bool:
    """`value in values`, where true is not 1."""
    return any(
        value == other and isinstance(value, bool) == isinstance(other, bool) for other in values
    )


def _shortest(values: tuple[Any, ...]) -> Any:
    """A lone value without its list, unless it would read as a list or as no condition."""
    plain = len(values) == 1 and values[0] is not None and not isinstance(values[0], list)
    return values[0] if plain else list(values)


def dependency_order(space: Space) -> list[str]:
    """The keys of `space`, each behind those of its condition, else as they stand in the file.

    Raises:
        ValueError: conditions in a circle; its argument is the list of keys, the first also last.
    """
    graph = {key: list(domain.when) for key, domain in space.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise ValueError(error.args[1]) from error
    order: list[str] = []
    while len(order) < len(graph):
        order.append(
            next(key for key in graph if key not in order and set(graph[key]) <= set(order))
        )
    return order


def active_values(space: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `values` whose conditions hold, in dependency order."""
    active: dict[str, Any] = {}
    for key in dependency_order(space):
        if key in values and space[key].applies(active):
            active[key] = values[key]
    return active
