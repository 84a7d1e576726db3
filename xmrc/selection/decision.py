"""Whether a reader takes the champion's place. In: scores of the seeds of both. Out: a `Decision`.

A setting is as good as its seeds are on average, so the seeds are the unit of every test here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xmrc.scoring.gxlt import GxltScores
from xmrc.scoring.statistics import check_same_pairs, holm, means_of_seeds, shown_p, welch

_SEEDS = 5  # at least, on each side


@dataclass(frozen=True)
class _Drop:
    """What a context language loses, in points of F1, and how sure the loss is (Holm)."""

    language: str
    points: float
    p: float


@dataclass(frozen=True)
class Decision:
    """`reason` is a sentence for the registry. p: of the macro test; None where none was made."""

    promoted: bool
    reason: str
    p: float | None = None
    drops: tuple[_Drop, ...] = ()  # of every context language; a gain is negative

    @property
    def alias(self) -> str:
        return "champion" if self.promoted else "challenger"


def decide(
    champion: Sequence[GxltScores] | None,
    candidate: Sequence[GxltScores],
    *,
    alpha: float = 0.05,
    max_language_drop: float = 1.0,
) -> Decision:
    """Promote a candidate that is better than the champion and costs no context language much.

    Each side is the scores of its seeds on the same examples. Better: a one-sided Welch test of the
    macro G-XLT F1 below `alpha`. Costs: a context language whose mean F1 falls by more than
    `max_language_drop` points and significantly so, by one-sided Welch tests of every context
    language with Holm's correction. Without a champion (None) the candidate becomes it; fewer than
    5 seeds on a side prove nothing.

    Raises DataError: scores on other examples.
    """
    if champion is None:
        return Decision(True, "the first of its name: there is no champion to beat")
    for name, side in (("the champion", champion), ("the candidate", candidate)):
        if len(side) < _SEEDS:
            text = f"{name} has {len(side)} seeds with scores to compare, and {_SEEDS} are needed"
            return Decision(False, text)
    groups = check_same_pairs([*champion, *candidate])
    macro, *contexts = (group for group in groups if group.scope in ("gxlt", "context"))
    before_SG, after_SG = (
        means_of_seeds(side, [macro, *contexts], "f1") for side in (champion, candidate)
    )
    before_S, after_S = before_SG[:, 0], after_SG[:, 0]
    p = float(welch(after_SG[:, :1], before_SG[:, :1], "greater")[2][0])
    drops = _drops([group.name for group in contexts], before_SG[:, 1:], after_SG[:, 1:])
    severe = [one for one in drops if one.points > max_language_drop and one.p < alpha]
    shown = f"gxlt_f1 {_spread(after_S)} against the champion's {_spread(before_S)}"
    test = f"{shown} (one-sided Welch test over seeds, p {shown_p(p)}, alpha {alpha:g})"
    if p >= alpha:
        return Decision(False, f"not significantly better: {test}", p, drops)
    better = f"better: {test}; "
    if severe:
        return Decision(False, better + _losses(severe, max_language_drop), p, drops)
    return Decision(True, better + _harmless(drops, max_language_drop), p, drops)


def _drops(
    languages: Sequence[str], before_SG: np.ndarray, after_SG: np.ndarray
) -> tuple[_Drop, ...]:
    p_G = holm(welch(before_SG, after_SG, "greater")[2])
    points_G = before_SG.mean(axis=0) - after_SG.mean(axis=0)
    rows = zip(languages, points_G.tolist(), p_G.tolist(), strict=True)
    return tuple(_Drop(*row) for row in rows)


def _spread(scores_S: np.ndarray) -> str:
    return f"{scores_S.mean():.2f} ± {scores_S.std(ddof=1):.2f} over {len(scores_S)} seeds"


def _losses(severe: Sequence[_Drop], limit: float) -> str:
    lost = ", ".join(f"{one.language} by {one.points:.2f} (p {shown_p(one.p)})" for one in severe)
    return f"but contexts fall by more than {limit:g} points of F1: {lost}, after Holm's correction"


def _harmless(drops: Sequence[_Drop], limit: float) -> str:
    worst = max(drops, key=lambda one: one.points)
    return (
        f"no context language falls significantly by more than {limit:g} points of F1 "
        f"(the most: {worst.language} by {max(worst.points, 0.0):.2f})"
    )
