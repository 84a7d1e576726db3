"""The confirmation on a study's page. In: findings, a folder for pictures. Out: a section.

Its tables are those that `tune` prints, for what is there so far.
"""

from collections.abc import Sequence
from pathlib import Path

from xmrc.pages.charts import Estimate, draw_estimates
from xmrc.pages.findings import Findings
from xmrc.pages.html import Cell, PageSection, Picture, Table, difference, number, words
from xmrc.scoring.seeds import GroupDifference, Interval, shown_interval
from xmrc.scoring.statistics import shown_p
from xmrc.search.progress import shown_values
from xmrc.selection.contenders import Candidate, differences, spreads, without_seed

_PICTURE = "confirmation"


def confirmation(findings: Findings, out: Path) -> PageSection:
    """The candidates over their fresh seeds, how every two differ, and what was made of it."""
    section = PageSection("Confirmation")
    found = findings.confirmation.candidates if findings.confirmation else []
    if not found:
        return section
    section.words = [
        f"The best trials, trained again with fresh seeds and scored on {findings.select}. Each "
        "interval is a 95 % t interval of the mean, with the seeds as the unit.",
        *_verdict(findings),
    ]
    section.tables.append(_candidates(found, findings.metric))
    if len(found) > 1:
        section.tables.append(_differences(found, findings.metric))
    _draw(path := out / f"{_PICTURE}.png", found, findings.metric)
    caption = "Means over fresh seeds with their 95 % intervals, and the seeds beside them."
    section.pictures.append(Picture(path, caption))
    return section


def _verdict(findings: Findings) -> list[str]:
    said = findings.verdict
    if said is None:
        return []
    name = f"models:/{findings.study.tracking.register_as}@{said.alias}"
    became = (
        f"It is version {said.version}, {name}." if said.version else "It is not registered yet."
    )
    return [f"{said.reason} {became}"]


def _candidates(found: Sequence[Candidate], metric: str) -> Table:
    rows = [
        [
            number(one.trial.number, "{:d}"),
            words(shown_values(without_seed(one.trial.values))),
            number(over.seeds, "{:d}"),
            words(score),
            number(over.mean, "{:.2f}"),
            number(over.deviation, "{:.2f}"),
            _interval(over.interval),
        ]
        for one in found
        for score, over in spreads(one, metric).items()
    ]
    headings = ["trial", "settings", "seeds", "score", "mean", "sd", "95 % interval"]
    return Table(headings, rows, caption="Over fresh seeds, 0 to 100, best mean first")


def _differences(found: Sequence[Candidate], metric: str) -> Table:
    rows = [
        [
            number(int(one.first), "{:d}"),
            number(int(one.second), "{:d}"),
            _points(one),
            _interval(one.interval, "+.2f"),
            _p(one.p),
            _p(one.p_holm),
            words("significant" if one.significant else ""),
        ]
        for one in differences(found)
    ]
    headings = ["trial", "less trial", "difference", "95 % interval", "p", "p (Holm)", ""]
    caption = f"Differences of mean {metric}: Welch's t-test over seeds, two-sided"
    return Table(headings, rows, caption=caption)


def _points(one: GroupDifference) -> Cell:
    """Only what is significant is called a gain or a loss."""
    shown = difference if one.significant else number
    return shown(one.difference, "{:+.2f}")


def _interval(interval: Interval | None, form: str = ".2f") -> Cell:
    text = shown_interval(interval, form).replace("-", "\N{MINUS SIGN}")
    return Cell(text, interval[0] if interval else "")


def _p(p: float | None) -> Cell:
    return number(None) if p is None else Cell(shown_p(p), p)


def _draw(path: Path, found: Sequence[Candidate], metric: str) -> None:
    panels: dict[str, list[Estimate]] = {}
    for one in found:
        for score, over in spreads(one, metric).items():
            sample = one.sample(score, metric)
            estimate = Estimate(str(one.trial.number), over.mean, over.interval, sample)
            panels.setdefault(score, []).append(estimate)
    draw_estimates(path, panels, x="trial")
