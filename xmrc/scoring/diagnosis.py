"""Why a reader misses answers. In: scores of examples. Out: for each language pair, and in words.

A wrong answer has one of two causes. The right one is nowhere among the n best: the reader does not
find it, and must learn to recall it. Or it stands there behind another: the reader finds it, and
must learn to rank it (Chen et al. 2022, AAAI, who train the two in two stages).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from xmrc.scoring.predictions import ExampleScore

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


@dataclass(frozen=True, slots=True)
class _Gap:
    """Shares of a language pair's questions, 0 to 100; right is EM-right.

    first: the best answer is right. behind: another of the n best is. absent: none of them is.
    """

    question_language: str
    context_language: str
    n: int
    first: float
    behind: float
    absent: float

    @property
    def kind(self) -> str:
        """What most of its wrong answers lack; where both are as many, the right rank."""
        if self.behind == self.absent == 0:
            return _NO_GAP
        return _RECALL if self.absent > self.behind else _RANKING


def diagnose(example_scores: Sequence[ExampleScore]) -> list[_Gap]:
    """The gap of each language pair, in the order in which they come."""
    by_pair: dict[tuple[str, str], list[int | None]] = {}
    for one in example_scores:
        pair = one.question_language, one.context_language
        by_pair.setdefault(pair, []).append(one.right_rank)
    return [_gap(*pair, ranks) for pair, ranks in by_pair.items()]


def in_words(gaps: Sequence[_Gap]) -> list[str]:
    """A line for each kind of gap that there is: how many pairs, what cures them, the widest."""
    by_kind = {kind: [gap for gap in gaps if gap.kind == kind] for kind in _CURES}
    return [
        f"{kind} in {len(these)} of {len(gaps)} language pairs: {_CURES[kind]}{_widest(these)}"
        for kind, these in by_kind.items()
        if these
    ]


def _gap(question_language: str, context_language: str, ranks: Sequence[int | None]) -> _Gap:
    share = 100 / len(ranks)
    first = sum(rank == 1 for rank in ranks)
    absent = sum(rank is None for rank in ranks)
    behind = len(ranks) - first - absent
    shares = (share * count for count in (first, behind, absent))
    return _Gap(question_language, context_language, len(ranks), *shares)


def _widest(gaps: Sequence[_Gap]) -> str:
    """The pairs with most wrong answers, and what is the matter with them."""
    kind = gaps[0].kind
    if kind == _NO_GAP:
        return ""
    widest = sorted(gaps, key=lambda gap: -_width(gap))[:_NAMED]
    state = "absent" if kind == _RECALL else "behind"
    shown = ", ".join(
        f"{gap.question_language}-{gap.context_language} ({_width(gap):.0f} % {state})"
        for gap in widest
    )
    rest = f" and {len(gaps) - _NAMED} more" if len(gaps) > _NAMED else ""
    return f"; most in {shown}{rest}"


def _width(gap: _Gap) -> float:
    return gap.absent if gap.kind == _RECALL else gap.behind
