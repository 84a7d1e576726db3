"""Which two settings are drawn together. In: trials, their space, importances. Out: pairs.

Of up to five settings that is every two. More have too many pairs for a page that can be read, so
the papers' own and those of the most important settings are drawn, and the others named.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from xmrc.pages.effects import is_named, positions, varied
from xmrc.search.ledger import TrialRecord
from xmrc.settings import Space

MOST = 10  # pairs on a page: every two of five settings
_FIGURES = (
    ("data.ntl", "objective.distill.coefficient"),  # Carrino et al. 2023, figure 5
    ("data.ntl", "objective.distill.temperature"),  # Carrino et al. 2023, figure 6
    ("objective.span", "objective.candidates.size"),  # Chen et al. 2022, figure 2
)

_Pair = tuple[str, str]


@dataclass(frozen=True)
class SettingPairs:
    """Pairs of settings that trials have varied, in the order of the space."""

    drawn: Sequence[_Pair]
    left_out: Sequence[_Pair]


def varied_pairs(records: Sequence[TrialRecord], space: Space) -> list[_Pair]:
    """Every two settings of which a picture has something to show."""
    trials = positions(records, space)
    return [pair for pair in combinations(space, 2) if _shows_something(trials, pair, space)]


def choose_pairs(
    pairs: Sequence[_Pair], settings: Sequence[str], importance: Mapping[str, float]
) -> SettingPairs:
    """MOST of them, if there are as many.

    First come those that figures of the papers draw, then those whose less important setting is
    the most important; a setting that `importance` lacks has none.
    """
    ranking = sorted(settings, key=lambda key: -importance.get(key, 0.0))
    places = {key: place for place, key in enumerate(ranking)}

    def order(pair: _Pair) -> tuple[bool, int, int]:
        higher, lower = sorted(places[key] for key in pair)
        return not _is_figure(pair), lower, higher

    kept = sorted(pairs, key=order)[:MOST]
    return SettingPairs(
        [pair for pair in pairs if pair in kept], [pair for pair in pairs if pair not in kept]
    )


def _is_figure(pair: _Pair) -> bool:
    return any(set(pair) == set(figure) for figure in _FIGURES)


def _shows_something(trials: pd.DataFrame, pair: _Pair, space: Space) -> bool:
    having = trials.dropna(subset=list(pair))
    named, numeric = sorted(pair, key=lambda key: not is_named(space[key]))
    if is_named(space[named]) and not is_named(space[numeric]):
        # those that lack the other are drawn level
        return varied(having, numeric) and varied(trials, named)
    return all(varied(having, key) for key in pair)
