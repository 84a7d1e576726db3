"""Comparisons for a terminal. In: differences of scores, in points. Out: `rich` tables."""

import math
from collections.abc import Mapping
from dataclasses import replace

from rich.table import Table
from rich.text import Text

from xmrc.scoring.statistics import Comparison, Difference, holm, shown_p

_MACRO = (("gxlt", "f1"), ("gxlt", "em"), ("xlt", "f1"), ("xlt", "em"))
_CHANGE = ("difference", "95 % interval", "p (Holm)")
_CAPTION = "* significant after Holm's correction"


def macro_table(first: str, comparisons: Mapping[str, Comparison]) -> Table:
    """The macro scores of the run `first`, and those of each other run with the difference.

    Holm's correction is for the other runs, as many as are compared with the first.
    """
    table = Table(title=f"against {first}", caption=_CAPTION)
    table.add_column("score", style="bold")
    for column in (first, "run", "its score", *_CHANGE[:2], "p", _CHANGE[2]):
        table.add_column(column, justify="right")
    for scope, metric in _MACRO:
        found = [one for each in comparisons.values() for one in each.of(scope, metric)]
        corrected = holm([one.p for one in found]).tolist()
        for run, one, p in zip(comparisons, found, corrected, strict=False):
            change, interval, p_holm = _change(replace(one, p_holm=p))
            scores = f"{scope}_{metric}", f"{one.first:.1f}", run, f"{one.second:.1f}"
            table.add_row(*scores, change, interval, shown_p(one.p), p_holm)
        table.add_section()
    return table


def language_table(comparison: Comparison, metric: str, first: str, second: str) -> Table:
    """The difference of each language as that of the contexts and of the questions."""
    table = Table(title=f"{second} less {first}", caption=_CAPTION)
    table.add_column(metric.upper(), style="bold")
    for column in (first, second, *_CHANGE):
        table.add_column(column, justify="right")
    for scope in ("context", "question"):
        for one in comparison.of(scope, metric):
            scores = f"{scope} {one.name}", f"{one.first:.1f}", f"{one.second:.1f}"
            table.add_row(*scores, *_change(one))
        table.add_section()
    return table


def pair_table(comparison: Comparison, metric: str, first: str, second: str) -> Table:
    """The difference of each language pair: question languages as rows, contexts as columns."""
    cells = {one.name: one for one in comparison.of("pair", metric)}
    found = sum(one.significant for one in cells.values())
    caption = f"* significant after Holm's correction: {found} of {len(cells)} pairs"
    table = Table(title=f"{second} less {first}", caption=caption)
    table.add_column(metric.upper(), style="bold")
    contexts = [one.name for one in comparison.of("context", metric)]
    for context in contexts:
        table.add_column(context, justify="right")
    for question in [one.name for one in comparison.of("question", metric)]:
        row = (cells.get(f"{question}-{context}") for context in contexts)
        table.add_row(question, *(_points(one, digits=1) if one else "–" for one in row))
    return table


def _change(one: Difference) -> tuple[Text, str, str]:
    """The columns of CHANGE."""
    interval = "–" if math.isnan(one.low) else f"{one.low:+.2f} to {one.high:+.2f}"
    return _points(one, digits=2), interval, shown_p(one.p_holm)


def _points(one: Difference, digits: int) -> Text:
    star = "*" if one.significant else " "
    return Text(f"{one.difference:+.{digits}f}{star}", style="bold" if one.significant else "")
