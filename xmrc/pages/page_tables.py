"""The tables of a study's page. In: findings. Out: `page.Table`s."""

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from xmrc.pages.findings import Findings
from xmrc.pages.html import Cell, Table, difference, number, words
from xmrc.pages.paper_comparison import ComparedNumber
from xmrc.scoring.gxlt import summarise
from xmrc.scoring.predictions import PAIR
from xmrc.scoring.score_tables import RANKS, rank_histogram
from xmrc.search.ledger import FAILED, STOPPED, TrialRecord, best_evaluation
from xmrc.search.progress import clock, short_names, shown_value
from xmrc.selection.contenders import SEED, Candidate
from xmrc.settings.expected import BASE_SYSTEM, PRINTED_METRICS


def tiles(findings: Findings) -> dict[str, str]:
    """A few numbers for those who read no further."""
    winner, records = findings.winner, list(findings.ledger.trials.values())
    score = winner.mean if winner else findings.best.best
    assert score is not None, "a ranked trial has a score"
    seeds = f", mean of {_seeds(winner)}" if winner else ""
    states = Counter(record.state for record in records)
    shown = {f"{findings.metric}, trial {findings.best.number}{seeds}": f"{score:.1f}"}
    if findings.start is not None:
        before = summarise(findings.start).metrics[findings.metric]
        shown["over the start"] = difference(score - before).text
    shown["trials"] = str(len(records))
    shown |= {state: str(states[state]) for state in (STOPPED, FAILED) if states[state]}
    shown["of training in all"] = clock(sum(record.seconds for record in records))
    return shown


def choice(findings: Findings) -> list[str]:
    """Which trial has won and why, where a confirmation has a say in it."""
    winner, first, metric = findings.winner, findings.ranking[0], findings.metric
    if findings.confirmation is None:
        return []
    if winner is None:
        return [f"The confirmation is not over; trial {first.number} is the best of the search."]
    spread = "" if winner.deviation is None else f" ± {winner.deviation:.2f}"
    won = (
        f"Trial {winner.trial.number} won: its mean over {_seeds(winner)}, {metric} "
        f"{winner.mean:.2f}{spread}, is the best of the trials that were trained again. It is "
        f"shown by its median seed, {winner.median.values[SEED]}."
    )
    if first is winner.trial:
        return [won, f"The search itself had it first, too, with {first.best:.2f}."]
    return [won, f"The search itself had trial {first.number} first, with {first.best:.2f}."]


def settings_table(trial: TrialRecord) -> Table:
    """The values that the best trial has of what was searched."""
    rows = [[words(key), words(shown_value(value))] for key, value in trial.values.items()]
    return Table(["setting", "value"], rows, caption=f"What was searched, in trial {trial.number}")


def scores_table(findings: Findings) -> Table:
    """Every metric of the best trial beside the start, as far as they were read."""
    before = summarise(findings.start).metrics if findings.start is not None else {}
    after = best_evaluation(findings.reader, findings.metric)
    if findings.champion is not None:
        after = dict(summarise(findings.champion).metrics)
    rows = []
    for name in (name for name in PRINTED_METRICS if name in after):
        start, best = before.get(name), after[name]
        change = None if start is None else best - start
        rows.append([words(name), number(start), number(best), difference(change)])
    headings = ["metric", "start", findings.reader_name, "difference"]
    return Table(headings, rows, caption=f"Scores on {findings.select}, 0 to 100")


def page_trials_table(findings: Findings) -> Table:
    """A row for each trial, best of the search first, those that have no score last.

    Those that were trained again have the mean over their fresh seeds, too.
    """
    ranking, records = findings.ranking, list(findings.ledger.trials.values())
    records = ranking + [one for one in records if one not in ranking]
    keys = list(dict.fromkeys(key for one in records for key in one.values))
    short, again = short_names(keys), findings.confirmation
    means = {one.trial.id: one.mean for one in again.candidates} if again else {}
    rows = [
        [
            number(one.number, "{:d}"),
            number(one.best),
            *([number(means.get(one.id), "{:.2f}")] if means else []),
            *(_value(one, key) for key in keys),
            words(_state(one, findings)),
            number(one.history[-1]["epoch"] if one.history else None, "{:.3g}"),
            Cell(clock(one.seconds), one.seconds),
        ]
        for one in records
    ]
    scores = [findings.metric, *(["mean of fresh seeds"] if means else [])]
    headings = ["trial", *scores, *(short[key] for key in keys), "state", "epochs", "time"]
    return Table(headings, rows, sorted_by=1)


def beside_tables(rows: Sequence[ComparedNumber], findings: Findings) -> list[Table]:
    """One table for each corpus."""
    titles = {final.name: final.title for final in findings.finals}
    headings = ["system", "trial", "metric", "language", "paper", "ours", "difference"]
    return [
        Table(
            headings,
            [_beside_row(row) for row in rows if row.corpus == corpus],
            caption=f"{titles.get(corpus, corpus)}, 0 to 100",
        )
        for corpus in dict.fromkeys(row.corpus for row in rows)
    ]


def expected_ranks_tables(findings: Findings) -> list[Table]:
    """The ranks of right answers that a paper prints; below those of the base are ours."""
    tables = []
    for name, system in findings.study.expected.items():
        ours = _ranks(findings.start) if name == BASE_SYSTEM else {}
        rows = []
        for language, counts in system.ranks.items():
            rows.append([words(language), words("paper"), *_counts(counts)])
            if language in ours:
                rows.append([words(language), words("ours"), *_counts(ours[language])])
        if rows:
            headings = ["questions in", "", *map(str, range(1, RANKS + 1))]
            tables.append(Table(headings, rows, caption=f"{name}: right answers by rank"))
    return tables


def _ranks(scored: pd.DataFrame | None) -> dict[str, list[int]]:
    counts = {} if scored is None else rank_histogram(scored).T.items()
    return {language: row.tolist() for language, row in dict(counts).items()}


def _counts(counts: Sequence[int]) -> list[Cell]:
    cells = [number(count, "{:d}") for count in counts]
    return cells + [number(None)] * (RANKS - len(cells))


def ranks_table(name: str, scored: pd.DataFrame) -> Table:
    """How many first right answers stand at each rank, by question language."""
    totals = scored[PAIR[0]].value_counts()
    rows = [
        [
            words(language),
            number(totals[language], "{:d}"),
            *(number(count, "{:d}") for count in counts),
            number(totals[language] - sum(counts), "{:d}"),
        ]
        for language, counts in _ranks(scored).items()
    ]
    headings = ["questions in", "all", *map(str, range(1, RANKS + 1)), "none"]
    return Table(headings, rows, caption=f"{name}: the rank of the first right answer")


def _state(trial: TrialRecord, findings: Findings) -> str:
    if trial.state == FAILED:
        return f"{trial.state}: {trial.cause}"
    won = findings.winner is not None and trial is findings.best
    return f"{trial.state}, won the confirmation" if won else trial.state


def _seeds(one: Candidate) -> str:
    count = len(one.seeds)
    return f"{count} fresh seed{'s' if count > 1 else ''}"


def _value(trial: TrialRecord, key: str) -> Cell:
    value = trial.values.get(key, "")
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return Cell(shown_value(value), value if plain else shown_value(value))


def _beside_row(row: ComparedNumber) -> list[Cell]:
    change = None if row.ours is None else row.ours - row.paper
    return [
        words(row.system),
        number(row.trial, "{:d}"),
        words(row.metric),
        words(row.language),
        number(row.paper),
        number(row.ours),
        difference(change),
    ]
