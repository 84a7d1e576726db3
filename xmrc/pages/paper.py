"""A paper's numbers beside ours. In: what a study expects, trials, readings. Out: a section."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pandas as pd

from xmrc.pages.findings import Findings
from xmrc.pages.section import PageSection
from xmrc.scoring.gxlt import language_metrics, summarise
from xmrc.scoring.score_tables import RANKS, pair_rows, rank_histogram
from xmrc.search.folder import CHAMPION
from xmrc.search.ledger import TrialRecord, best_evaluation
from xmrc.search.observed import PAIRS, read_table
from xmrc.search.phases import CONFIRMATION
from xmrc.selection import final_sets
from xmrc.settings import RunSettings
from xmrc.settings.domains import is_in
from xmrc.settings.expected import BASE_SYSTEM, MEAN, ExpectedSystem
from xmrc.tables import Column, Table, frame_of

_RANKS = [str(rank) for rank in range(1, RANKS + 1)]
_Scores = Mapping[tuple[str, str], float]
_COLUMNS = (
    Column("system"),
    Column("trial"),
    Column("metric"),
    Column("language"),
    Column("paper", show="{:.1f}"),
    Column("ours", show="{:.1f}"),
    Column("difference", show="{:+.1f}", change=True),
)


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


def paper_section(findings: Findings, out: Path) -> PageSection:
    """A paper's numbers beside ours, and its ranks."""
    section, expected = PageSection("Paper and ours"), findings.study.expected
    if expected:
        section.tables = [*paper_tables(findings), *_rank_tables(findings)]
        notes = {name: system.note for name, system in expected.items()}
        section.words = [f"{name}: {note}" for name, note in notes.items() if note]
    return section


def paper_tables(findings: Findings) -> list[Table]:
    """A table for each corpus with a row for each number that is printed."""
    frame = printed_and_ours(findings)
    frame = frame.assign(difference=frame["ours"] - frame["paper"])
    titles = {final.name: final.title for final in findings.finals}
    return [
        Table(rows, _COLUMNS, caption=f"{titles.get(str(corpus), corpus)}, 0 to 100")
        for corpus, rows in frame.groupby("corpus", sort=False)
    ]


def printed_and_ours(findings: Findings) -> pd.DataFrame:
    """A row for each printed number, of each system the selection set first; ours may be NaN."""
    rows = []
    for (name, system), who in zip(
        findings.study.expected.items(), systems(findings).values(), strict=True
    ):
        number, scores, finals = (who.number, who.scores, who.finals) if who else (None, {}, {})
        printed = [(findings.select, system.scores, scores)]
        printed += [(corpus, one, finals.get(corpus, {})) for corpus, one in system.final.items()]
        rows += [
            (name, number, corpus, metric, language, paper, ours.get((metric, language)))
            for corpus, theirs, ours in printed
            for metric, language, paper in _printed(theirs)
        ]
    names = ["system", "trial", "corpus", "metric", "language", "paper", "ours"]
    frame = pd.DataFrame(rows, columns=names, dtype=object)
    return frame.astype({"paper": float, "ours": float})


def systems(findings: Findings) -> dict[str, _Ours | None]:
    """Who of ours is each system: what the trials start from, or the best of those it names.

    A trial that won a confirmation is the best, and counts with its median seed.
    """
    return {name: _ours(name, one, findings) for name, one in findings.study.expected.items()}


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
    prefix = CONFIRMATION.tables if reader is not trial else ""
    rows = read_table(findings.ledger.path.parent, PAIRS, prefix)
    place = {"trial": reader.number, "evaluation": evaluation["evaluation"]}
    pairs = rows[(rows[list(place)] == pd.Series(place)).all(axis=1)] if len(rows) else rows
    return _Ours(trial.number, means | (language_metrics(pairs) if len(pairs) else {}))


def _rank_tables(findings: Findings) -> list[Table]:
    """The ranks of right answers that a paper prints; below those of the base are ours."""
    ours: dict[str, Any] = {}
    if findings.start is not None:
        ours = dict(rank_histogram(findings.start).T.items())
    tables = []
    for name, system in findings.study.expected.items():
        rows = []
        for language, counts in system.ranks.items():
            rows.append(_rank_row(language, "paper", counts))
            if name == BASE_SYSTEM and language in ours:
                rows.append(_rank_row(language, "ours", ours[language].tolist()))
        if rows:
            columns = [Column("questions in"), Column("whose", ""), *map(Column, _RANKS)]
            tables.append(Table(frame_of(rows), columns, caption=f"{name}: right answers by rank"))
    return tables


def _rank_row(language: str, whose: str, counts: Sequence[int]) -> dict[str, Any]:
    by_rank = dict(zip_longest(_RANKS, counts))
    return {"questions in": language, "whose": whose, **by_rank}


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
