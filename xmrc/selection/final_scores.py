"""The final sets. In: the winner, the base, corpora that no choice has seen. Out: their scores.

Each reader answers each set once; what is in the study's folder already is not read again.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from xmrc.files import write_text
from xmrc.learning.worker import WorkerResources
from xmrc.scoring.evaluation_files import read_scores
from xmrc.scoring.gxlt import Scores
from xmrc.search.folder import FINAL, StudyFolder
from xmrc.search.prepare import FrozenCorpus, Prepared
from xmrc.search.reading import SCORES_FILE, publish_files, read_on_cluster, write_reading
from xmrc.selection.final_sets import LABELS, final_folder, titled
from xmrc.settings import Study
from xmrc.tracking.tracker import Tracker


@dataclass(frozen=True)
class FinalScores:
    """What each reader, by its name, scores on a final set; `label` belongs beside every score."""

    corpus: str
    label: str
    scores: Mapping[str, Scores]

    @property
    def title(self) -> str:
        """`mlqa/test (shared paragraphs)`."""
        return titled(self.corpus, self.label)


def score_finals(
    study: Study,
    prepared: Prepared,
    readers: Mapping[str, str],
    resources: WorkerResources,
    tracker: Tracker,
    folder: StudyFolder,
) -> list[FinalScores]:
    """Let every reader (by name its checkpoint) answer every final set; files, metrics, scores.

    The files lie in `final/CORPUS/NAME`, in the study's folder and beside its run in MLflow.
    """
    found = []
    for final in prepared.final:
        scores = {}
        for name, model in readers.items():
            place = final_folder(final.name, name)
            kept = folder.path / place
            if not (kept / SCORES_FILE).exists():  # the scores come last
                _read(study, prepared, final, model, resources, kept)
            publish_files(tracker, kept, place)
            scores[name] = read_scores(kept / SCORES_FILE)
            tracker.log_metrics(metrics_of(final.name, name, scores[name]))
        found.append(FinalScores(final.name, final.label, scores))
    if found:
        _write_labels(folder, tracker, found)
    return found


def metrics_of(corpus: str, reader: str, scores: Scores) -> dict[str, float]:
    """`final/mlqa/test/champion_gxlt_f1` and so on, as MLflow shows them."""
    place = final_folder(corpus, reader)
    return {f"{place}_{name}": value for name, value in scores.metrics.items()}


def _read(
    study: Study,
    prepared: Prepared,
    final: FrozenCorpus,
    model: str,
    resources: WorkerResources,
    folder: Path,
) -> None:
    reading = read_on_cluster(study.settings, prepared, final.examples, model, resources)
    write_reading(folder, reading, final.label)


def _write_labels(folder: StudyFolder, tracker: Tracker, finals: list[FinalScores]) -> None:
    labels = {one.corpus: one.label for one in finals}
    write_text(folder.path / FINAL / LABELS, json.dumps(labels, indent=1))
    tracker.log_artifact(folder.path / FINAL / LABELS, FINAL)
