"""What the settings' models are made of. In: plain values. Out: a frozen section, typed fields."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from xmrc.settings.wording import broken, rule


class Section(BaseModel):
    """Frozen, without unknown keys; no value is bent into another type (1 may stand for 1.0)."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        validate_default=True,
        use_attribute_docstrings=True,
    )


def each_once(what: str) -> AfterValidator:
    """The rule that a list names each of its entries, `what` they are, once."""

    def check(names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise broken("", f"must name each {what} once", list(names))
        return names

    return AfterValidator(check)


Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Folder = Annotated[Path, Field(strict=False)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Languages = Annotated[tuple[Text, ...], Field(strict=False, min_length=1), each_once("language")]
Coefficient = Annotated[
    NotNegative | Literal["map"], rule("must be a number of at least 0, or map")
]
