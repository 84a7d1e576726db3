"""The tables of a study's page. In: findings. Out: `page.Table`s."""

from collections import Counter
from collections.abc import Sequence

from xmrc.page import Cell, Table, difference, number, words
from xmrc.scoring.matrix import summarise
from xmrc.scoring.predictions import RANKS, ExampleScore, rank_histogram
from xmrc.search.beside import Beside
from xmrc.search.effects import best_evaluation, labels
from xmrc.search.findings import Findings
from xmrc.search.ledger import FAILED, STOPPED, TrialRecord
from xmrc.search.progress import clock, shown_value
from xmrc.settings.expected import BASE, METRICS


def tiles(findings: Findings) -> dict[str, str]:
    """A few numbers for those who read no further."""
    best, records = findings.ranking[0], list(findings.ledger.trials.values())
    assert best.best is not None
    states = Counter(record.state for record in records)
    shown = {f"{findings.metric}, trial {best.number}": f"{best.best:.1f}"}
    if findings.start:
        before = summarise(findings.start).metrics[findings.metric]
        shown["over the start"] = difference(best.best - before).text
    shown["trials"] = str(len(records))
    shown |= {state: str(states[state]) for state in (STOPPED, FAILED) if states[state]}
    shown["of training in all"] = clock(sum(record.seconds for record in records))
    return shown


def settings_table(trial: TrialRecord) -> Table:
    """The values that the best trial has of what was searched."""
    rows = [[words(key), words(shown_value(value))] for key, value in trial.values.items()]
    return Table(["setting", "value"], rows, caption=f"What was searched, in trial {trial.number}")


def scores_table(findings: Findings) -> Table:
    """Every metric of the best trial beside the start, as far as they were read."""
    trial = findings.ranking[0]
    before = summarise(findings.start).metrics if findings.start else {}
    after = best_evaluation(trial, findings.metric)
    if findings.champion:
        after = dict(summarise(findings.champion).metrics)
    rows = []
    for name in (name for name in METRICS if name in after):
        start, best = before.get(name), after[name]
        change = None if start is None else best - start
        rows.append([words(name), number(start), number(best), difference(change)])
    headings = ["metric", "start", f"trial {trial.number}", "difference"]
    return Table(
        headings, rows, caption=f"Scores on {findings.study.settings.data.select}, 0 to 100"
    )


def trials_table(findings: Findings) -> Table:
    """A row for each trial, the best first, those that have no score last."""
    ranking, metric = findings.ranking, findings.metric
    records = ranking + [one for one in findings.ledger.trials.values() if one not in ranking]
    keys = list(dict.fromkeys(key for one in records for key in one.values))
    short = labels(keys)
    rows = [
        [
            number(one.number, "{:d}"),
            number(one.best),
            *(_value(one, key) for key in keys),
            words(f"{one.state}: {one.cause}" if one.state == FAILED else one.state),
            number(one.history[-1]["epoch"] if one.history else None, "{:.3g}"),
            Cell(clock(one.seconds), one.seconds),
        ]
        for one in records
    ]
    headings = ["trial", metric, *(short[key] for key in keys), "state", "epochs", "time"]
    return Table(headings, rows, sorted_by=1)


def beside_tables(rows: Sequence[Beside]) -> list[Table]:
    """One table for each corpus."""
    headings = ["system", "trial", "metric", "language", "paper", "ours", "difference"]
    return [
        Table(
            headings,
            [_beside_row(row) for row in rows if row.corpus == corpus],
            caption=f"{corpus}, 0 to 100",
        )
        for corpus in dict.fromkeys(row.corpus for row in rows)
    ]


def expected_ranks_tables(findings: Findings) -> list[Table]:
    """The ranks of right answers that a paper prints; below those of the base are ours."""
    tables = []
    for name, system in findings.study.expected.items():
        ours = rank_histogram(findings.start) if name == BASE else {}
        rows = []
        for language, counts in system.ranks.items():
            rows.append([words(language), words("paper"), *_counts(counts)])
            if language in ours:
                rows.append([words(language), words("ours"), *_counts(ours[language])])
        if rows:
            headings = ["questions in", "", *map(str, range(1, RANKS + 1))]
            tables.append(Table(headings, rows, caption=f"{name}: right answers by rank"))
    return tables


def _counts(counts: Sequence[int]) -> list[Cell]:
    cells = [number(count, "{:d}") for count in counts]
    return cells + [number(None)] * (RANKS - len(cells))


def ranks_table(name: str, examples: Sequence[ExampleScore]) -> Table:
    """How many first right answers stand at each rank, by question language."""
    totals = Counter(one.question_language for one in examples)
    histogram = rank_histogram(examples)
    rows = [
        [
            words(language),
            number(totals[language], "{:d}"),
            *(number(count, "{:d}") for count in counts),
            number(totals[language] - sum(counts), "{:d}"),
        ]
        for language, counts in histogram.items()
    ]
    headings = ["questions in", "all", *map(str, range(1, RANKS + 1)), "none"]
    return Table(headings, rows, caption=f"{name}: the rank of the first right answer")


def rank_shares(examples: Sequence[ExampleScore]) -> list[float]:
    """Of all questions, how many have their first right answer at rank 1, 2, ..., in percent."""
    counts = zip(*rank_histogram(examples).values(), strict=True)
    return [100 * sum(count) / len(examples) for count in counts]


def _value(trial: TrialRecord, key: str) -> Cell:
    value = trial.values.get(key, "")
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return Cell(shown_value(value), value if plain else shown_value(value))


def _beside_row(row: Beside) -> list[Cell]:
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
