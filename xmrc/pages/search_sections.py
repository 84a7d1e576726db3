"""How a search went and what its settings did, on a study's page.

In: findings, a folder for pictures. Out: sections.
"""

from collections.abc import Sequence
from pathlib import Path

from xmrc.pages import optuna_charts
from xmrc.pages.charts import draw_curves
from xmrc.pages.effects import curve_effects, measures, pair_effects
from xmrc.pages.findings import Findings
from xmrc.pages.heatmaps import draw_heatmaps
from xmrc.pages.section import PageSection
from xmrc.pages.setting_pairs import MOST, SettingPairs, choose_pairs, varied_pairs
from xmrc.search.ledger import FAILED, TrialRecord
from xmrc.search.progress import clock, short_names, trials_table
from xmrc.tables import Column, Table

_ENOUGH = 50  # trials for an importance that is more than a hint


def trials_section(findings: Findings, out: Path) -> PageSection:
    """Every trial, the best of the search first."""
    words = "Best of the search first; a click on a heading sorts by it."
    return PageSection("Trials", [words], [page_trials_table(findings)])


def page_trials_table(findings: Findings) -> Table:
    """The table of the terminal with causes and times, and with means over fresh seeds, if any."""
    records, metric = findings.ledger.table, findings.metric
    again = findings.confirmation.contenders if findings.confirmation else []
    means = {one.trial.id: one.mean for one in again}
    table = trials_table(records, metric)
    number, *settings, _, epoch, score = table.columns
    return Table(
        table.frame.assign(
            mean=[means.get(one.id) for one in records],
            state=[_state(one, findings) for one in records],
        ),
        [
            number,
            score,
            *([Column("mean", "mean of fresh seeds", "{:.2f}")] if means else []),
            *settings,
            Column("state"),
            Column("epoch", "epochs", epoch.show),
            Column("seconds", "time", clock),
        ],
        sorted_by=metric,
    )


def search_section(findings: Findings, out: Path) -> PageSection:
    """How the search went, and which settings mattered."""
    metric, space, count = findings.metric, findings.study.space, len(findings.ranking)
    study = optuna_charts.rebuild(list(findings.ledger.trials.values()), space, metric)
    history = "The score of each trial, and the best so far."
    evaluations = "Each trial as it trained; those that end early were stopped."
    parallel = "Score and settings of each trial; the stronger the colour, the higher the score."
    hint = f" With {count} trials this is a hint at most." if count < _ENOUGH else ""
    importance = f"What tells the best tenth of the trials from the others, in shares.{hint}"
    section = PageSection("Search")
    section.draw(out / "history.png", history, optuna_charts.draw_history, study, metric)
    section.draw(
        out / "evaluations.png", evaluations, optuna_charts.draw_evaluations, study, metric
    )
    if count > 1 and space:
        section.draw(out / "parallel.png", parallel, optuna_charts.draw_parallel, study, metric)
        section.draw(out / "importance.png", importance, optuna_charts.draw_importances, study)
    return section


def settings_section(findings: Findings, out: Path) -> PageSection:
    """What each searched setting does, and each two of them."""
    space, metric, ranking = findings.study.space, findings.metric, findings.ranking
    section, pairs = PageSection("Settings"), _pairs(findings)
    curves, cells, contours = pair_effects(ranking, space, metric, pairs.drawn)
    for one in [*curve_effects(ranking, space, metric), *curves]:
        path, caption = out / f"{'-'.join(one.keys)}.png", _named(one.keys, findings)
        section.draw(path, caption, draw_curves, one.panels, one.x, names=one.names)
    for table in cells:
        path, caption = out / f"{'-'.join(table.keys)}.png", _named(table.keys, findings)
        section.draw(path, caption, draw_heatmaps, table.panels)
    if section.pictures:
        section.words.append(
            "Each trial counts with its best evaluation. Full points ran to their end, hollow ones "
            "were stopped early; lines and cells are means of the full ones where there are any."
        )
    if contours:
        _draw_contours(findings, contours, section, out)
    if pairs.left_out:
        _name_left_out(findings, pairs, section)
    return section


def _state(trial: TrialRecord, findings: Findings) -> str:
    if trial.state == FAILED:
        return f"{trial.state}: {trial.cause}"
    won = findings.winner is not None and trial is findings.best
    return f"{trial.state}, won the confirmation" if won else trial.state


def _named(keys: Sequence[str], findings: Findings) -> str:
    short = short_names(findings.study.space)
    return " by ".join(short[key] for key in keys)


def _name_left_out(findings: Findings, pairs: SettingPairs, section: PageSection) -> None:
    count, drawn = len(pairs.left_out), len(pairs.drawn)
    section.words.append(
        f"Every setting has its curve. The {drawn + count} pairs of settings would be too many to "
        f"look at: drawn are the {drawn} that figures of the papers show or that are of the most "
        f"important settings (by PED-ANOVA, as above), and the other {count} are left out."
    )
    names = "\n".join(_named(pair, findings) for pair in pairs.left_out)
    section.folded = {f"The {count} pairs that are left out": names}


def _pairs(findings: Findings) -> SettingPairs:
    """The pairs that are drawn; of many settings it takes their importance to choose."""
    space, short = findings.study.space, short_names(findings.study.space)
    pairs = varied_pairs(findings.ranking, space)
    if len(pairs) <= MOST:
        return SettingPairs(pairs, [])
    study = optuna_charts.rebuild(findings.ranking, space, findings.metric)
    importance = optuna_charts.importances(study)
    return choose_pairs(pairs, list(space), {key: importance.get(short[key], 0) for key in space})


def _draw_contours(
    findings: Findings, pairs: Sequence[tuple[str, str]], section: PageSection, out: Path
) -> None:
    """Two settings of many values, for the metric as F1 and as EM."""
    space, metric = findings.study.space, findings.metric
    short, records = short_names(space), list(findings.ledger.trials.values())
    for score, shown in list(measures(metric).items())[:2]:
        study = optuna_charts.rebuild(records, space, metric, score=score)
        for pair in pairs:
            names = [short[key] for key in pair]
            caption = f"{shown} over {' and '.join(names)}, interpolated between the trials (dots)."
            path = out / f"{'-'.join(pair)}-{score}.png"
            section.draw(path, caption, optuna_charts.draw_contour, study, names, score)
