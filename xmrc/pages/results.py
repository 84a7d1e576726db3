"""Who has won, and how it reads, on a study's page. In: findings, a folder for pictures.

Out: sections, empty where nothing is.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from xmrc.data.scored_set import ScoredSet
from xmrc.pages.charts import Estimate, draw_bars, draw_estimates
from xmrc.pages.findings import Findings
from xmrc.pages.heatmaps import gxlt_difference_heatmap, gxlt_heatmap
from xmrc.pages.section import PageSection
from xmrc.scoring.gxlt import summarise
from xmrc.scoring.predictions import QUESTION
from xmrc.scoring.score_tables import RANKS, diagnose, in_words, rank_histogram, rank_shares
from xmrc.search.folder import CHAMPION
from xmrc.search.ledger import FAILED, STOPPED, TrialRecord, best_evaluation
from xmrc.search.progress import clock, shown_value
from xmrc.selection.contender_tables import contenders_table, differences_table
from xmrc.selection.contenders import SEED, Contender, spreads
from xmrc.selection.final_sets import BASE
from xmrc.settings.expected import PRINTED_METRICS
from xmrc.tables import Column, Table, frame_of
from xmrc.tracking.names import key_of


def tiles(findings: Findings) -> dict[str, str]:
    """A few numbers for those who read no further."""
    winner, records = findings.winner, list(findings.ledger.trials.values())
    score = winner.mean if winner else findings.best.best
    assert score is not None, "a ranked trial has a score"
    seeds = f", mean of {_seeds(winner)}" if winner else ""
    states = Counter(record.state for record in records)
    shown = {f"{findings.metric}, trial {findings.best.number}{seeds}": f"{score:.1f}"}
    if findings.start is not None:
        change = score - summarise(findings.start).metrics[findings.metric]
        shown["over the start"] = f"{change:+.1f}".replace("-", "\N{MINUS SIGN}")
    shown["trials"] = str(len(records))
    shown |= {state: str(states[state]) for state in (STOPPED, FAILED) if states[state]}
    shown["of training in all"] = clock(sum(record.seconds for record in records))
    return shown


def best_section(findings: Findings, out: Path) -> PageSection:
    """The best trial's settings, and its scores beside those of what it started from."""
    section = PageSection("Best", choice(findings))
    if findings.best.values:
        section.tables.append(_settings_table(findings.best))
    section.tables.append(scores_table(findings))
    return section


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


def scores_table(findings: Findings) -> Table:
    """Every metric of the best trial beside the start, as far as they were read."""
    before: Mapping[str, float] = {}
    if findings.start is not None:
        before = summarise(findings.start).metrics
    after: Mapping[str, float] = best_evaluation(findings.reader, findings.metric)
    if findings.champion is not None:
        after = summarise(findings.champion).metrics
    caption = f"Scores on {findings.select}, 0 to 100"
    return _metrics_table({"start": before, findings.reader_name: after}, caption)


def confirmation_section(findings: Findings, out: Path) -> PageSection:
    """The contenders over their fresh seeds, how every two differ, and what was made of it."""
    section, metric = PageSection("Confirmation"), findings.metric
    found = findings.confirmation.contenders if findings.confirmation else []
    if not found:
        return section
    section.words = [
        f"The best trials, trained again with fresh seeds and scored on {findings.select}. Each "
        "interval is a 95 % t interval of the mean, with the seeds as the unit.",
        *_verdict(findings),
    ]
    caption = "Over fresh seeds, 0 to 100, best mean first"
    section.tables.append(replace(contenders_table(found, metric), title="", caption=caption))
    if len(found) > 1:
        section.tables.append(_differences_table(found, metric))
    caption = "Means over fresh seeds with their 95 % intervals, and the seeds beside them."
    panels = _estimates(found, metric)
    section.draw(out / "confirmation.png", caption, draw_estimates, panels, x="trial")
    return section


def final_sets_section(findings: Findings, out: Path) -> PageSection:
    """Base and winner on each set that was scored once, when everything was chosen."""
    section, reader = PageSection("Final sets"), findings.reader_name
    if not findings.finals:
        return section
    section.words.append(
        f"Scored once, by the base and by {reader}, after everything was chosen: no choice was "
        "made by these scores."
    )
    for final, readings in findings.finals.items():
        base, best = (summarise(readings[name]) for name in (BASE, CHAMPION))
        sides = {"base": base.metrics, reader: best.metrics}
        section.tables.append(_metrics_table(sides, f"{final.title}, 0 to 100"))
        _draw_final_set(final, reader, base.matrix("f1"), best.matrix("f1"), section, out)
    return section


def languages_section(findings: Findings, out: Path) -> PageSection:
    """The G-XLT tables of the best trial and of what it started from, and their difference."""
    section = PageSection("Languages")
    read = {"start": findings.start, "best": findings.champion}
    names = {"start": "the start", "best": findings.reader_name}
    scores = {name: summarise(scored) for name, scored in read.items() if scored is not None}
    for metric in ("f1", "em"):
        tables = {name: one.matrix(metric) for name, one in scores.items()}
        how: dict[str, Any] = {"metric": metric.upper(), "half": True}
        if len(tables) == len(read):
            caption = f"{metric.upper()}, {names['best']} less what it started from."
            path, title = out / f"gxlt-{metric}-difference.png", f"{names['best']} less start"
            what = tables["best"], tables["start"]
            section.draw(path, caption, gxlt_difference_heatmap, *what, title=title, **how)
        for name, table in reversed(tables.items()):
            of = "" if name == "best" else " of all trials"
            path, caption = (
                out / f"gxlt-{metric}-{name}.png",
                f"{metric.upper()} of {names[name]}{of}.",
            )
            section.draw(path, caption, gxlt_heatmap, table, title=names[name], **how)
    return section


def ranks_section(findings: Findings, out: Path) -> PageSection:
    """Where the right answers stand among the n best, and what that says."""
    section = PageSection("Ranks")
    read = {"start": findings.start, findings.reader_name: findings.champion}
    scored = {name: examples for name, examples in read.items() if examples is not None}
    if not scored:
        return section
    section.draw(
        out / "ranks.png",
        "Where the first right answer stands, as shares of all questions.",
        draw_bars,
        {name: rank_shares(examples) for name, examples in scored.items()},
        [str(rank) for rank in range(1, 1 + RANKS)],
        x="rank of the first right answer",
        y="% of questions",
    )
    for name, examples in scored.items():
        section.words += [f"{name} is {line}." for line in in_words(diagnose(examples))]
        section.tables.append(_ranks_table(name, examples))
    return section


def _draw_final_set(
    final: ScoredSet,
    reader: str,
    base: pd.DataFrame,
    best: pd.DataFrame,
    section: PageSection,
    out: Path,
) -> None:
    name, title = key_of(final.name).replace("/", "-"), f"{reader}: {final.title}"
    caption = f"F1 of {reader} on {final.title}."
    section.draw(out / f"final-{name}.png", caption, gxlt_heatmap, best, title=title, half=True)
    path, title = out / f"final-{name}-difference.png", f"{reader} less base: {final.title}"
    caption, draw = f"F1 on {final.title}, {reader} less the base.", gxlt_difference_heatmap
    section.draw(path, caption, draw, best, base, title=title, half=True)


def _verdict(findings: Findings) -> list[str]:
    said = findings.verdict
    if said is None:
        return []
    name = f"models:/{findings.study.tracking.register_as}@{said.alias}"
    version = findings.version
    became = f"It is version {version}, {name}." if version else "It is not registered yet."
    return [f"{said.reason} {became}"]


def _differences_table(found: Sequence[Contender], metric: str) -> Table:
    """The table of the terminal with a word in place of each star."""
    table = differences_table(found, metric)
    stars = ["significant" if strong else "" for strong in table.strong["difference"]]
    return replace(
        table,
        frame=table.frame.assign(significant=stars),
        columns=[*table.columns, Column("significant", "")],
        title="",
        caption=f"Differences of mean {metric}: Welch's t-test over seeds, two-sided",
    )


def _estimates(found: Sequence[Contender], metric: str) -> dict[str, list[Estimate]]:
    panels: dict[str, list[Estimate]] = {}
    for one in found:
        for score, over in spreads(one, metric).items():
            sample = one.sample(score, metric)
            estimate = Estimate(str(one.trial.number), over.mean, over.interval, sample)
            panels.setdefault(score, []).append(estimate)
    return panels


def _settings_table(trial: TrialRecord) -> Table:
    """The values that the best trial has of what was searched."""
    values = trial.values.items()
    rows = [{"setting": key, "value": shown_value(value)} for key, value in values]
    return Table(frame_of(rows), caption=f"What was searched, in trial {trial.number}")


def _metrics_table(sides: Mapping[str, Mapping[str, float]], caption: str) -> Table:
    """The metrics of two readers, and the second less the first, as far as the second has them."""
    (first, before), (second, after) = sides.items()
    names = [name for name in PRINTED_METRICS if name in after]
    columns = {"before": pd.Series(before, dtype=float), "after": pd.Series(after, dtype=float)}
    frame = pd.DataFrame(columns).reindex(names).rename_axis("metric").reset_index()
    return Table(
        frame.assign(difference=frame["after"] - frame["before"]),
        [
            Column("metric"),
            Column("before", first, "{:.1f}"),
            Column("after", second, "{:.1f}"),
            Column("difference", show="{:+.1f}", change=True),
        ],
        caption=caption,
    )


def _ranks_table(name: str, scored: pd.DataFrame) -> Table:
    """How many first right answers stand at each rank, by question language."""
    counts = rank_histogram(scored).rename(columns=str)
    every = scored[QUESTION].value_counts()[counts.index]
    frame = counts.assign(none=every - counts.sum(axis=1))
    frame.insert(0, "all", every)
    frame = frame.rename_axis("questions in", columns=None).reset_index()
    return Table(frame, caption=f"{name}: the rank of the first right answer")


def _seeds(one: Contender) -> str:
    count = len(one.seeds)
    return f"{count} fresh seed{'s' if count > 1 else ''}"
