"""A paper's numbers beside ours. In: what a study expects, its trials, its readings. Out: rows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import pandas as pd

from xmrc.pages.findings import Findings
from xmrc.scoring.gxlt import language_metrics, summarise
from xmrc.scoring.predictions import PAIR, SCORES
from xmrc.scoring.score_tables import pair_rows
from xmrc.search.folder import CHAMPION
from xmrc.search.ledger import TrialRecord, best_evaluation
from xmrc.search.observed import OF_CONFIRMATION, PAIRS, read_table
from xmrc.selection import final_sets
from xmrc.settings import RunSettings
from xmrc.settings.domains import is_in
from xmrc.settings.expected import BASE_SYSTEM, MEAN, ExpectedSystem

_Scores = Mapping[tuple[str, str], float]


@dataclass(frozen=True)
class _Ours:
    """What stands for a system of a paper: a trial or the start (number None), and its scores.

    `scores` by metric and language, `MEAN` the metric itself; those of k answers only where it was
    read to its end.
    `finals` are those on final corpora, by their names, of base and winner alone.
    """

    number: int | None
    scores: _Scores
    finals: Mapping[str, _Scores] = field(default_factory=dict)


@dataclass(frozen=True)
class ComparedNumber:
    """One printed number; ours is None where there is none."""

    system: str
    corpus: str
    metric: str
    language: str
    paper: float
    ours: float | None
    trial: int | None


def systems(findings: Findings) -> dict[str, _Ours | None]:
    """Who of ours is each system: what the trials start from, or the best of those it names.

    A trial that won a confirmation is the best, and counts with its median seed.
    """
    return {name: _ours(name, one, findings) for name, one in findings.study.expected.items()}


def compare_with_paper(
    expected: Mapping[str, ExpectedSystem], ours: Mapping[str, _Ours | None], corpus: str
) -> list[ComparedNumber]:
    """A row for each printed number, those of `corpus`, the selection set, first."""
    rows = []
    for name, system in expected.items():
        who = ours[name]
        number = who.number if who else None
        for metric, language, paper in _printed(system.scores):
            value = who.scores.get((metric, language)) if who else None
            rows.append(ComparedNumber(name, corpus, metric, language, paper, value, number))
        for other, scores in system.final.items():
            for metric, language, paper in _printed(scores):
                value = who.finals.get(other, {}).get((metric, language)) if who else None
                rows.append(ComparedNumber(name, other, metric, language, paper, value, number))
    return rows


def scores_by_language(scored: pd.DataFrame) -> dict[tuple[str, str], float]:
    """Every metric, and by language those that a paper may print so."""
    means = {(name, MEAN): value for name, value in summarise(scored).metrics.items()}
    return means | language_metrics(pair_rows(scored))


def _ours(name: str, system: ExpectedSystem, findings: Findings) -> _Ours | None:
    if name == BASE_SYSTEM and not system.where:
        if findings.start is None:
            return None
        return _Ours(None, scores_by_language(findings.start), _finals(final_sets.BASE, findings))
    standing, settings = findings.standing, findings.study.settings
    trial = next((one for one in standing if _is_one(one, system.where, settings)), None)
    if trial is None:
        return None
    if trial is findings.best and findings.champion is not None:
        return _Ours(
            trial.number, scores_by_language(findings.champion), _finals(CHAMPION, findings)
        )
    reader = findings.reader if trial is findings.best else trial
    evaluation = best_evaluation(reader, findings.metric)
    means = {(name, MEAN): value for name, value in evaluation.items()}
    table = f"{OF_CONFIRMATION if reader is not trial else ''}{PAIRS}"
    pairs = [
        {name: row[name] for name in PAIR} | {name: float(row[name]) for name in SCORES}
        for row in read_table(findings.ledger.path.parent / table)
        if int(row["trial"]) == reader.number and int(row["evaluation"]) == evaluation["evaluation"]
    ]
    return _Ours(trial.number, means | (language_metrics(pd.DataFrame(pairs)) if pairs else {}))


def _finals(reader: str, findings: Findings) -> dict[str, _Scores]:
    return {
        final.name: scores_by_language(readings[reader])
        for final, readings in findings.finals.items()
    }


def _printed(scores: Mapping[str, Any]) -> Iterator[tuple[str, str, float]]:
    for metric, printed in scores.items():
        values = printed if isinstance(printed, Mapping) else {MEAN: printed}
        yield from ((metric, language, value) for language, value in values.items())


def _is_one(trial: TrialRecord, where: Mapping[str, Any], settings: RunSettings) -> bool:
    """Whether a trial has these values, searched or fixed."""
    return all(is_in(_value(trial, key, settings), [value]) for key, value in where.items())


def _value(trial: TrialRecord, key: str, settings: RunSettings) -> Any:
    if key in trial.values:
        return trial.values[key]
    plain = settings.model_dump(mode="json")
    return reduce(lambda tree, part: tree and tree[part], key.split("."), plain)
