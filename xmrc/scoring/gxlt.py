"""Scored examples to the G-XLT table. In: a row per example. Out: means of pairs, and of those.

G-XLT (generalised cross-lingual transfer) asks in one language about a context in another: its
table has a row for each language of the questions and a column for each of the contexts; XLT is its
diagonal (Lewis et al. 2020, arXiv 1910.07475). Scores are 0 to 100. Languages come in the order in
which the examples have them.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from xmrc.data.examples import Example
from xmrc.scoring.predictions import CONTEXT, PAIR, QUESTION, SCORES, Prediction, score_examples

TOP_K = (1, 3, 5, 10)  # of Chen et al. 2022, table 2

_MLQA = SCORES[:2]  # f1 and em by the rules of each language


@dataclass(frozen=True, eq=False)
class GxltScores:
    """`pairs` has a row for each language pair with its means over n examples; `metrics` by name.

    Metrics that the corpus has no pairs for (xlt_* without a diagonal, gxlt_cross_* without
    anything else) are absent; so are squad_* of the pairs where they are read from scores.json.
    """

    pairs: pd.DataFrame  # PAIR, n, SCORES
    metrics: Mapping[str, float]

    def matrix(self, score: str) -> pd.DataFrame:
        """The table of one of `SCORES`."""
        return pair_matrix(self.pairs, score)


def score(examples: Sequence[Example], predictions: Iterable[Prediction]) -> GxltScores:
    """Score predictions, in any order, against their examples. Errors as in `score_examples`."""
    return summarise(score_examples(examples, predictions))


def summarise(scored: pd.DataFrame) -> GxltScores:
    """Pair means, and the means of those. No result depends on the order of the examples."""
    pairs = mean_scores(scored, PAIR)
    same = pairs[QUESTION] == pairs[CONTEXT]
    parts = {
        "gxlt": (pairs, SCORES),
        "gxlt_cross": (pairs[~same], _MLQA),
        "gxlt_micro": (scored, _MLQA),
        "xlt": (pairs[same], SCORES),
    }
    metrics = {
        f"{name}_{score}": _mean(rows[score])
        for name, (rows, scores) in parts.items()
        if len(rows)
        for score in scores
    }
    return GxltScores(pairs, metrics | {f"topk_em_{k}": _mean(within(scored, k)) for k in TOP_K})


def mean_scores(scored: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """`n` and the mean of each of `SCORES` over the examples of each group, as they come."""
    groups = scored.groupby(list(by), sort=False, observed=True)
    means = groups[SCORES].agg(_mean)
    means.insert(0, "n", groups.size())
    return means.reset_index()


def within(scored: pd.DataFrame, k: float) -> pd.Series:
    """Of each example 100 where the right answer is among the first k distinct ones, else 0."""
    return 100.0 * (scored["right_rank"] <= k).fillna(False).astype(float)


def language_means(pairs: pd.DataFrame) -> pd.DataFrame:
    """Macro scores of each language, first as that of the question and then of the context."""
    sides = {"question": QUESTION, "context": CONTEXT}
    return pd.concat(
        {
            side: pairs.groupby(column, sort=False).agg(
                pairs=("n", "size"), n=("n", "sum"), **{score: (score, _mean) for score in SCORES}
            )
            for side, column in sides.items()
        },
        names=["side", "language"],
    ).reset_index()


def language_metrics(pairs: pd.DataFrame) -> dict[tuple[str, str], float]:
    """Metrics by name and language, as papers print them, from the rows of language pairs.

    A language is that of the contexts in gxlt_*, and of both texts in xlt_* and topk_em_*; these
    are there only where `pairs` has top_*.
    """
    contexts = pairs.groupby(CONTEXT, sort=False)[SCORES].agg(_mean).add_prefix("gxlt_")
    same = pairs[pairs[QUESTION] == pairs[CONTEXT]].set_index(CONTEXT)
    top = same[[f"top_{k}" for k in TOP_K if f"top_{k}" in same]]
    top.columns = top.columns.str.replace("top_", "topk_em_")
    found = contexts.join([same[SCORES].add_prefix("xlt_"), top])
    return found.unstack().dropna().to_dict()


def pair_matrix(pairs: pd.DataFrame, value: str) -> pd.DataFrame:
    """A column of language pairs as a table: question languages down, context languages across.

    NaN where there is no pair.
    """
    questions, contexts = (list(pairs[side].drop_duplicates()) for side in PAIR)
    # Columns in the order of the rows, so that the diagonal is one.
    across = dict.fromkeys([*(one for one in questions if one in contexts), *contexts])
    cells = pairs.pivot(index=QUESTION, columns=CONTEXT, values=value)
    return cells.reindex(index=questions, columns=list(across))


def with_means(matrix: pd.DataFrame) -> pd.DataFrame:
    """The table with a column "mean" and a row "mean"; their corner is the mean of all pairs."""
    table = matrix.assign(mean=matrix.apply(_mean_of_cells, axis=1))
    table.loc["mean"] = [*matrix.apply(_mean_of_cells), _mean_of_cells(matrix.stack())]
    return table


def _mean_of_cells(cells: pd.Series) -> float:
    there = cells.dropna()
    return _mean(there) if len(there) else math.nan


def _mean(values: pd.Series) -> float:
    return math.fsum(values.tolist()) / len(values)  # exact, so the same in any order
