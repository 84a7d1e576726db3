"""What follows the best trial. In: the ledger. Out: scores, pictures, a registered version."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import xmrc
from xmrc.data.examples import Example
from xmrc.data.frozen import thaw
from xmrc.learning.evaluation import ReadingJob
from xmrc.learning.job import MODEL
from xmrc.learning.worker import WorkerResources
from xmrc.plots import gxlt_difference_heatmap, gxlt_heatmap
from xmrc.scoring.files import write_matrix, write_predictions, write_scores
from xmrc.scoring.matrix import Scores, summarise
from xmrc.scoring.metrics import exact_match
from xmrc.scoring.predictions import ExampleScore, Prediction, score_examples
from xmrc.scoring.tidy import TABLES, write_tables
from xmrc.search.cluster import predict_on_cluster
from xmrc.search.folder import CHAMPION, StudyFolder
from xmrc.search.ledger import Ledger, TrialRecord
from xmrc.search.prepare import Prepared, window_size
from xmrc.settings import RunSettings, Study
from xmrc.tracking.registry import register
from xmrc.tracking.tracker import Tracker

PACKAGE = Path(xmrc.__file__).parent
REQUIRED = ("torch", "transformers", "pyarrow", "pydantic", "pyyaml", "filelock", "pandas")


@dataclass(frozen=True)
class Reading:
    """A reader's answers to the selection set, and what they are worth."""

    examples: Sequence[Example]
    predictions: Sequence[Prediction]
    example_scores: Sequence[ExampleScore]
    scores: Scores


@dataclass(frozen=True)
class ShownAnswer:
    """An answer that people can look at."""

    question: str
    context: str
    question_language: str
    context_language: str
    answer: str
    score: float


@dataclass(frozen=True)
class Champion:
    """The best trial, its reader and the version that it became."""

    trial: TrialRecord
    model: Path
    folder: Path  # scores.json, predictions.jsonl, tables and pictures
    reading: Reading
    shown: ShownAnswer
    registered: str  # models:/NAME@champion
    version: str


def read_on_cluster(
    settings: RunSettings, prepared: Prepared, model: str, resources: WorkerResources
) -> Reading:
    """Let a reader answer the selection set on the workers of one trial, and score it."""
    examples = thaw(prepared.select)
    job = ReadingJob(
        model=model,
        examples=prepared.select,
        size=window_size(settings),
        precision=settings.training.precision,
        cache=prepared.cache,
        threads=resources.threads,
    )
    predictions = predict_on_cluster(job, examples, resources)
    example_scores = score_examples(examples, predictions)
    return Reading(examples, predictions, example_scores, summarise(example_scores))


def crown(
    study: Study,
    prepared: Prepared,
    ledger: Ledger,
    resources: WorkerResources,
    tracker: Tracker,
    start: Scores,
) -> Champion:
    """Score, draw and register the best trial; `start` is what it is compared with."""
    winner = ledger.ranking[0]
    assert winner.checkpoint is not None, "the best trial's checkpoint is never deleted"
    model = Path(winner.checkpoint) / MODEL
    reading = read_on_cluster(study.settings, prepared, str(model), resources)
    folder = ledger.path.parent / CHAMPION
    write_reading(folder, reading)
    draw(folder, study, reading.scores, start)
    publish(tracker, ledger, folder, reading.scores)
    shown = shown_answer(reading)
    state = StudyFolder(ledger.path.parent)
    version = state.state().get("version")  # of a study that is resumed after its end
    if version is None:
        version = register(
            tracker,
            model,
            name=study.tracking.register_as,
            code=PACKAGE / "pyfunc_model.py",
            code_paths=[PACKAGE],
            requirements=[f"{name}=={metadata.version(name)}" for name in REQUIRED],
            scores=reading.scores.metrics,
            example={"question": shown.question, "context": shown.context},
            description=description(study, winner),
            trial=winner.id,
        )
        state.remember(version=version)
    registered = f"models:/{study.tracking.register_as}@champion"
    return Champion(winner, model, folder, reading, shown, registered, version)


def write_reading(folder: Path, reading: Reading) -> None:
    """scores.json, matrix.csv, predictions.jsonl and the tidy tables."""
    write_scores(folder / "scores.json", reading.scores)
    write_matrix(folder / "matrix.csv", reading.scores)
    write_predictions(folder / "predictions.jsonl", reading.predictions)
    write_tables(folder, reading.example_scores)


def draw(folder: Path, study: Study, scores: Scores, start: Scores) -> None:
    """The G-XLT heatmap of the champion, and its difference from where it started."""
    title = f"{study.name}: {study.settings.data.select}"
    gxlt_heatmap(folder / "matrix.png", scores.matrix("f1"), title=f"{title}, F1")
    gxlt_difference_heatmap(
        folder / "difference.png",
        scores.matrix("f1"),
        start.matrix("f1"),
        title=f"{title}, F1 of the champion less the base",
    )


def publish(tracker: Tracker, ledger: Ledger, folder: Path, scores: Scores) -> None:
    """Put tables and pictures beside the study's run in MLflow."""
    tracker.log_table([trial_row(record, ledger.metric) for record in ledger.table], "trials.csv")
    pictures = ("matrix.png", "difference.png")
    for file in ("scores.json", "matrix.csv", *pictures, *TABLES):
        if (folder / file).exists():  # of the tables, one is written only where it can be
            tracker.log_artifact(folder / file, CHAMPION)
    tracker.log_metrics({f"champion_{name}": value for name, value in scores.metrics.items()})


def trial_row(record: TrialRecord, metric: str) -> dict[str, Any]:
    """One trial as a row of a table."""
    return {
        "trial": record.number,
        **record.values,
        "state": record.state,
        "cause": record.cause,
        "evaluations": len(record.history),
        "seconds": round(record.seconds, 1),
        metric: record.best,
    }


def shown_answer(reading: Reading) -> ShownAnswer:
    """The surest right answer over a context in another language than the question's.

    Where there is none, the surest answer of all.
    """
    pairs = list(zip(reading.examples, reading.predictions, strict=True))
    across = [pair for pair in pairs if pair[0].question_language != pair[0].context_language]
    right = [pair for pair in across if _right(*pair)]
    example, prediction = max(right or across or pairs, key=lambda pair: pair[1].score)
    return ShownAnswer(
        example.question,
        example.context,
        example.question_language,
        example.context_language,
        prediction.answer,
        prediction.score,
    )


def description(study: Study, winner: TrialRecord) -> str:
    """What the registry says of the version."""
    values = ", ".join(f"{key} = {value}" for key, value in winner.values.items())
    return (
        f"Trial {winner.number} of study {study.name}: {study.search.metric} {winner.best:.2f} "
        f"on {study.settings.data.select}. {values}"
    )


def _right(example: Example, prediction: Prediction) -> bool:
    golds = [answer.text for answer in example.answers]
    return exact_match(prediction.answer, golds, example.context_language) == 1
