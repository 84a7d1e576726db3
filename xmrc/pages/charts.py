"""Tables to charts. In: numbers with their names. Out: PNG files. Needs no display.

The colours can be told apart with any colour vision (Okabe and Ito 2008).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from xmrc.files import replacing

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#666666")
INK, PALE, PAPER, _LINES = "#1a1a1a", "#5c5c5c", "white", "#e4e4e4"
_DPI = 144
_PANEL, _LONE = (2.9, 2.5), (5.6, 3.3)  # inches: one of several, one alone
_PANELS = 4  # side by side


@dataclass(frozen=True)
class Axis:
    """What runs from left to right. `names`: of the categories at 0, 1, ...; `marks`: ticks."""

    label: str
    log: bool = False
    names: tuple[str, ...] = ()
    marks: tuple[float, ...] = ()


@dataclass(frozen=True)
class Curve:
    """A line, and the points that it goes through the middle of: full ones and hollow ones."""

    name: str
    line: Sequence[tuple[float, float]]
    full: Sequence[tuple[float, float]] = ()
    hollow: Sequence[tuple[float, float]] = ()
    dotted: bool = False


@dataclass(frozen=True)
class Panel:
    """Curves that share their axes."""

    title: str
    curves: Sequence[Curve]


@dataclass(frozen=True)
class Estimate:
    """A mean with the ends of its interval, where it has one, and what it is the mean of."""

    name: str
    mean: float
    interval: tuple[float, float] | None
    sample: Sequence[float]


def draw_curves(path: Path, panels: Sequence[Panel], x: Axis, *, names: str = "") -> None:
    """Panels side by side, each with its curves; `names` says what these are called by."""
    figure, places = panels_in(len(panels), _LONE if len(panels) == 1 else _PANEL, _PANELS)
    called = dict.fromkeys(curve.name for panel in panels for curve in panel.curves)
    colours = {name: _COLOURS[number % len(_COLOURS)] for number, name in enumerate(called)}
    for panel, axes in zip(panels, places, strict=True):
        for curve in panel.curves:
            _draw_curve(axes, curve, colours[curve.name])
        title_panel(axes, panel.title)
        _scale(axes, x)
        tidy(axes)
    if len(colours) > 1:
        handles = [Line2D([], [], color=colour, lw=2) for colour in colours.values()]
        _legend(figure, handles, list(colours), names)
    save_figure(path, figure)


def draw_bars(
    path: Path, heights: Mapping[str, Sequence[float]], names: Sequence[str], *, x: str, y: str
) -> None:
    """Groups of bars, side by side; `heights` by what the colours stand for."""
    figure, (axes,) = panels_in(1, _LONE, 1)
    width = 0.8 / len(heights)
    for number, values in enumerate(heights.values()):
        places = np.arange(len(values)) + (number - (len(heights) - 1) / 2) * width
        axes.bar(places, values, width * 0.92, color=_COLOURS[number])
    axes.set_xticks(range(len(names)), names)
    axes.set_xlabel(x, fontsize=10, color=INK)
    axes.set_ylabel(y, fontsize=10, color=INK)
    _legend(figure, axes.patches[:: len(names)], list(heights))
    tidy(axes)
    axes.grid(visible=False, axis="x")
    save_figure(path, figure)


def draw_estimates(path: Path, panels: Mapping[str, Sequence[Estimate]], *, x: str) -> None:
    """Panels side by side, by their titles: means with their intervals, samples hollow."""
    figure, places = panels_in(len(panels), _PANEL, _PANELS)
    for (title, estimates), axes in zip(panels.items(), places, strict=True):
        for place, one in enumerate(estimates):
            _draw_estimate(axes, place, one, _COLOURS[place % len(_COLOURS)])
        title_panel(axes, title)
        _scale(axes, Axis(x, names=tuple(one.name for one in estimates)))
        tidy(axes)
        axes.grid(visible=False, axis="x")
    save_figure(path, figure)


def tidy(axes: Axes) -> None:
    """The look of every chart: no frame, pale lines, quiet numbers."""
    axes.set_facecolor(PAPER)
    axes.grid(visible=True, color=_LINES, linewidth=0.8, zorder=0)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.tick_params(which="both", length=0, labelsize=9, labelcolor=PALE)


def log_ticks(axis: XAxis | YAxis) -> None:
    """Ticks at 1, 2 and 5 of each power of ten, as plain numbers."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_locator(NullLocator())


def save_figure(path: Path, figure: Figure) -> None:
    """Write a figure as PNG; it appears whole."""
    figure.set_facecolor(PAPER)
    with replacing(path) as partial:
        FigureCanvasAgg(figure).print_png(partial)


def save_cut(path: Path, figure: Figure) -> None:
    """`save_figure` it cut to what is drawn, for figures whose parts nobody has laid out."""
    with replacing(path) as partial:
        FigureCanvasAgg(figure).print_figure(
            partial, format="png", dpi=_DPI, facecolor=PAPER, bbox_inches="tight", pad_inches=0.12
        )


def panels_in(panels: int, size: tuple[float, float], most: int) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels of this size, at most so many of them side by side."""
    columns = min(panels, most)
    rows = math.ceil(panels / columns)
    figure = Figure((size[0] * columns, size[1] * rows), dpi=_DPI, layout="constrained")
    return figure, [figure.add_subplot(rows, columns, place + 1) for place in range(panels)]


def _draw_curve(axes: Axes, curve: Curve, colour: str) -> None:
    if curve.line:
        style = ":" if curve.dotted else "-" if curve.full or curve.hollow else "o-"
        axes.plot(*zip(*curve.line, strict=True), style, color=colour, lw=2, ms=4)
    for points, fill in ((curve.full, colour), (curve.hollow, "none")):
        if points:
            xs, ys = zip(*points, strict=True)
            axes.scatter(xs, ys, s=22, facecolors=fill, edgecolors=colour)


def _draw_estimate(axes: Axes, place: int, one: Estimate, colour: str) -> None:
    beside = [place + 0.22] * len(one.sample)
    axes.scatter(beside, one.sample, s=18, facecolors="none", edgecolors=colour, alpha=0.75)
    axes.scatter([place], [one.mean], s=34, color=colour, zorder=3)
    if one.interval:
        axes.vlines(place, *one.interval, color=colour, lw=2)


def _scale(axes: Axes, x: Axis) -> None:
    axes.set_xlabel(x.label, fontsize=10, color=INK)
    if x.log:
        axes.set_xscale("log")
        log_ticks(axes.xaxis)
    if x.names:
        axes.set_xticks(range(len(x.names)), x.names)
        axes.set_xlim(-0.5, len(x.names) - 0.5)
    elif x.marks:
        axes.set_xticks(x.marks, [f"{mark:g}" for mark in x.marks])
        axes.xaxis.set_minor_locator(NullLocator())


def title_panel(axes: Axes, title: str) -> None:
    """To the left above what a panel shows."""
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK)


def _legend(
    figure: Figure, handles: Sequence[Artist], names: Sequence[str], title: str = ""
) -> None:
    """One for all panels, beside them."""
    figure.legend(
        handles,
        names,
        title=title or None,
        loc="outside right upper",
        fontsize=9,
        title_fontsize=9,
        labelcolor=INK,
        frameon=False,
        alignment="left",
    )
