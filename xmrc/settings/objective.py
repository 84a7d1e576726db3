"""The objective as a study file writes it. In: what terms register. Out: `ObjectiveSettings`.

    L = (1 - alpha) * L_span + alpha * L_contrast + c_kl * L_kl + ...

Which span losses there are, and which other terms, is what the classes that compute them have
registered (`xmrc.learning.terms`, or a plugin), each with a section of its own below `objective`.
"""

import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, model_validator
from pydantic.fields import FieldInfo

from xmrc.errors import SettingsError
from xmrc.settings.fields import Section, Share, Text
from xmrc.settings.plugins import (
    Plugin,
    install_plugin,
    loaded_plugins,
    loading_plugin,
    undoable,
)
from xmrc.settings.wording import broken, keys_of

_Model = TypeVar("_Model", bound=type[BaseModel])


@dataclass(frozen=True)
class Need:
    """`keys`, or sections, change nothing unless a trial has a value of `of` that is `wanted`.

    Keys are dotted, below `settings`. `words` say what is wanted.
    """

    keys: Sequence[str]
    of: str
    wanted: Callable[[Any], bool]
    words: str


class _TermType(Protocol):
    """What settings know of a class that computes a term of the loss."""

    def __call__(self, objective: "ObjectiveSettings", pairs: Sequence[tuple[str, str]]) -> Any:
        """The term of one training, over batches of these language pairs."""

    @classmethod
    def weight_in(cls, objective: "ObjectiveSettings") -> float:
        """What the term counts in the objective; 0 where it is off."""

    @classmethod
    def check(cls, objective: "ObjectiveSettings") -> None:
        """Raise what `wording.broken` makes where the objective breaks a rule of the term."""


class _SpanLossType(_TermType, Protocol):
    """What settings know of a class that computes a span loss."""

    over_candidates: bool  # whether it is one over Z, which a base has to mine


class ObjectiveSettings(Section):
    """The weighted terms that a training minimises; the sections are those of the terms."""

    span: Text = "ce"
    """What stands for the right answer: the name of a span loss."""
    alpha: Share = 0.0
    """Share of the contrast; 0: no contrast, 1: no span loss."""

    @model_validator(mode="after")
    def _span_loss_is_known(self) -> Self:
        if self.span not in _span_losses:
            *names, last = map(repr, _span_losses)
            raise broken("span", f"must be {', '.join(names)} or {last}", self.span)
        return self

    @model_validator(mode="after")
    def _terms_agree(self) -> Self:
        for term in [_span_losses[self.span], *_terms.values()]:
            term.check(self)
        return self

    @model_validator(mode="after")
    def _something_is_trained(self) -> Self:
        if self.span == "none" and not self.terms_on:
            text = "must not be none where alpha is 0 and distillation is off"
            raise broken("span", text, self.span)
        return self

    def section(self, name: str) -> Any:
        """The settings of a term, or what span losses share; None where it is off.

        So is what was registered after this objective was made.
        """
        return getattr(self, name, None)

    @property
    def needs_candidates(self) -> bool:
        """Whether the span loss is one over Z, which a base has to mine."""
        return _span_losses[self.span].over_candidates

    @property
    def terms_on(self) -> dict[str, float]:
        """The terms beside the span loss, by name, with their weights, of those that count."""
        weights = {name: term.weight_in(self) for name, term in _terms.items()}
        return {name: weight for name, weight in weights.items() if weight != 0}

    @property
    def formula(self) -> str:
        """`0.5 hl + 0.5 contrast + distill`, for people."""
        weights = {self.span: _span_losses[self.span].weight_in(self), **self.terms_on}
        return " + ".join(f"{'' if w == 1 else f'{w:g} '}{name}" for name, w in weights.items())

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process loads the plugins before it sees a section that one of them made."""
        return _unpickled, (loaded_plugins(), pickle.dumps(self.__getstate__()))


_span_losses: dict[str, _SpanLossType] = {}
_terms: dict[str, _TermType] = {}
_needs: list[Need] = []
_owners: dict[tuple[str, str], str] = {}  # kind and name to the plugin that registered it
_holders: list[type[BaseModel]] = [ObjectiveSettings]


def span_losses() -> Mapping[str, _SpanLossType]:
    """Every span loss by the name that `objective.span` knows it by."""
    return dict(_span_losses)


def terms() -> Mapping[str, _TermType]:
    """Every term beside the span loss by its name, which is that of its section."""
    return dict(_terms)


def needs_of_terms() -> Sequence[Need]:
    """Which keys below `objective` change nothing, and when."""
    return tuple(_needs)


def spans_over_candidates() -> tuple[str, ...]:
    """The names of the span losses over Z."""
    return tuple(name for name, loss in _span_losses.items() if loss.over_candidates)


def add_span_loss(name: str, loss: _SpanLossType) -> None:
    """Make `objective.span: name` known. SettingsError: another plugin has the name."""
    _claim("span loss", name)
    _span_losses[name] = loss


def add_term(name: str, term: _TermType) -> None:
    """Make a term known whose section is `name`. SettingsError: another plugin has the name."""
    _claim("term", name)
    _terms[name] = term


def add_section(name: str, kind: Any, default: Section | None, needs: Sequence[Need] = ()) -> None:
    """Make `objective.name` a section: of the type `kind`, or of what `optional` makes of one.

    SettingsError: another plugin has the name.
    """
    _claim("section", name)
    ObjectiveSettings.__pydantic_fields__[name] = FieldInfo.from_annotated_attribute(kind, default)
    _needs[:] = [*(need for need in _needs if not _is_about(need, name)), *needs]
    _rebuild()


def optional(section: type[Section]) -> Any:
    """The type of a section that may be off: null, or none."""
    return Annotated[section | None, BeforeValidator(_off)]


def holds_objective(model: _Model) -> _Model:
    """A model with the objective somewhere in it, which is built anew when a section is added."""
    _holders.append(model)
    return model


def _claim(kind: str, name: str) -> None:
    """A plugin that is loaded again, with another text, takes the place of what it was."""
    plugin, key = loading_plugin(), (kind, name)
    owner = _owners.setdefault(key, plugin)
    if owner != plugin:
        raise SettingsError(f"must not register the {kind} {name}: {owner or 'xmrc'} has it")


def _rebuild() -> None:
    """The sections are others than they were."""
    for model in _holders:
        model.model_rebuild(force=True)
    keys_of.cache_clear()


def _registry() -> Callable[[], None]:
    """What puts the registry back as it is now."""
    tables: list[dict[Any, Any]] = [_span_losses, _terms, _owners]
    tables.append(ObjectiveSettings.__pydantic_fields__)
    kept, needs = [dict(table) for table in tables], list(_needs)

    def undo() -> None:
        for table, before in zip(tables, kept, strict=True):
            table.clear()
            table.update(before)
        _needs[:] = needs
        _rebuild()

    return undo


undoable(_registry)


def _is_about(need: Need, section: str) -> bool:
    prefix = f"objective.{section}"
    return any(key == prefix or key.startswith(f"{prefix}.") for key in need.keys)


def _off(value: Any) -> Any:
    return None if value == "none" else value


def _unpickled(plugins: Sequence[Plugin], state: bytes) -> ObjectiveSettings:
    for plugin in plugins:
        install_plugin(plugin)
    objective = ObjectiveSettings.__new__(ObjectiveSettings)
    objective.__setstate__(pickle.loads(state))
    return objective
