"""What readers score and how they differ, as tables to look at. In: scores, comparisons, 0 to 100.

Differences are in points, with their 95 % intervals.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from xmrc.scoring.gxlt import GxltScores, pair_matrix, with_means
from xmrc.scoring.predictions import PAIR
from xmrc.scoring.statistics import Comparison, corrected, shown_p
from xmrc.tables import Column, Table

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
    rows = [
        one.of(scope, metric).assign(score=f"{scope}_{metric}", run=run)
        for scope, metric in _MACRO
        for run, one in comparisons.items()
    ]
    columns = [
        Column("score", names_row=True),
        Column("first", first, "{:.1f}"),
        Column("run"),
        Column("second", "its score", "{:.1f}"),
        *difference_columns("p"),
    ]
    frame = corrected(pd.concat(rows, ignore_index=True), ["score"])
    return _difference_table(frame, columns, f"against {first}", "score")


def language_table(comparison: Comparison, metric: str, first: str, second: str) -> Table:
    """The difference of each language as that of the contexts and of the questions."""
    rows = pd.concat([comparison.of(scope, metric) for scope in ("context", "question")])
    rows = rows.assign(score=rows["scope"] + " " + rows["name"])
    columns = [
        Column("score", metric.upper(), names_row=True),
        Column("first", first, "{:.1f}"),
        Column("second", second, "{:.1f}"),
        *difference_columns(),
    ]
    return _difference_table(rows, columns, f"{second} less {first}", "scope")


def pair_table(comparison: Comparison, metric: str, first: str, second: str) -> Table:
    """The difference of each language pair: question languages as rows, contexts as columns."""
    rows = comparison.of("pair", metric)
    pairs = rows.join(rows["name"].str.split("-", expand=True).set_axis(PAIR, axis=1))
    questions, contexts = (
        comparison.of(side, metric)["name"].tolist() for side in ("question", "context")
    )
    points, significant = (
        pair_matrix(pairs, column).loc[questions, contexts]
        for column in ("difference", "significant")
    )
    return Table(
        points.reset_index(),
        [
            Column("question_language", metric.upper(), names_row=True),
            *(Column(context, show="{:+.1f}", change=True, starred=True) for context in contexts),
        ],
        f"{second} less {first}",
        f"{_SIGNIFICANT}: {rows['significant'].sum()} of {len(rows)} pairs",
        strong=significant.eq(True).to_dict("list"),
    )


def difference_columns(*p_values: str) -> list[Column]:
    """Of frames with difference, low, high and p_holm; `p_values`: further columns like p_holm."""
    return [
        Column("difference", show="{:+.2f}", change=True, starred=True),
        Column("low", "95 % interval", "{:+.2f} to {:+.2f}", more=("high",)),
        *(Column(name, show=shown_p) for name in p_values),
        Column("p_holm", "p (Holm)", shown_p),
    ]


def _difference_table(
    rows: pd.DataFrame, columns: Sequence[Column], title: str, section: str
) -> Table:
    strong = {"difference": list(rows["significant"])}
    return Table(rows, columns, title, _SIGNIFICANT, strong, sections=list(rows[section]))
