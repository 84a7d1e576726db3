"""What fresh seeds say of the best trials. In: ledgers of search and confirmation. Out: contenders.

The contender with the best mean wins. This reads what `confirm` has trained, or has so far.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pandas as pd

from xmrc.scoring.seeds import Spread, group_differences, spread
from xmrc.search.ledger import FINISHED, Ledger, TrialRecord, best_evaluation
from xmrc.search.phases import CONFIRMATION
from xmrc.settings import Study

SEED = "training.seed"
_SHOWN = ("gxlt_f1", "gxlt_em", "xlt_f1", "xlt_em")


@dataclass(frozen=True)
class Contender:
    """One of the best trials, and its trainings with fresh seeds that went to their end."""

    trial: TrialRecord
    seeds: tuple[TrialRecord, ...]  # at least one, worst first

    @property
    def scores(self) -> list[float]:
        """The best score of each seed on the selection set, 0 to 100, lowest first."""
        return [record.best for record in self.seeds if record.best is not None]

    @property
    def mean(self) -> float:
        """What the contenders are compared by."""
        return fmean(self.scores)

    @property
    def deviation(self) -> float | None:
        """The sample's standard deviation; None for a single seed."""
        return stdev(self.scores) if len(self.seeds) > 1 else None

    def sample(self, score: str, metric: str) -> list[float]:
        """A score of each seed, at the evaluation that is best by `metric`."""
        return [best_evaluation(record, metric)[score] for record in self.seeds]

    @property
    def median(self) -> TrialRecord:
        """The seed in the middle, the lower of two: neither lucky nor unlucky."""
        return self.seeds[(len(self.seeds) - 1) // 2]


@dataclass(frozen=True)
class Confirmation:
    """How far a confirmation has come."""

    contenders: Sequence[Contender]  # those with a seed that finished, best mean first
    over: bool  # every training has ended

    @property
    def winner(self) -> Contender | None:
        """The best mean of seeds, once all are in."""
        return self.contenders[0] if self.over and self.contenders else None


def read_confirmation(folder: Path, study: Study, ledger: Ledger) -> Confirmation | None:
    """The confirmation in a study's folder; None where it has not begun, or is not asked for."""
    asked = study.search.confirm
    if asked is None or not (folder / CONFIRMATION.ledger).exists():
        return None
    trained = Ledger.open(folder / CONFIRMATION.ledger, study.search.metric).ended
    best = distinct(ledger.ranking)[: asked.top]
    return Confirmation(rank_contenders(best, trained), len(trained) >= len(best) * asked.seeds)


def distinct(ranking: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The trials but for those that differ from a better one in their seed at most."""
    found: dict[str, TrialRecord] = {}
    for record in ranking:
        found.setdefault(repr(sorted(without_seed(record.values).items())), record)
    return list(found.values())


def rank_contenders(best: Sequence[TrialRecord], trained: Sequence[TrialRecord]) -> list[Contender]:
    """What became of the best trials, highest mean first; of equals the better trial.

    A mean of half as many seeds as another has, or of fewer, comes behind: it is luck.
    """
    done = [record for record in trained if record.state == FINISHED and record.best is not None]
    done = sorted(done, key=lambda record: (record.best, -record.number))
    found = []
    for trial in best:
        own = without_seed(trial.values)
        seeds = tuple(record for record in done if without_seed(record.values) == own)
        if seeds:
            found.append(Contender(trial, seeds))
    most = max((len(one.seeds) for one in found), default=0)
    return sorted(found, key=lambda one: (2 * len(one.seeds) <= most, -one.mean))


def spreads(one: Contender, metric: str) -> dict[str, Spread]:
    """Mean and interval of each score that was measured, SHOWN and what the search selects by."""
    measured = best_evaluation(one.seeds[0], metric)
    names = dict.fromkeys((*_SHOWN, metric))
    return {name: spread(one.sample(name, metric)) for name in names if name in measured}


def differences(found: Sequence[Contender]) -> pd.DataFrame:
    """Every two contenders by what they are chosen by; a contender's name is its trial's number."""
    return group_differences({str(one.trial.number): one.scores for one in found})


def without_seed(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a contender is, whatever its seed."""
    return {key: value for key, value in values.items() if key != SEED}
