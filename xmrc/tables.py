"""A table is a frame and how people read it. In: values, headings, formats. Out: text to look at.

The frame keeps every value as it is: CSV has it so, and a page sorts by it. Terminal, page,
Markdown and LaTeX show the same columns with the same headings and digits.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from xmrc.files import replacing

if TYPE_CHECKING:
    from markupsafe import Markup
    from rich import table as rich_table

_SIGN = re.compile(r"(?<!\w)-(?=[\d.])")  # a minus, not that of an exponent
_MARKDOWN = re.compile(r"[\\|*_<\[\]`]")  # what would not stand for itself
_LATEX = str.maketrans(
    {sign: f"\\{sign}" for sign in "&%$#_{}"}
    | {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
    }
)
_LONG = 40  # characters of a cell that a page may break into lines
_NOTHING = 0.05  # points; what is closer to 0 is neither a gain nor a loss


@dataclass(frozen=True)
class Column:
    """A column of a frame as people read it.

    `show` is a format or a function: it gets the value and, behind it, those of the columns `more`
    of the same row. Where there is no value, `absent` stands. `change`: a difference, which a page
    colours as a gain or a loss. `starred`: what is strong has a star and all else the room for one;
    a page colours nothing else. `names_row`: a terminal shows it bold. `once`: a terminal shows it
    in the first row of a section alone.
    """

    name: str
    heading: str | None = None  # None: the name
    show: str | Callable[..., str] = "{}"
    more: tuple[str, ...] = ()
    absent: str = "–"
    change: bool = False
    starred: bool = False
    names_row: bool = False
    once: bool = False


@dataclass(frozen=True)
class _Cell:
    """What stands in a cell; `value`: what it is sorted by, None where there is nothing."""

    column: Column
    text: str
    value: Any
    strong: bool

    @property
    def starred(self) -> str:
        """The text, and the star that it has or could have."""
        if not self.column.starred or self.value is None:
            return self.text
        return f"{self.text}{'*' if self.strong else ' '}"


@dataclass(frozen=True)
class Table:
    """A frame, and which of its columns are shown and how; none named: all as they are.

    `strong` says by column, for each row, which cells stand out. Neighbouring rows with one value
    in `sections` belong together. By the column `sorted_by` the rows stand already, highest first.
    """

    frame: pd.DataFrame
    columns: Sequence[Column] = ()
    title: str = ""
    caption: str = ""
    strong: Mapping[str, Sequence[bool]] = field(default_factory=dict)
    sections: Sequence[object] = ()
    sorted_by: str | None = None

    @property
    def shown(self) -> Sequence[Column]:
        """The columns, in their order."""
        return self.columns or [Column(name) for name in self.frame]

    @property
    def headings(self) -> list[str]:
        """What stands above each column."""
        return [one.name if one.heading is None else one.heading for one in self.shown]

    @property
    def numeric(self) -> list[bool]:
        """For each column whether its values are numbers: such columns stand to the right."""
        return [
            all(isinstance(value, Real) and not isinstance(value, bool) for value in values)
            for values in (self.frame[column.name].dropna() for column in self.shown)
        ]

    @property
    def cells(self) -> list[list[_Cell]]:
        """What is shown, row by row."""
        columns = [list(self._cells_of(column)) for column in self.shown]
        return [list(row) for row in zip(*columns, strict=True)]

    @property
    def texts(self) -> list[list[str]]:
        """The text of each cell, row by row."""
        return [[cell.starred for cell in row] for row in self.cells]

    @property
    def begins_section(self) -> list[bool]:
        """For each row whether a section begins with it; without sections all rows are one."""
        sections = self.sections or [None] * len(self.frame)
        return [row == 0 or sections[row - 1] != one for row, one in enumerate(sections)]

    def _cells_of(self, column: Column) -> Iterator[_Cell]:
        rows = self.frame[[column.name, *column.more]].itertuples(index=False, name=None)
        strong = self.strong.get(column.name, [False] * len(self.frame))
        show = column.show.format if isinstance(column.show, str) else column.show
        for values, stands_out in zip(rows, strong, strict=True):
            if pd.isna(values[0]):
                yield _Cell(column, column.absent, None, bool(stands_out))
            else:
                yield _Cell(column, show(*values), values[0], bool(stands_out))


def frame_of(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as a frame in which whole numbers stay whole where others are absent."""
    return pd.DataFrame(list(rows), dtype=object)


def as_terminal(table: Table) -> "rich_table.Table":
    """For `rich` to print, with a line between sections."""
    from rich import table as rich_table
    from rich.markup import escape
    from rich.text import Text

    shown = rich_table.Table(title=escape(table.title), caption=escape(table.caption))
    for column, heading, right in zip(table.shown, table.headings, table.numeric, strict=True):
        style = "bold" if column.names_row else ""
        shown.add_column(escape(heading), style=style, justify="right" if right else "left")
    for row, first in zip(table.cells, table.begins_section, strict=True):
        if first:
            shown.add_section()
        texts = ("" if cell.column.once and not first else cell.starred for cell in row)
        styles = ("bold" if cell.strong else "" for cell in row)
        shown.add_row(*map(Text, texts, styles))
    return shown


def as_csv(table: Table) -> str:
    """The whole frame with its own names and every digit; empty where there is no value."""
    return _csv(table.frame)


def csv_of(frame: pd.DataFrame) -> bytes:
    """A frame without its index; NaN is empty, a lone surrogate its escape."""
    return _csv(frame).encode("utf-8", "backslashreplace")


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write `csv_of` a frame; a reader sees the old one or the new one, whole."""
    with replacing(path) as partial:
        partial.write_bytes(csv_of(frame))


def _csv(frame: pd.DataFrame) -> str:
    return str(frame.to_csv(index=False, lineterminator="\n"))


def as_markdown(table: Table) -> str:
    """A table as GitHub shows it; strong cells are bold."""
    sides = ["---:" if right else "---" for right in table.numeric]
    rows = [
        [
            f"**{_markdown(cell.starred.strip())}**"
            if cell.strong
            else _markdown(cell.starred.strip())
            for cell in row
        ]
        for row in table.cells
    ]
    lines = (" | ".join(row) for row in [map(_markdown, table.headings), sides, *rows])
    return "".join(f"| {line} |\n" for line in lines)


def as_latex(table: Table) -> str:
    """A `table` for the package booktabs, with its caption; strong cells are bold."""
    sides = "".join("r" if right else "l" for right in table.numeric)
    rows = [
        [
            f"\\textbf{{{_latex(cell.starred)}}}" if cell.strong else _latex(cell.starred)
            for cell in row
        ]
        for row in table.cells
    ]
    lines = [
        "\\begin{table}",
        f"\\caption{{{_latex(_described(table))}}}",
        f"\\begin{{tabular}}{{{sides}}}",
        "\\toprule",
        _latex_row(map(_latex, table.headings)),
        "\\midrule",
        *map(_latex_row, rows),
        "\\bottomrule",
        "\\end{tabular}",
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


def as_html(table: Table) -> "Markup":
    """For a page with the style of `assets/report.html` and its script, which sorts tables."""
    from jinja2 import Environment, PackageLoader
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("xmrc", "assets"), autoescape=True, trim_blocks=True
    )
    headings = [
        (heading, "number" if right else None, column.name == table.sorted_by)
        for column, heading, right in zip(table.shown, table.headings, table.numeric, strict=True)
    ]
    rows = [list(map(_html_cell, row, table.numeric)) for row in table.cells]
    template = environment.get_template("table.html")
    return Markup(template.render(caption=_described(table), headings=headings, rows=rows))


def _markdown(text: str) -> str:
    return _MARKDOWN.sub(r"\\\g<0>", text)


def _latex(text: str) -> str:
    return text.translate(_LATEX)


def _latex_row(texts: Iterable[str]) -> str:
    return " & ".join(texts) + r" \\"


def _html_cell(cell: _Cell, numeric: bool) -> tuple[str, str | None, Any]:
    """Text, classes, value."""
    change = cell.column.change and (cell.strong or not cell.column.starred)
    classes = [
        "number" if numeric else "",
        _gain_or_loss(cell.value or 0.0) if change else "",
        "long" if len(cell.text) > _LONG else "",
    ]
    text = _SIGN.sub("\N{MINUS SIGN}", cell.text) if numeric else cell.text
    value = "" if cell.value is None else cell.value
    return text, " ".join(filter(None, classes)) or None, value


def _gain_or_loss(points: float) -> str:
    return "" if abs(points) < _NOTHING else "gain" if points > 0 else "loss"


def _described(table: Table) -> str:
    return ": ".join(filter(None, (table.title, table.caption)))
