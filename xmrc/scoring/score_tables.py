"""An evaluation as tidy tables, one fact a row. In: scored examples. Out: frames.

Scores and shares are 0 to 100. A macro score is the mean over language pairs, any other the mean
over examples.

A wrong answer has one of two causes. The right one is nowhere among the n best: the reader does not
find it, and must learn to recall it. Or it stands there behind another: the reader finds it, and
must learn to rank it (Chen et al. 2022, AAAI, who train the two in two stages).
"""

import math

import numpy as np
import pandas as pd

from xmrc.scoring.gxlt import TOP_K, mean_scores, within
from xmrc.scoring.predictions import CONTEXT, PAIR, QUESTION

RANKS = 10  # of Carrino et al. 2023, table 1

_LENGTHS = {1: "0-1", 2: "2", 4: "3-4", 8: "5-8", 16: "9-16", math.inf: "17+"}  # tokens, up to
_RECALL, _RANKING, _NO_GAP = "recall-limited", "ranking-limited", "no gap"
_CURES = {
    _RECALL: (
        "most wrong answers have no right one among the n best, which learning from hard "
        "candidates (span: hl) is for"
    ),
    _RANKING: (
        "most wrong answers have the right one behind them, which contrastive learning (AA-CL) "
        "and distillation are for"
    ),
    _NO_GAP: "every first answer is right",
}
_NAMED = 5  # pairs of a kind that are named, those with the widest gap


def pair_rows(scored: pd.DataFrame) -> pd.DataFrame:
    """The G-XLT table in long form; top_k: right among so many, top_n: among all; and the gap."""
    among = {f"top_{k}": within(scored, k) for k in TOP_K} | {"top_n": within(scored, math.inf)}
    shares = scored[PAIR].assign(**among).groupby(PAIR, sort=False, as_index=False).mean()
    gaps = diagnose(scored)[[*PAIR, "gap"]]
    return mean_scores(scored, PAIR).merge(shares, on=PAIR).merge(gaps, on=PAIR)


def rank_histogram(scored: pd.DataFrame) -> pd.DataFrame:
    """For each question language, how many first right answers stand at rank 1 to `RANKS`.

    Carrino et al. 2023 (arXiv 2309.17134), table 1; right is EM-right, ranks are of distinct texts.
    """
    counts = scored.groupby([QUESTION, "right_rank"], sort=False).size().unstack(fill_value=0)
    return counts.reindex(
        index=scored[QUESTION].drop_duplicates(), columns=range(1, RANKS + 1), fill_value=0
    )


def rank_shares(scored: pd.DataFrame) -> list[float]:
    """Of all questions, how many have their first right answer at rank 1 to `RANKS`, in percent."""
    return (100 * rank_histogram(scored).sum() / len(scored)).tolist()


def rank_rows(scored: pd.DataFrame) -> pd.DataFrame:
    """The histogram in long form."""
    return rank_histogram(scored).rename_axis(columns="rank").stack().rename("count").reset_index()


def length_rows(scored: pd.DataFrame) -> pd.DataFrame:
    """Scores by context language and length of the gold answer, in tokens."""
    cuts, names = [-1, *_LENGTHS], list(_LENGTHS.values())
    tokens = pd.cut(scored["answer_length"], cuts, labels=names)
    return _by_context(scored.assign(tokens=tokens), "tokens")


def window_rows(scored: pd.DataFrame) -> pd.DataFrame:
    """Scores by context language and number of windows."""
    return _by_context(scored, "windows")


def _by_context(scored: pd.DataFrame, column: str) -> pd.DataFrame:
    """Languages as they come, and within each the groups of `column` from the least up."""
    parts = [part for _, part in scored.groupby(CONTEXT, sort=False)]
    ordered = pd.concat([part.sort_values(column, kind="stable") for part in parts])
    return mean_scores(ordered, [CONTEXT, column])


def diagnose(scored: pd.DataFrame) -> pd.DataFrame:
    """What keeps each language pair back, in the order in which they come.

    n, and the shares of its questions: `first`, the best answer is right; `behind`, another of the
    n best is; `absent`, none of them is. `gap` is what most wrong answers lack, where both are as
    many the right rank.
    """
    rank = scored["right_rank"]
    cases = {"first": rank == 1, "behind": rank > 1, "absent": rank.isna()}
    shares = {name: 100.0 * case.fillna(False).astype(float) for name, case in cases.items()}
    groups = scored[PAIR].assign(**shares).groupby(PAIR, sort=False)
    gaps = groups.mean()
    gaps.insert(0, "n", groups.size())
    solved, recall = gaps["first"] == 100, gaps["absent"] > gaps["behind"]
    gaps["gap"] = np.select([solved, recall], [_NO_GAP, _RECALL], _RANKING)
    return gaps.reset_index()


def in_words(gaps: pd.DataFrame) -> list[str]:
    """A line for each kind of gap that there is: how many pairs, what cures them, the widest."""
    by_kind = {kind: gaps[gaps["gap"] == kind] for kind in _CURES}
    return [
        f"{kind} in {len(these)} of {len(gaps)} language pairs: {cure}{_widest(these, kind)}"
        for (kind, these), cure in zip(by_kind.items(), _CURES.values(), strict=True)
        if len(these)
    ]


def _widest(gaps: pd.DataFrame, kind: str) -> str:
    """The pairs with most wrong answers, and what is the matter with them."""
    if kind == _NO_GAP:
        return ""
    state = "absent" if kind == _RECALL else "behind"
    widest = gaps.sort_values(state, ascending=False, kind="stable")[:_NAMED]
    shown = ", ".join(
        f"{question}-{context} ({share:.0f} % {state})"
        for question, context, share in widest[[*PAIR, state]].itertuples(index=False)
    )
    rest = f" and {len(gaps) - _NAMED} more" if len(gaps) > _NAMED else ""
    return f"; most in {shown}{rest}"
