"""Scores for a terminal. In: scores, 0 to 100. Out: `rich` tables."""

from rich.table import Table
from rich.text import Text

from xmrc.scoring.gxlt import Scores


def gxlt_table(scores: Scores, metric: str = "f1", title: str | None = None) -> Table:
    """Question languages as rows, context languages as columns, their means in the margins.

    `metric` is "f1" or "em". The diagonal, where both languages are one, is bold.
    """
    matrix = scores.matrix(metric)
    table = Table(title=title, caption="rows: question, columns: context")
    table.add_column(_name(metric), style="bold")
    for context in [*matrix.context_languages, "mean"]:
        table.add_column(context, justify="right")
    for question, row, mean in zip(
        matrix.question_languages, matrix.values, matrix.row_means, strict=True
    ):
        same = [question == context for context in matrix.context_languages]
        cells = [_cell(value, bold) for value, bold in zip(row, same, strict=True)]
        table.add_row(question, *cells, _cell(mean))
    table.add_section()
    table.add_row("mean", *map(_cell, matrix.column_means), _cell(matrix.mean, bold=True))
    return table


def _name(metric: str) -> str:
    return {"f1": "F1", "em": "EM"}[metric]


def _cell(value: float | None, bold: bool = False) -> Text:
    return Text("–" if value is None else f"{value:.1f}", style="bold" if bold else "")
