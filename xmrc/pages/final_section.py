"""The final sets on a study's page. In: findings, a folder for pictures. Out: a section."""

from pathlib import Path

from xmrc.data.scored_set import ScoredSet
from xmrc.pages.findings import Findings
from xmrc.pages.heatmaps import gxlt_difference_heatmap, gxlt_heatmap
from xmrc.pages.html import PageSection, Picture, Table, difference, number, words
from xmrc.scoring.gxlt import GxltScores, summarise
from xmrc.search.folder import CHAMPION
from xmrc.selection.final_sets import BASE
from xmrc.settings.expected import PRINTED_METRICS
from xmrc.tracking.names import key_of


def finals(findings: Findings, out: Path) -> PageSection:
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
        section.tables.append(_table(final, reader, base, best))
        section.pictures += _pictures(final, reader, base, best, out)
    return section


def _table(final: ScoredSet, reader: str, base: GxltScores, best: GxltScores) -> Table:
    before, after = base.metrics, best.metrics
    rows = [
        [
            words(name),
            number(before[name]),
            number(after[name]),
            difference(after[name] - before[name]),
        ]
        for name in PRINTED_METRICS
        if name in after
    ]
    headings = ["metric", "base", reader, "difference"]
    return Table(headings, rows, caption=f"{final.title}, 0 to 100")


def _pictures(
    final: ScoredSet, reader: str, base: GxltScores, best: GxltScores, out: Path
) -> list[Picture]:
    before, after = base.matrix("f1"), best.matrix("f1")
    name = f"final-{key_of(final.name).replace('/', '-')}"
    gxlt_heatmap(scores := out / f"{name}.png", after, title=f"{reader}: {final.title}")
    change = out / f"{name}-difference.png"
    gxlt_difference_heatmap(change, after, before, title=f"{reader} less base: {final.title}")
    return [
        Picture(scores, f"F1 of {reader} on {final.title}.", half=True),
        Picture(change, f"F1 on {final.title}, {reader} less the base.", half=True),
    ]
