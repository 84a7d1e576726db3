"""A study in pictures and on one page. In: its folder. Out: PNG files, `index.html` with them.

What a study has not come to yet is left out, so a search that still runs can be looked at.
"""

from collections.abc import Callable
from pathlib import Path

from xmrc.files import replacing
from xmrc.pages.confirmation_section import confirmation
from xmrc.pages.final_section import finals
from xmrc.pages.findings import Findings, read_findings
from xmrc.pages.heatmaps import gxlt_difference_heatmap, gxlt_heatmap
from xmrc.pages.html import PageSection, page
from xmrc.pages.observed_sections import coefficients, watched
from xmrc.pages.page_tables import tiles
from xmrc.pages.sections import (
    best,
    effects,
    languages,
    learned,
    printed,
    ranks,
    search,
    study_file,
    trials,
)
from xmrc.scoring.gxlt import GxltScores
from xmrc.search.folder import REPORT
from xmrc.selection.final_sets import FinalScores, final_folder

_PAGE = "index.html"
_SECTIONS: tuple[Callable[[Findings, Path], PageSection], ...] = (
    best,
    confirmation,
    finals,
    printed,
    trials,
    search,
    effects,
    languages,
    learned,
    coefficients,
    watched,
    ranks,
    study_file,
)


def write_report(folder: Path, out: Path | None = None) -> Path:
    """Draw the pictures and write the page, into the `report` of a run's folder or into `out`.

    Errors: DataError if no trial has reported, ResourceError if it cannot be written.
    """
    findings = read_findings(folder)
    out = out or folder / REPORT
    study = findings.study
    text = page(
        study.name,
        subtitle=f"{study.settings.encoder}, trained on {study.settings.data.train}, selected by "
        f"{findings.metric} on {findings.select}",
        tiles=tiles(findings),
        sections=[section for build in _SECTIONS if (section := build(findings, out))],
        footer=str(folder),
    )
    with replacing(out / _PAGE) as partial:
        partial.write_text(text, encoding="utf-8")
    return out / _PAGE


def draw_champion(folder: Path, title: str, scores: GxltScores, start: GxltScores) -> list[Path]:
    """The F1 of the champion, and its difference from where it started: the two pictures."""
    gxlt_heatmap(best := folder / "matrix.png", scores.matrix("f1"), title=f"{title}, F1")
    gxlt_difference_heatmap(
        change := folder / "difference.png",
        scores.matrix("f1"),
        start.matrix("f1"),
        title=f"{title}, F1 of the champion less the base",
    )
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
