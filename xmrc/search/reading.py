"""Reading a corpus on Ray workers. In: a checkpoint, examples. Out: predictions, scores, files.

The model and the cache must lie where the workers of the cluster see them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from xmrc.data.cache import Cache
from xmrc.data.examples import Example
from xmrc.data.features import WindowSize
from xmrc.data.scored_set import ScoredSet
from xmrc.data.store import load_examples, store_examples
from xmrc.learning.reader import CARD, ReadingJob, read_size
from xmrc.scoring.evaluation_files import (
    TABLES,
    write_matrix,
    write_predictions,
    write_scores,
    write_tables,
)
from xmrc.scoring.gxlt import GxltScores, summarise
from xmrc.scoring.predictions import PAIR, Prediction, score_examples
from xmrc.seals import SEAL, seal
from xmrc.search.cluster import check_shared, predict_on_cluster, ray_cluster
from xmrc.search.folder import START
from xmrc.search.resources import cluster_nodes, fit_trials
from xmrc.search.run import Run
from xmrc.settings import ResourceSettings, RunSettings, Study
from xmrc.tracking.tracker import Tracker

SCORES_FILE = "scores.json"
_FILES = (SCORES_FILE, "matrix.csv", *TABLES, "matrix.png", "difference.png")  # for MLflow


@dataclass(frozen=True)
class Reading:
    """A reader's answers to a corpus, and what they are worth."""

    examples: Sequence[Example]
    predictions: Sequence[Prediction]
    scored: pd.DataFrame  # a row for each example
    scores: GxltScores


def read_on_workers(
    model: Path, examples: Sequence[Example], cache: Cache, workers: int
) -> list[Prediction]:
    """Answer the examples, their windows shared out over `workers`.

    Errors: ResourceError if no cluster answers, the workers do not fit into it, or one of its
    nodes does not see the cache.
    """
    stored = store_examples(examples, cache)
    with ray_cluster():
        resources = fit_trials(ResourceSettings(workers=workers), cluster_nodes()).trial
        check_shared(cache.root)
        job = ReadingJob(
            model=str(model.absolute()),
            examples=stored,
            size=read_size(str(model)),
            precision="auto",
            cache=cache.root,
            threads=resources.threads,
        )
        return predict_on_cluster(job, examples, resources)


def read_start(run: Run) -> GxltScores:
    """How well what the trials start from answers the selection set: said and written down."""
    scored = run.prepared.select
    reading = read_on_cluster(run, scored, run.start)
    write_reading(run.folder.path / START, reading, scored.label)
    metrics = reading.scores.metrics
    run.say(f"base: {_shown_scores(reading.scores, run.study)} on {scored.title}")
    run.tracker.log_metrics({f"base_{name}": value for name, value in metrics.items()})
    return reading.scores


def _shown_scores(scores: GxltScores, study: Study) -> str:
    """`F1 in en 95.1, gxlt_f1 45.1, xlt_f1 60.2`, as far as there are such pairs."""
    source = study.settings.data.source_language
    f1 = scores.pairs.set_index(PAIR)["f1"].get((source, source))
    shown = [] if f1 is None else [f"F1 in {source} {f1:.1f}"]
    names = ("gxlt_f1", "gxlt_em", "xlt_f1", "xlt_em")
    shown += [f"{name} {scores.metrics[name]:.1f}" for name in names if name in scores.metrics]
    return ", ".join(shown)


def read_on_cluster(run: Run, scored: ScoredSet, model: str) -> Reading:
    """Let a reader answer a stored set on the workers of one trial, and score it."""
    settings, resources = run.study.settings, run.fit.trial
    examples = load_examples(scored.path)
    job = ReadingJob(
        model=model,
        examples=scored.path,
        size=reader_size(settings, model),
        precision=settings.training.precision,
        cache=run.prepared.cache,
        threads=resources.threads,
    )
    predictions = predict_on_cluster(job, examples, resources)
    frame = score_examples(examples, predictions)
    return Reading(examples, predictions, frame, summarise(frame))


def reader_size(settings: RunSettings, model: str) -> WindowSize:
    """The windows that a reader was trained with, which a trial may draw; else the study's."""
    return read_size(model) if (Path(model) / CARD).is_file() else WindowSize.of(settings.data)


def write_reading(folder: Path, reading: Reading, label: str) -> None:
    """matrix.csv, predictions.jsonl, the tidy tables, scores.json, and last of all the seal.

    `label`: how what was read overlaps with training.
    """
    (folder / SEAL).unlink(missing_ok=True)  # of what was read before
    write_matrix(folder / "matrix.csv", reading.scores)
    write_predictions(folder / "predictions.jsonl", reading.predictions)
    write_tables(folder, reading.scored, label)
    write_scores(folder / SCORES_FILE, reading.scores)
    seal(folder)


def publish_files(tracker: Tracker, folder: Path, name: str) -> None:
    """Put what describes a reading beside the study's run in MLflow, all but its predictions."""
    for file in _FILES:
        if (folder / file).exists():  # some are written only where they can be
            tracker.log_artifact(folder / file, name)
