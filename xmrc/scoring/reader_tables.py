"""What readers score and how they differ, as tables to look at. In: scores, comparisons, 0 to 100.

Differences are in points, with their 95 % intervals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from xmrc.scoring.gxlt import GxltScores, with_means
from xmrc.scoring.statistics import Comparison, Difference, holm, shown_p
from xmrc.tables import Column, Table, frame_of

_MACRO = (("gxlt", "f1"), ("gxlt", "em"), ("xlt", "f1"), ("xlt", "em"))
_SIGNIFICANT = "* significant after Holm's correction"


def gxlt_table(scores: GxltScores, metric: str = "f1", title: str = "") -> Table:
    """Question languages as rows, context languages as columns, their means in the margins.

    `metric` is "f1" or "em". Strong is the diagonal, where both languages are one.
    """
    frame = with_means(scores.matrix(metric))
    return Table(
        frame.reset_index(),
        [
            Column("question_language", metric.upper(), names_row=True),
            *(Column(context, show="{:.1f}") for context in frame),
        ],
        title,
        "rows: question, columns: context",
        strong={context: list(frame.index == context) for context in frame},
        sections=list(frame.index == "mean"),
    )


def macro_table(first: str, comparisons: Mapping[str, Comparison]) -> Table:
    """The macro scores of the run `first`, and those of each other run with the difference.

    Holm's correction is for the other runs, as many as are compared with the first.
    """
    rows = []
    for scope, metric in _MACRO:
        found = [one for each in comparisons.values() for one in each.of(scope, metric)]
        corrected = holm([one.p for one in found]).tolist()
        for run, one, p in zip(comparisons, found, corrected, strict=False):
            row = _row(replace(one, p_holm=p))
            rows.append({"score": f"{scope}_{metric}", "run": run, **row})
    columns = [
        Column("score", names_row=True),
        Column("first", first, "{:.1f}"),
        Column("run"),
        Column("second", "its score", "{:.1f}"),
        *difference_columns("p"),
    ]
    return _difference_table(rows, columns, f"against {first}", "score")


def language_table(comparison: Comparison, metric: str, first: str, second: str) -> Table:
    """The difference of each language as that of the contexts and of the questions."""
    rows = [
        {"scope": scope, "score": f"{scope} {one.name}", **_row(one)}
        for scope in ("context", "question")
        for one in comparison.of(scope, metric)
    ]
    columns = [
        Column("score", metric.upper(), names_row=True),
        Column("first", first, "{:.1f}"),
        Column("second", second, "{:.1f}"),
        *difference_columns(),
    ]
    return _difference_table(rows, columns, f"{second} less {first}", "scope")


def pair_table(comparison: Comparison, metric: str, first: str, second: str) -> Table:
    """The difference of each language pair: question languages as rows, contexts as columns."""
    found = {one.name: one for one in comparison.of("pair", metric)}
    questions, contexts = (
        [one.name for one in comparison.of(side, metric)] for side in ("question", "context")
    )
    pairs = [[found.get(f"{asked}-{told}") for told in contexts] for asked in questions]
    cells = pd.DataFrame(pairs, questions, contexts, dtype=object)
    points = cells.map(lambda one: one and one.difference)
    significant = sum(one.significant for one in found.values())
    return Table(
        points.rename_axis("question_language").reset_index(),
        [
            Column("question_language", metric.upper(), names_row=True),
            *(Column(context, show="{:+.1f}", change=True, starred=True) for context in contexts),
        ],
        f"{second} less {first}",
        f"{_SIGNIFICANT}: {significant} of {len(found)} pairs",
        strong=cells.map(lambda one: bool(one and one.significant)).to_dict("list"),
    )


def difference_columns(*p_values: str) -> list[Column]:
    """Of frames with difference, low, high and p_holm; `p_values`: further columns like p_holm."""
    return [
        Column("difference", show="{:+.2f}", change=True, starred=True),
        Column("low", "95 % interval", "{:+.2f} to {:+.2f}", more=("high",)),
        *(Column(name, show=shown_p) for name in p_values),
        Column("p_holm", "p (Holm)", shown_p),
    ]


def _row(one: Difference) -> dict[str, Any]:
    tests = {"low": one.low, "high": one.high, "p": one.p, "p_holm": one.p_holm}
    sides = {"first": one.first, "second": one.second, "difference": one.difference}
    return {**sides, **tests, "significant": one.significant}


def _difference_table(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], title: str, section: str
) -> Table:
    frame = frame_of(rows)
    return Table(
        frame,
        columns,
        title,
        _SIGNIFICANT,
        strong={"difference": list(frame["significant"])},
        sections=list(frame[section]),
    )
