"""Tables of numbers as heatmaps. In: frames, a number for each cell. Out: PNG files.

A cell has its number and a colour; NaN is an absent one. Both colour maps read the same with any
colour vision, and in grey the sequential one still does. Needs no display.
"""

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from xmrc.pages.charts import INK, PAPER, panels_in, save_figure, title_panel
from xmrc.scoring.gxlt import with_means

_ABSENT = "#f2f2f2"
_SCORES, _CHANGES = "YlGnBu", "RdBu"  # colour maps
_GAP = 0.18  # between a table and its means, in cells
_CELL = 0.72  # inches
_FINE = 160  # dots per inch of a heatmap that is alone
_LIGHT = 0.55  # of 1; darker colours have light numbers


@dataclass(frozen=True)
class Heatmap:
    """One of several: a frame, and what its rows and columns are."""

    title: str
    frame: pd.DataFrame
    row_label: str
    column_label: str


def draw_heatmaps(path: Path, heatmaps: Sequence[Heatmap], *, number: str = "{:.1f}") -> None:
    """Two by two; in each the cells are the darker the higher their number."""
    rows, columns = heatmaps[0].frame.shape
    size = max(0.62 * columns + 1.9, 2.9), max(0.5 * rows + 1.3, 2.2)
    figure, places = panels_in(len(heatmaps), size, 2)
    for one, axes in zip(heatmaps, places, strict=True):
        low, high = one.frame.min(axis=None), one.frame.max(axis=None)
        limits = (low, high) if high > low else (low, low + 1)
        _draw_cells(axes, one.frame, _colours(_SCORES, limits), number)
        _label(axes, one.frame, one.row_label, one.column_label)
        axes.set_aspect("auto")
        title_panel(axes, one.title)
    save_figure(path, figure)


def gxlt_heatmap(path: Path, matrix: pd.DataFrame, *, title: str, metric: str = "F1") -> None:
    """Draw a G-XLT table: question languages down, context languages across, means in the margins.

    The diagonal, where question and context share their language, is framed. The lightest and the
    darkest colour are the lowest and the highest score, widened to fives.
    """
    colours = _colours(_SCORES, _widened(matrix))
    _draw_gxlt(path, matrix, colours, title=title, label=metric, number="{:.1f}")


def gxlt_difference_heatmap(
    path: Path, matrix: pd.DataFrame, baseline: pd.DataFrame, *, title: str, metric: str = "F1"
) -> None:
    """Draw `matrix` less `baseline`, in points, over the pairs of languages that both have.

    White is none, blue a gain, red a loss.
    """
    change = matrix - baseline.reindex_like(matrix)
    widest = change.abs().max(axis=None)
    most = 1 if math.isnan(widest) else math.ceil(widest) or 1
    colours = _colours(_CHANGES, (-most, most))
    _draw_gxlt(path, change, colours, title=title, label=f"{metric} difference", number="{:+.1f}")


def _draw_gxlt(
    path: Path,
    matrix: pd.DataFrame,
    colours: ScalarMappable,
    *,
    title: str,
    label: str,
    number: str,
) -> None:
    table = with_means(matrix)
    width, height = (_CELL * cells for cells in reversed(table.shape))
    figure = Figure(figsize=(width + 1.9, height + 1.4), dpi=_FINE, layout="constrained")
    axes = figure.add_subplot()
    _draw_cells(axes, table, colours, number, gap=_GAP)
    _frame_diagonal(axes, matrix)
    _label(axes, table, "question language", "context language", gap=_GAP)
    title = textwrap.fill(title, int(7.5 * figure.get_figwidth()))  # characters that fit
    axes.set_title(title, fontsize=13, fontweight="bold", pad=14, color=INK)
    bar = figure.colorbar(colours, ax=axes, shrink=0.82, aspect=28, pad=0.03)
    bar.set_label(label, fontsize=11, color=INK)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=9, labelcolor=INK)
    save_figure(path, figure)


def _colours(name: str, limits: tuple[float, float]) -> ScalarMappable:
    return ScalarMappable(Normalize(*limits), name)


def _widened(matrix: pd.DataFrame) -> tuple[float, float]:
    low, high = matrix.min(axis=None), matrix.max(axis=None)
    low, high = 5 * math.floor(low / 5), 5 * math.ceil(high / 5)
    return (low, high) if low < high else (low, low + 5)


def _draw_cells(
    axes: Axes, frame: pd.DataFrame, colours: ScalarMappable, number: str, gap: float = 0.0
) -> None:
    """Every cell as a square of side 1; the last row and column stand apart by a gap."""
    for y, row in zip(_edges(len(frame), gap), frame.to_numpy(float).tolist(), strict=True):
        for x, value in zip(_edges(len(row), gap), row, strict=True):
            _draw_cell(axes, x, y, value, colours, number)
    axes.set_xlim(0, frame.shape[1] + gap)
    axes.set_ylim(frame.shape[0] + gap, 0)
    axes.set_aspect("equal")


def _edges(cells: int, gap: float) -> Iterator[float]:
    return (place + gap * (place == cells - 1) for place in range(cells))


def _draw_cell(
    axes: Axes, x: float, y: float, value: float, colours: ScalarMappable, number: str
) -> None:
    if math.isnan(value):
        axes.add_patch(Rectangle((x, y), 1, 1, facecolor=_ABSENT, edgecolor=PAPER, hatch="///"))
        return
    red, green, blue = colours.to_rgba(np.array([value]))[0, :3]
    light = 0.299 * red + 0.587 * green + 0.114 * blue > _LIGHT
    axes.add_patch(Rectangle((x, y), 1, 1, facecolor=(red, green, blue), edgecolor=PAPER))
    axes.text(
        x + 0.5,
        y + 0.5,
        number.format(value).replace("-", "\N{MINUS SIGN}"),
        ha="center",
        va="center_baseline",
        fontsize=10.5,
        color=INK if light else PAPER,
    )


def _frame_diagonal(axes: Axes, matrix: pd.DataFrame) -> None:
    for y, language in enumerate(matrix.index):
        if language in matrix.columns:
            corner = matrix.columns.get_loc(language), y
            axes.add_patch(
                Rectangle(corner, 1, 1, fill=False, edgecolor=INK, lw=1.6, clip_on=False)
            )


def _label(
    axes: Axes, frame: pd.DataFrame, row_label: str, column_label: str, gap: float = 0.0
) -> None:
    axes.set_xticks([edge + 0.5 for edge in _edges(frame.shape[1], gap)], frame.columns)
    axes.set_yticks([edge + 0.5 for edge in _edges(frame.shape[0], gap)], frame.index)
    axes.tick_params(length=0, labelsize=11, labelcolor=INK)
    axes.set_xlabel(column_label, fontsize=11, labelpad=8, color=INK)
    axes.set_ylabel(row_label, fontsize=11, labelpad=8, color=INK)
    axes.spines[:].set_visible(False)
