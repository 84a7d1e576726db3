"""What follows the best trial. In: the ledger. Out: scores, files, a registered version."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import xmrc
from xmrc.data.examples import Example
from xmrc.scoring.gxlt import GxltScores
from xmrc.scoring.metrics import exact_match
from xmrc.scoring.predictions import Prediction
from xmrc.search.folder import CHAMPION, VERSION
from xmrc.search.ledger import Ledger, TrialRecord
from xmrc.search.progress import trials_frame
from xmrc.search.reading import Reading, publish_files, read_on_cluster, write_reading
from xmrc.search.run import Run
from xmrc.selection.contenders import SEED, Contender
from xmrc.selection.promotion import Verdict
from xmrc.settings import Study
from xmrc.tables import Table
from xmrc.tracking.registry import register
from xmrc.tracking.tracker import Tracker

_PLUGINS = "xmrc.plugins"  # a tag of the version
_PACKAGE = Path(xmrc.__file__).parent
_REQUIRED = ("torch", "transformers", "pyarrow", "pydantic", "ruamel.yaml", "filelock", "pandas")


@dataclass(frozen=True)
class _ShownAnswer:
    """An answer that people can look at."""

    question: str
    context: str
    question_language: str
    context_language: str
    answer: str
    score: float


@dataclass(frozen=True)
class Winner:
    """The trial that won, the training whose reader stands for it, and how both were chosen."""

    trial: TrialRecord
    reader: TrialRecord
    note: str  # a sentence for the registry


@dataclass(frozen=True)
class Champion:
    """The winner, its reader and the version that it became."""

    trial: TrialRecord
    model: Path
    folder: Path  # scores.json, predictions.jsonl, tables
    reading: Reading
    shown: _ShownAnswer
    registered: str  # models:/NAME@champion, or @challenger
    version: str
    verdict: Verdict


def choose_winner(ledger: Ledger, found: Sequence[Contender]) -> Winner:
    """The best trial; of a confirmation the best mean of seeds, and its median seed."""
    if not found:
        trial = ledger.ranking[0]
        return Winner(trial, trial, "Not confirmed with other seeds.")
    best = found[0]
    spread = "" if best.deviation is None else f" ± {best.deviation:.2f}"
    seed = best.median.values[SEED]
    note = (
        f"Confirmed: {ledger.metric} {best.mean:.2f}{spread} over {len(best.seeds)} fresh seeds; "
        f"this is the median one, seed {seed}."
    )
    return Winner(best.trial, best.median, note)


def register_winner(run: Run, ledger: Ledger, winner: Winner, verdict: Verdict) -> Champion:
    """Score and register the winner."""
    model = run.reader(winner.reader)
    scored, folder = run.prepared.select, run.folder.path / CHAMPION
    reading = read_on_cluster(run, scored, str(model))
    write_reading(folder, reading, scored.label)
    _publish(run.tracker, ledger, folder, reading.scores)
    shown = _shown_answer(reading)
    version = run.folder.state().get(VERSION)  # of a study that is resumed after its end
    if version is None:
        version = register(
            run.tracker,
            model,
            name=run.study.tracking.register_as,
            code=_PACKAGE / "tracking" / "pyfunc_model.py",
            code_paths=[_PACKAGE],
            requirements=[f"{name}=={metadata.version(name)}" for name in _REQUIRED],
            scores=reading.scores.metrics,
            example={"question": shown.question, "context": shown.context},
            description=f"{description(run.study, winner, scored.title)} {verdict.reason}",
            trial=winner.reader.id,
            alias=verdict.alias,
            tags={**verdict.tags, **_plugin_tags(run.study)},
        )
        run.folder.remember(**{VERSION: version})
    registered = f"models:/{run.study.tracking.register_as}@{verdict.alias}"
    return Champion(winner.trial, model, folder, reading, shown, registered, version, verdict)


def _publish(tracker: Tracker, ledger: Ledger, folder: Path, scores: GxltScores) -> None:
    """Put the tables beside the study's run in MLflow."""
    tracker.log_table(Table(trials_frame(ledger.table, ledger.metric)), "trials.csv")
    publish_files(tracker, folder, CHAMPION)
    tracker.log_metrics({f"champion_{name}": value for name, value in scores.metrics.items()})


def _shown_answer(reading: Reading) -> _ShownAnswer:
    """The surest right answer over a context in another language than the question's.

    Where there is none, the surest answer of all.
    """
    pairs = list(zip(reading.examples, reading.predictions, strict=True))
    across = [pair for pair in pairs if pair[0].question_language != pair[0].context_language]
    right = [pair for pair in across if _right(*pair)]
    example, prediction = max(right or across or pairs, key=lambda pair: pair[1].score)
    return _ShownAnswer(
        example.question,
        example.context,
        example.question_language,
        example.context_language,
        prediction.answer,
        prediction.score,
    )


def description(study: Study, winner: Winner, select: str) -> str:
    """What the registry says of the version."""
    trial, reader = winner.trial, winner.reader
    values = ", ".join(f"{key} = {value}" for key, value in trial.values.items())
    return (
        f"Trial {trial.number} of study {study.name}: {study.search.metric} {reader.best:.2f} "
        f"on {select}. {winner.note}{f' {values}.' if values else ''}{_made_with(study)}"
    )


def _made_with(study: Study) -> str:
    """Which plugins had a part in it; the reader itself needs none of them."""
    names = ", ".join(Path(plugin).name for plugin in study.plugins)
    return f" Trained with the plugins {names}." if names else ""


def _plugin_tags(study: Study) -> dict[str, str]:
    return {_PLUGINS: json.dumps(list(study.plugins))} if study.plugins else {}


def _right(example: Example, prediction: Prediction) -> bool:
    golds = [answer.text for answer in example.answers]
    return exact_match(prediction.answer, golds, example.context_language) == 1
