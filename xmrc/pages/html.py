"""Tables and pictures to one page. In: what they show. Out: HTML that needs nothing beside itself.

Pictures, style and script are inside the page, so it can be mailed, printed and read offline.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

_LONG = 40  # characters of a cell that may be broken into lines
_PIXELS = 1.55  # of a picture, for each of the page
_WIDEST, _HALF = 1078, 530  # pixels of the page


@dataclass(frozen=True)
class Cell:
    """What is shown, what it is sorted by ("": nothing, and so last), and "gain", "loss" or ""."""

    text: str
    value: float | str
    kind: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of cells below headings."""

    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    sorted_by: int | None = None  # column by which the rows stand already, highest first


@dataclass(frozen=True)
class Picture:
    """A PNG file and what to say of it; a `half` one is small enough for two side by side."""

    path: Path
    caption: str
    half: bool = False


@dataclass
class PageSection:
    """A part of the page, in the order in which it reads: words, tables, pictures, small print."""

    title: str
    words: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    folded: Mapping[str, str] = field(default_factory=dict)  # texts that open on a click

    def __bool__(self) -> bool:
        return bool(self.words or self.tables or self.pictures or self.folded)


def words(text: str) -> Cell:
    """Text, sorted by itself."""
    return Cell(text, text)


def number(value: float | None, form: str = "{:.1f}") -> Cell:
    """A number with its digits; none is a dash, which sorts last."""
    if value is None:
        return Cell("–", "")
    return Cell(form.format(value).replace("-", "\N{MINUS SIGN}"), value)


def difference(value: float | None, form: str = "{:+.1f}") -> Cell:
    """A signed number, coloured as a gain or a loss."""
    cell = number(value, form)
    kind = "" if value is None or abs(value) < 0.05 else "gain" if value > 0 else "loss"
    return Cell(cell.text, cell.value, kind)


def page(
    title: str,
    *,
    subtitle: str,
    tiles: Mapping[str, str],
    sections: Sequence[PageSection],
    footer: str,
) -> str:
    """The page. `tiles` are a few numbers with their names, for those who read no further."""
    template = resources.files("xmrc").joinpath("assets/report.html").read_text(encoding="utf-8")
    links = (f'<a href="#{_anchor(one)}">{escape(one.title)}</a>' for one in sections)
    shown = (
        f"<div class=tile><b>{escape(v)}</b><span>{escape(k)}</span></div>"
        for k, v in tiles.items()
    )
    return Template(template).substitute(
        title=escape(title),
        subtitle=escape(subtitle),
        links="".join(links),
        tiles="".join(shown),
        sections="\n".join(map(_section, sections)),
        footer=escape(footer),
    )


def _section(section: PageSection) -> str:
    tables, pictures = (
        "".join(map(_table, section.tables)),
        "".join(map(_picture, section.pictures)),
    )
    folded = section.folded.items()
    return "\n".join(
        [
            f'<section id="{_anchor(section)}">',
            f"<h2>{escape(section.title)}</h2>",
            *(f"<p>{escape(words)}</p>" for words in section.words),
            f'<div class="tables">{tables}</div>' if tables else "",
            f'<div class="pictures">{pictures}</div>' if pictures else "",
            *(
                f"<details><summary>{escape(k)}</summary><pre>{escape(v)}</pre></details>"
                for k, v in folded
            ),
            "</section>",
        ]
    )


def _anchor(section: PageSection) -> str:
    return section.title.lower().replace(" ", "-")


def _picture(picture: Picture) -> str:
    content = picture.path.read_bytes()
    pixels = int.from_bytes(content[16:20])  # the width, where a PNG's header has it
    width = min(round(pixels / _PIXELS), _HALF if picture.half else _WIDEST)
    caption = escape(picture.caption)
    return (
        f'<figure style="width: {width}px"><img id="{escape(picture.path.stem)}" alt="{caption}" '
        f'src="data:image/png;base64,{base64.b64encode(content).decode()}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _table(table: Table) -> str:
    numeric = [_is_numeric(column) for column in zip(*table.rows, strict=True)]
    head = "".join(
        f"<th{_class('number' if right else '')}{_sorted(table, place)}>"
        f"<button>{escape(name)}</button></th>"
        for place, (name, right) in enumerate(zip(table.headings, numeric, strict=True))
    )
    body = "\n".join(f"<tr>{''.join(map(_cell, row, numeric))}</tr>" for row in table.rows)
    caption = f"<caption>{escape(table.caption)}</caption>" if table.caption else ""
    return (
        f'<div class="scroll"><table class="sortable">{caption}<thead><tr>{head}</tr></thead>'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _is_numeric(cells: Sequence[Cell]) -> bool:
    return not any(isinstance(cell.value, str) and cell.value for cell in cells)


def _cell(cell: Cell, numeric: bool) -> str:
    kinds = ["number" if numeric else "", cell.kind, "long" if len(cell.text) > _LONG else ""]
    return f'<td{_class(*kinds)} data-value="{escape(str(cell.value))}">{escape(cell.text)}</td>'


def _class(*names: str) -> str:
    there = " ".join(filter(None, names))
    return f' class="{there}"' if there else ""


def _sorted(table: Table, column: int) -> str:
    return ' aria-sort="descending"' if column == table.sorted_by else ""
