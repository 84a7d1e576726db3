"""A corpus that readers are scored on. In: a corpus, its role. Out: a `ScoredSet`."""

from dataclasses import dataclass
from typing import Literal, Self

from xmrc.data.corpora import Corpus

_Role = Literal["select", "promotion", "final"]
_SETTINGS = {
    "select": "settings.data.select",
    "promotion": "promotion.on",
    "final": "search.final",
}


@dataclass(frozen=True)
class ScoredSet(Corpus):
    """A corpus by whose scores the search selects, a champion is replaced, or nothing is chosen.

    `label` says how it overlaps with training, where it may; it belongs beside every score.
    """

    role: _Role = "final"
    label: str = ""

    @classmethod
    def of(cls, corpus: Corpus, role: _Role) -> Self:
        """The corpus in this role, its overlap not known yet."""
        return cls(**vars(corpus), role=role)

    @property
    def title(self) -> str:
        """`mlqa/test (shared paragraphs)`."""
        return titled(self.name, self.label)

    @property
    def setting(self) -> str:
        """The dotted key that names the corpus in a study file."""
        return _SETTINGS[self.role]


def titled(name: str, label: str) -> str:
    """What was scored and, in brackets, how it overlaps with training."""
    return f"{name} ({label})" if label else name
