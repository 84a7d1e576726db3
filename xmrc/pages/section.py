"""A part of a study's page. In: words, tables, pictures. Out: what the template puts in order."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xmrc.tables import Table

_PIXELS = 1.55  # of a picture, for each of the page
_WIDEST, _HALF = 1078, 530  # pixels of the page


@dataclass(frozen=True)
class _Picture:
    """A PNG file and what to say of it; a `half` one is small enough for two side by side."""

    path: Path
    caption: str
    half: bool = False

    @property
    def width(self) -> int:
        """Pixels that it takes on the page; in a PNG's header stand its own."""
        own = int.from_bytes(self.path.read_bytes()[16:20])
        return min(round(own / _PIXELS), _HALF if self.half else _WIDEST)

    @property
    def source(self) -> str:
        """The picture itself, for a page that needs nothing beside it."""
        return f"data:image/png;base64,{base64.b64encode(self.path.read_bytes()).decode()}"


@dataclass
class PageSection:
    """A part of the page, in the order in which it reads: words, tables, pictures, small print."""

    title: str
    words: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    pictures: list[_Picture] = field(default_factory=list)
    folded: Mapping[str, str] = field(default_factory=dict)  # texts that open on a click

    def __bool__(self) -> bool:
        return bool(self.words or self.tables or self.pictures or self.folded)

    @property
    def anchor(self) -> str:
        """What links within the page call it."""
        return self.title.lower().replace(" ", "-")

    def draw(
        self,
        path: Path,
        caption: str,
        draw: Callable[..., None],
        *what: Any,
        half: bool = False,
        **how: Any,
    ) -> None:
        """Let `draw` make a picture of something, and show it."""
        draw(path, *what, **how)
        self.pictures.append(_Picture(path, caption, half))
