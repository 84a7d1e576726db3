"""Tables to figures. In: G-XLT tables, 0 to 100. Out: PNG files. Needs no display.

Both colour maps read the same with any colour vision, and in grey the sequential one still does.
"""

import math
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from xmrc.files import replacing
from xmrc.scoring.gxlt import with_means

_INK, _PAPER, _ABSENT = "#1a1a1a", "white", "#f2f2f2"
_GAP = 0.18  # between the table and its means, in cells
_CELL = 0.72  # inches


def gxlt_heatmap(
    path: Path,
    matrix: pd.DataFrame,
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
    path: Path, matrix: pd.DataFrame, baseline: pd.DataFrame, *, title: str, metric: str = "F1"
) -> None:
    """Draw `matrix` minus `baseline`, in points; white is none, blue a gain, red a loss."""
    # cell by cell, over the pairs of languages that both have
    change = matrix - baseline.reindex_like(matrix)
    widest = change.abs().max(axis=None)
    most = 1 if math.isnan(widest) else math.ceil(widest) or 1
    colours = ScalarMappable(Normalize(-most, most), "RdBu")
    _draw(path, change, colours, title=title, label=f"{metric} difference", number="{:+.1f}")


def _widened(matrix: pd.DataFrame) -> tuple[float, float]:
    scores = matrix.stack()
    low, high = 5 * math.floor(scores.min() / 5), 5 * math.ceil(scores.max() / 5)
    return (low, high) if low < high else (low, low + 5)


def _draw(
    path: Path,
    matrix: pd.DataFrame,
    colours: ScalarMappable,
    *,
    title: str,
    label: str,
    number: str,
) -> None:
    rows, columns = matrix.shape
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


def _placed(matrix: pd.DataFrame) -> Iterator[tuple[float, float, float]]:
    """Every cell with its left and upper edge; the means stand apart by a gap."""
    rows, columns = matrix.shape
    xs, ys = [*range(columns), columns + _GAP], [*range(rows), rows + _GAP]
    for y, row in zip(ys, with_means(matrix).to_numpy(), strict=True):
        for x, value in zip(xs, row.tolist(), strict=True):
            yield x, y, value


def _draw_cell(
    axes: Axes, x: float, y: float, value: float, colours: ScalarMappable, number: str
) -> None:
    if math.isnan(value):
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


def _frame_diagonal(axes: Axes, matrix: pd.DataFrame) -> None:
    for y, question in enumerate(matrix.index):
        if question in matrix.columns:
            corner = (matrix.columns.get_loc(question), y)
            axes.add_patch(
                Rectangle(corner, 1, 1, fill=False, edgecolor=_INK, lw=1.6, clip_on=False)
            )


def _label_axes(axes: Axes, matrix: pd.DataFrame) -> None:
    rows, columns = matrix.shape
    axes.set_xlim(0, columns + _GAP + 1)
    axes.set_ylim(rows + _GAP + 1, 0)
    axes.set_aspect("equal")
    axes.set_xticks(_centres(columns), [*matrix.columns, "mean"])
    axes.set_yticks(_centres(rows), [*matrix.index, "mean"])
    axes.tick_params(length=0, labelsize=11, labelcolor=_INK)
    axes.set_xlabel("context language", fontsize=11, labelpad=8, color=_INK)
    axes.set_ylabel("question language", fontsize=11, labelpad=8, color=_INK)
    axes.spines[:].set_visible(False)


def _centres(cells: int) -> Sequence[float]:
    return [*(i + 0.5 for i in range(cells)), cells + _GAP + 0.5]
