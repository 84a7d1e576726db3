"""The parts of a study's page. In: findings, a folder for pictures. Out: sections, maybe empty."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from xmrc.pages import optuna_charts
from xmrc.pages import page_tables as report_tables
from xmrc.pages.charts import draw_bars, draw_cells, draw_curves
from xmrc.pages.effects import curve_effects, measures, pair_effects
from xmrc.pages.findings import Findings
from xmrc.pages.heatmaps import gxlt_difference_heatmap, gxlt_heatmap
from xmrc.pages.html import PageSection, Picture
from xmrc.pages.paper_comparison import compare_with_paper, systems
from xmrc.pages.setting_pairs import MOST, SettingPairs, choose_pairs, varied_pairs
from xmrc.pages.training_curves import EPOCHS, curve_panels, weight_panel
from xmrc.scoring.gxlt import summarise
from xmrc.scoring.score_tables import diagnose, in_words, rank_shares
from xmrc.search.progress import short_names
from xmrc.settings import to_yaml

_ENOUGH = 50  # trials for an importance that is more than a hint


def best(findings: Findings, out: Path) -> PageSection:
    """The best trial's settings, and its scores beside those of what it started from."""
    words, scores = report_tables.choice(findings), report_tables.scores_table(findings)
    section = PageSection("Best", words, [scores])
    if findings.best.values:
        section.tables.insert(0, report_tables.settings_table(findings.best))
    return section


def printed(findings: Findings, out: Path) -> PageSection:
    """A paper's numbers beside ours."""
    study, section = findings.study, PageSection("Paper and ours")
    if study.expected:
        ours = systems(findings)
        rows = compare_with_paper(study.expected, ours, findings.select)
        section.tables += report_tables.beside_tables(rows, findings)
        section.tables += report_tables.expected_ranks_tables(findings)
        notes = {name: system.note for name, system in study.expected.items()}
        section.words += [f"{name}: {note}" for name, note in notes.items() if note]
    return section


def trials(findings: Findings, out: Path) -> PageSection:
    """Every trial, the best of the search first."""
    words = "Best of the search first; a click on a heading sorts by it."
    return PageSection("Trials", [words], [report_tables.page_trials_table(findings)])


def search(findings: Findings, out: Path) -> PageSection:
    """How the search went, and which settings mattered."""
    metric, space, section = findings.metric, findings.study.space, PageSection("Search")
    study = optuna_charts.rebuild(list(findings.ledger.trials.values()), space, metric)
    draw = _Pictures(section, out)
    draw(
        "history",
        "The score of each trial, and the best so far.",
        optuna_charts.draw_history,
        study,
        metric,
    )
    draw(
        "evaluations",
        "Each trial as it trained; those that end early were stopped.",
        optuna_charts.draw_evaluations,
        study,
        metric,
    )
    if len(findings.ranking) > 1 and space:
        draw(
            "parallel",
            "Score and settings of each trial; the stronger the colour, the higher the score.",
            optuna_charts.draw_parallel,
            study,
            metric,
        )
        count = len(findings.ranking)
        hint = f" With {count} trials this is a hint at most." if count < _ENOUGH else ""
        draw(
            "importance",
            f"What tells the best tenth of the trials from the others, in shares.{hint}",
            optuna_charts.draw_importances,
            study,
        )
    return section


def effects(findings: Findings, out: Path) -> PageSection:
    """What each searched setting does, and each two of them."""
    space, metric, ranking = findings.study.space, findings.metric, findings.ranking
    short, section = short_names(list(space)), PageSection("Settings")
    draw = _Pictures(section, out)
    pairs = _pairs(findings)
    curves, cells, contours = pair_effects(ranking, space, metric, pairs.drawn)
    for one in [*curve_effects(ranking, space, metric), *curves]:
        caption = " by ".join(short[key] for key in one.keys)
        draw("-".join(one.keys), caption, draw_curves, one.panels, one.x, names=one.names)
    for table in cells:
        caption = " by ".join(short[key] for key in table.keys)
        draw("-".join(table.keys), caption, draw_cells, table.panels)
    if curves or cells or section.pictures:
        section.words.append(
            "Each trial counts with its best evaluation. Full points ran to their end, hollow ones "
            "were stopped early; lines and cells are means of the full ones where there are any."
        )
    _draw_contours(findings, contours, draw)
    if pairs.left_out:
        count, drawn = len(pairs.left_out), len(pairs.drawn)
        section.words.append(
            f"Every setting has its curve. The {drawn + count} pairs of settings would be too many "
            f"to look at: drawn are the {drawn} that figures of the papers show or that are of the "
            f"most important settings (by PED-ANOVA, as above), and the other {count} are left out."
        )
        names = [" by ".join(short[key] for key in pair) for pair in pairs.left_out]
        section.folded = {f"The {count} pairs that are left out": "\n".join(names)}
    return section


def languages(findings: Findings, out: Path) -> PageSection:
    """The G-XLT tables of the best trial and of what it started from, and their difference."""
    section = PageSection("Languages")
    draw = _Pictures(section, out, half=True)
    read = {"start": findings.start, "best": findings.champion}
    names = {"start": "the start", "best": findings.reader_name}
    scores = {name: summarise(one) for name, one in read.items() if one is not None}
    for metric in ("f1", "em"):
        shown = metric.upper()
        tables = {name: one.matrix(metric) for name, one in scores.items()}
        if len(tables) == len(read):
            draw(
                f"gxlt-{metric}-difference",
                f"{shown}, {names['best']} less what it started from.",
                gxlt_difference_heatmap,
                tables["best"],
                tables["start"],
                title=f"{names['best']} less start",
                metric=shown,
            )
        for name, table in reversed(tables.items()):
            draw(
                f"gxlt-{metric}-{name}",
                f"{shown} of {names[name]}{'' if name == 'best' else ' of all trials'}.",
                gxlt_heatmap,
                table,
                title=names[name],
                metric=shown,
            )
    return section


def learned(findings: Findings, out: Path) -> PageSection:
    """c_kl, w, losses over the epochs."""
    section = PageSection("Training")
    draw = _Pictures(section, out)
    panels = curve_panels(findings.standing)
    weights = weight_panel(findings.standing)
    if "c_kl" in panels:
        caption = "c_kl, the coefficient of the distillation: means since the last evaluation."
        draw("c_kl", caption, draw_curves, [panels.pop("c_kl")], EPOCHS)
    if weights:
        entropy = [panels.pop("w_entropy")] if "w_entropy" in panels else []
        caption = "w, the weights of the candidates (the gold's is the first), and their entropy."
        draw("w", caption, draw_curves, [weights, *entropy], EPOCHS)
    if panels:
        caption = "What else was reported, of the best trials."
        draw("training", caption, draw_curves, list(panels.values()), EPOCHS)
    return section


def ranks(findings: Findings, out: Path) -> PageSection:
    """Where the right answers stand among the n best, and what that says."""
    section = PageSection("Ranks")
    read = {"start": findings.start, findings.reader_name: findings.champion}
    shown = {name: scored for name, scored in read.items() if scored is not None}
    if not shown:
        return section
    shares = {name: rank_shares(scored) for name, scored in shown.items()}
    _Pictures(section, out)(
        "ranks",
        "Where the first right answer stands, as shares of all questions.",
        draw_bars,
        shares,
        [str(rank) for rank in range(1, 1 + len(next(iter(shares.values()))))],
        x="rank of the first right answer",
        y="% of questions",
    )
    for name, scored in shown.items():
        section.words += [f"{name} is {line}." for line in in_words(diagnose(scored))]
        section.tables.append(report_tables.ranks_table(name, scored))
    return section


def study_file(findings: Findings, out: Path) -> PageSection:
    """What was asked for."""
    return PageSection("Study file", folded={"study.yaml": to_yaml(findings.study)})


def _pairs(findings: Findings) -> SettingPairs:
    """The pairs that are drawn; of many settings it takes their importance to choose."""
    space, short = findings.study.space, short_names(list(findings.study.space))
    pairs = varied_pairs(findings.ranking, space)
    if len(pairs) <= MOST:
        return SettingPairs(pairs, [])
    study = optuna_charts.rebuild(findings.ranking, space, findings.metric)
    importance = optuna_charts.importances(study)
    return choose_pairs(pairs, list(space), {key: importance.get(short[key], 0) for key in space})


class _Pictures:
    """Draws into the folder, and puts what is drawn into the section."""

    def __init__(self, section: PageSection, out: Path, *, half: bool = False) -> None:
        self._section, self._out, self._half = section, out, half

    def __call__(
        self, name: str, caption: str, draw: Callable[..., None], *tables: Any, **words: Any
    ) -> None:
        path = self._out / f"{name}.png"
        draw(path, *tables, **words)
        self._section.pictures.append(Picture(path, caption, self._half))


def _draw_contours(findings: Findings, pairs: Sequence[tuple[str, str]], draw: _Pictures) -> None:
    """Two settings of many values, for the metric as F1 and as EM."""
    space, metric = findings.study.space, findings.metric
    short, records = short_names(list(space)), list(findings.ledger.trials.values())
    named = list(measures(metric).items())[:2]
    for score, shown in named if pairs else []:
        study = optuna_charts.rebuild(records, space, metric, score=score)
        for pair in pairs:
            names = [short[key] for key in pair]
            caption = f"{shown} over {' and '.join(names)}, interpolated between the trials (dots)."
            file = f"{'-'.join(pair)}-{score}"
            draw(file, caption, optuna_charts.draw_contour, study, names, score)
