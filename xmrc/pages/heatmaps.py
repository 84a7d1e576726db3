"""Tables to figures. In: G-XLT tables, 0 to 100. Out: PNG files. Needs no display.

Both colour maps read the same with any colour vision, and in grey the sequential one still does.
"""

import math
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from xmrc.files import replacing
from xmrc.scoring.gxlt import Matrix

_INK, _PAPER, _ABSENT = "#1a1a1a", "white", "#f2f2f2"
_GAP = 0.18  # between the table and its means, in cells
_CELL = 0.72  # inches


def gxlt_heatmap(
    path: Path,
    matrix: Matrix,
    *,
    title: str,
    metric: str = "F1",
    limits: tuple[float, float] | None = None,
) -> None:
    """Draw a G-XLT table: question languages down, context languages across, means in the margins.

    The diagonal, where question and context share their language, is framed. `limits` are the
    scores of the lightest and the darkest colour (None: the table's own, widened to fives); give
    two figures the same ones to compare them.
    """
    low, high = limits or _widened(matrix)
    colours = ScalarMappable(Normalize(low, high), "YlGnBu")
    _draw(path, matrix, colours, title=title, label=metric, number="{:.1f}")


def gxlt_difference_heatmap(
    path: Path, matrix: Matrix, baseline: Matrix, *, title: str, metric: str = "F1"
) -> None:
    """Draw `matrix` minus `baseline`, in points; white is none, blue a gain, red a loss."""
    change = _difference(matrix, baseline)
    most = math.ceil(max((abs(value) for value in _cells(change)), default=0.0)) or 1
    colours = ScalarMappable(Normalize(-most, most), "RdBu")
    _draw(path, change, colours, title=title, label=f"{metric} difference", number="{:+.1f}")


def _cells(matrix: Matrix) -> Iterator[float]:
    return (value for row in matrix.values for value in row if value is not None)


def _widened(matrix: Matrix) -> tuple[float, float]:
    values = list(_cells(matrix))
    low, high = 5 * math.floor(min(values) / 5), 5 * math.ceil(max(values) / 5)
    return (low, high) if low < high else (low, low + 5)


def _difference(matrix: Matrix, baseline: Matrix) -> Matrix:
    """Cell by cell, over the pairs of languages that both have."""
    before = {
        (question, context): value
        for question, row in zip(baseline.question_languages, baseline.values, strict=True)
        for context, value in zip(baseline.context_languages, row, strict=True)
    }

    def change(question: str, context: str, after: float | None) -> float | None:
        old = before.get((question, context))
        return None if after is None or old is None else after - old

    values = [
        [change(question, *pair) for pair in zip(matrix.context_languages, row, strict=True)]
        for question, row in zip(matrix.question_languages, matrix.values, strict=True)
    ]
    return Matrix(matrix.question_languages, matrix.context_languages, values)


def _draw(
    path: Path, matrix: Matrix, colours: ScalarMappable, *, title: str, label: str, number: str
) -> None:
    rows, columns = len(matrix.question_languages), len(matrix.context_languages)
    size = (_CELL * (columns + 1) + 1.9, _CELL * (rows + 1) + 1.4)
    figure = Figure(figsize=size, dpi=160, layout="constrained", facecolor=_PAPER)
    axes = figure.add_subplot()
    for x, y, value in _placed(matrix):
        _draw_cell(axes, x, y, value, colours, number)
    _frame_diagonal(axes, matrix)
    _label_axes(axes, matrix)
    title = textwrap.fill(title, int(7.5 * size[0]))  # characters that fit
    axes.set_title(title, fontsize=13, fontweight="bold", pad=14, color=_INK)
    bar = figure.colorbar(colours, ax=axes, shrink=0.82, aspect=28, pad=0.03)
    bar.set_label(label, fontsize=11, color=_INK)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=9, labelcolor=_INK)
    with replacing(path) as partial:
        FigureCanvasAgg(figure).print_png(partial)


def _placed(matrix: Matrix) -> Iterator[tuple[float, float, float | None]]:
    """Every cell with its left and upper edge; the means stand apart by a gap."""
    rows, columns = len(matrix.question_languages), len(matrix.context_languages)
    for y, row in enumerate(matrix.values):
        for x, value in enumerate(row):
            yield x, y, value
        yield columns + _GAP, y, matrix.row_means[y]
    for x, value in enumerate(matrix.column_means):
        yield x, rows + _GAP, value
    yield columns + _GAP, rows + _GAP, matrix.mean


def _draw_cell(
    axes: Axes, x: float, y: float, value: float | None, colours: ScalarMappable, number: str
) -> None:
    if value is None:
        axes.add_patch(Rectangle((x, y), 1, 1, facecolor=_ABSENT, edgecolor=_PAPER, hatch="///"))
        return
    red, green, blue = colours.to_rgba(np.array([value]))[0, :3]
    light = 0.299 * red + 0.587 * green + 0.114 * blue > 0.55
    axes.add_patch(Rectangle((x, y), 1, 1, facecolor=(red, green, blue), edgecolor=_PAPER))
    axes.text(
        x + 0.5,
        y + 0.5,
        number.format(value).replace("-", "\N{MINUS SIGN}"),
        ha="center",
        va="center_baseline",
        fontsize=10.5,
        color=_INK if light else _PAPER,
    )


def _frame_diagonal(axes: Axes, matrix: Matrix) -> None:
    for y, question in enumerate(matrix.question_languages):
        if question in matrix.context_languages:
            corner = (matrix.context_languages.index(question), y)
            axes.add_patch(
                Rectangle(corner, 1, 1, fill=False, edgecolor=_INK, lw=1.6, clip_on=False)
            )


def _label_axes(axes: Axes, matrix: Matrix) -> None:
    rows, columns = len(matrix.question_languages), len(matrix.context_languages)
    axes.set_xlim(0, columns + _GAP + 1)
    axes.set_ylim(rows + _GAP + 1, 0)
    axes.set_aspect("equal")
    axes.set_xticks(_centres(columns), [*matrix.context_languages, "mean"])
    axes.set_yticks(_centres(rows), [*matrix.question_languages, "mean"])
    axes.tick_params(length=0, labelsize=11, labelcolor=_INK)
    axes.set_xlabel("context language", fontsize=11, labelpad=8, color=_INK)
    axes.set_ylabel("question language", fontsize=11, labelpad=8, color=_INK)
    axes.spines[:].set_visible(False)


def _centres(cells: int) -> Sequence[float]:
    return [*(i + 0.5 for i in range(cells)), cells + _GAP + 0.5]
