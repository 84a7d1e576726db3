"""The best trial, read again. In: the ledger. Out: scores, files, an answer to look at."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from xmrc.data.examples import Example
from xmrc.files import read_document, write_document
from xmrc.scoring.metrics import exact_match
from xmrc.scoring.predictions import Prediction
from xmrc.search.folder import CHAMPION
from xmrc.search.ledger import Ledger, TrialRecord
from xmrc.search.reading import Reading, read_on_cluster, write_reading
from xmrc.search.run import Run
from xmrc.selection.contenders import SEED, Contender

_SHOWN = "shown.json"


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
    """The winner, its reader and what it answers."""

    trial: TrialRecord
    model: Path
    folder: Path  # scores.json, predictions.jsonl, tables
    reading: Reading
    shown: _ShownAnswer


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


def read_winner(run: Run, winner: Winner) -> Champion:
    """Let the winner answer the selection set; files, the shown answer among them."""
    model = run.reader(winner.reader)
    scored, folder = run.prepared.select, run.folder.path / CHAMPION
    reading = read_on_cluster(run, scored, str(model))
    shown = _shown_answer(reading)
    write_document(folder / _SHOWN, asdict(shown))
    write_reading(folder, reading, scored.label)
    return Champion(winner.trial, model, folder, reading, shown)


def read_shown(folder: Path) -> _ShownAnswer:
    """The answer that people can look at, from the folder of a champion."""
    return _ShownAnswer(**read_document(folder / _SHOWN))


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


def _right(example: Example, prediction: Prediction) -> bool:
    golds = [answer.text for answer in example.answers]
    return exact_match(prediction.answer, golds, example.context_language) == 1
