"""A study in pictures and on one page. In: its folder. Out: PNG files, `index.html` with them.

The page needs nothing beside itself, so it can be mailed, printed and read offline. What a study
has not come to yet is left out, so a search that still runs can be looked at.
"""

from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, PackageLoader

from xmrc.files import write_text
from xmrc.pages.findings import Findings, read_findings
from xmrc.pages.heatmaps import gxlt_difference_heatmap, gxlt_heatmap
from xmrc.pages.paper import paper_section
from xmrc.pages.results import (
    best_section,
    confirmation_section,
    final_sets_section,
    languages_section,
    ranks_section,
    tiles,
)
from xmrc.pages.search_sections import search_section, settings_section, trials_section
from xmrc.pages.section import PageSection
from xmrc.pages.training_sections import coefficient_section, training_section, watched_section
from xmrc.scoring.gxlt import GxltScores
from xmrc.search.folder import REPORT
from xmrc.selection.final_sets import FinalScores, final_folder
from xmrc.settings import to_yaml
from xmrc.tables import as_html

_PAGE = "index.html"


def write_report(folder: Path, out: Path | None = None) -> Path:
    """Draw the pictures and write the page, into the `report` of a run's folder or into `out`.

    Errors: DataError if no trial has reported, ResourceError if it cannot be written.
    """
    findings = read_findings(folder)
    out = out or folder / REPORT
    study = findings.study
    assets = PackageLoader("xmrc", "assets")
    templates = Environment(
        loader=assets, autoescape=True, trim_blocks=True, keep_trailing_newline=True
    )
    text = templates.get_template("report.html").render(
        title=study.name,
        subtitle=f"{study.settings.encoder}, trained on {study.settings.data.train}, selected by "
        f"{findings.metric} on {findings.select}",
        tiles=tiles(findings),
        sections=[section for build in _SECTIONS if (section := build(findings, out))],
        footer=str(folder),
        as_html=as_html,
    )
    write_text(out / _PAGE, text)
    return out / _PAGE


def draw_champion(folder: Path, title: str, scores: GxltScores, start: GxltScores) -> list[Path]:
    """The F1 of the champion, and its difference from where it started: the two pictures."""
    best, change = folder / "matrix.png", folder / "difference.png"
    after, before = scores.matrix("f1"), start.matrix("f1")
    gxlt_heatmap(best, after, title=f"{title}, F1")
    title = f"{title}, F1 of the champion less the base"
    gxlt_difference_heatmap(change, after, before, title=title)
    return [best, change]


def draw_final_sets(folder: Path, study: str, finals: FinalScores) -> list[Path]:
    """The F1 of each reader on each final set: pictures beside their scores, below a study's."""
    pictures = []
    for final, by_reader in finals.items():
        for reader, scores in by_reader.items():
            picture = folder / final_folder(final.name, reader) / "matrix.png"
            gxlt_heatmap(picture, scores.matrix("f1"), title=f"{study}: {final.title}, F1")
            pictures.append(picture)
    return pictures


def _study_file_section(findings: Findings, out: Path) -> PageSection:
    """What was asked for."""
    return PageSection("Study file", folded={"study.yaml": to_yaml(findings.study)})


_SECTIONS: tuple[Callable[[Findings, Path], PageSection], ...] = (
    best_section,
    confirmation_section,
    final_sets_section,
    paper_section,
    trials_section,
    search_section,
    settings_section,
    languages_section,
    training_section,
    coefficient_section,
    watched_section,
    ranks_section,
    _study_file_section,
)
