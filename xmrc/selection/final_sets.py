"""The final sets. In: the winner, the base, corpora that no choice has seen. Out: their scores.

The files of each reader on each set lie in `final/CORPUS/READER` of the study's folder; what is
there already, as it was written, is not read again.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from xmrc.data.scored_set import ScoredSet
from xmrc.files import read_document, write_document
from xmrc.scoring.evaluation_files import EXAMPLES, read_examples, read_scores
from xmrc.scoring.gxlt import GxltScores
from xmrc.seals import damage_of
from xmrc.search.folder import CHAMPION, FINAL
from xmrc.search.reading import SCORES_FILE, publish_files, read_on_cluster, write_reading
from xmrc.search.run import Run
from xmrc.tracking.names import key_of
from xmrc.tracking.tracker import Tracker

BASE = "base"  # the reader that the trials start from
_LABELS = "labels.json"  # for each corpus how it overlaps with training; "" where it does not

FinalScores = Mapping[ScoredSet, Mapping[str, GxltScores]]  # by set, by the name of the reader


def score_finals(run: Run, champion: Path) -> FinalScores:
    """Let base and champion answer every final set; files in the study's folder, scores."""
    readers = {BASE: run.start, CHAMPION: str(champion)}
    found = {
        final: {name: _score(run, final, name, model) for name, model in readers.items()}
        for final in run.prepared.final
    }
    if found:
        labels = run.folder.path / FINAL / _LABELS
        write_document(labels, {one.name: one.label for one in found})
    return found


def send_finals(folder: Path, tracker: Tracker) -> None:
    """Put files and metrics of all final sets beside the study's run in MLflow."""
    labels = folder / FINAL / _LABELS
    if not labels.exists():
        return
    tracker.log_artifact(labels, FINAL)
    for corpus in read_document(labels):
        for reader in (BASE, CHAMPION):
            place = final_folder(corpus, reader)
            publish_files(tracker, folder / place, place)
            scores = read_scores(folder / place / SCORES_FILE)
            tracker.log_metrics(metrics_of(corpus, reader, scores))


def _score(run: Run, final: ScoredSet, reader: str, model: str) -> GxltScores:
    place = final_folder(final.name, reader)
    kept = run.folder.path / place
    damage = damage_of(kept)
    if damage and kept.exists():
        run.say(f"{damage}; {final.name} is read again")
    if damage:
        write_reading(kept, read_on_cluster(run, final, model), final.label)
    return read_scores(kept / SCORES_FILE)


def read_finals(folder: Path) -> dict[ScoredSet, dict[str, pd.DataFrame]]:
    """The scored examples of each reader, by its name, on each final set, in the study's order.

    None before all of them were scored. Errors: DataError if one of the files is damaged.
    """
    file = folder / FINAL / _LABELS
    labels = read_document(file) if file.exists() else {}
    return {
        ScoredSet(corpus, label=label): {
            reader: read_examples(folder / final_folder(corpus, reader) / EXAMPLES)
            for reader in (BASE, CHAMPION)
        }
        for corpus, label in labels.items()
    }


def metrics_of(corpus: str, reader: str, scores: GxltScores) -> dict[str, float]:
    """`final/mlqa/test/champion_gxlt_f1` and so on, as MLflow shows them."""
    place = final_folder(corpus, reader)
    return {f"{place}_{name}": value for name, value in scores.metrics.items()}


def final_folder(corpus: str, reader: str) -> str:
    """Where the files of a reader's scores go, below the folder of a study."""
    return f"{FINAL}/{key_of(corpus)}/{reader}"
