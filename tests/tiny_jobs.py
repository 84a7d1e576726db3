"""Small training jobs without a cluster. In: a folder, changes. Out: a job, and who hears of it.

Six questions in three languages over the same facts; a tiny BERT to start from.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from checkpoints import tiny_checkpoint
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from xmrc.data.cache import Cache
from xmrc.data.examples import Answer, Example
from xmrc.data.store import store_examples
from xmrc.learning.checkpoints import Checkpoints
from xmrc.learning.job import TrainingJob, open_training
from xmrc.learning.step import Worker
from xmrc.learning.terms import DistillSettings
from xmrc.settings import (
    DataSettings,
    ObjectiveSettings,
    RunSettings,
    TrainingSettings,
)

LANGUAGES = ("en", "es", "de")
WORDING = {
    "en": ("In which city does {} live?", "For many years {} has lived in {}, near the river."),
    "es": ("¿En qué ciudad vive {}?", "Desde hace muchos años {} vive en {}, cerca del río."),
    "de": ("In welcher Stadt wohnt {}?", "Seit vielen Jahren wohnt {} in {}, nahe am Fluss."),
}
FACTS = {
    "Ada": "Rome",
    "Bo": "Oslo",
    "Cleo": "Lima",
    "Dan": "Kyiv",
    "Eve": "Cairo",
    "Finn": "Hanoi",
}


def facts_in(language: str) -> list[Example]:
    """A question about each person, in one language, over a context in the same."""
    asked, told = WORDING[language]
    examples = []
    for number, (person, city) in enumerate(FACTS.items()):
        context = told.format(person, city)
        answer = Answer(city, context.index(city))
        question = asked.format(person)
        examples.append(Example(f"q{number}", question, context, (answer,), language, language))
    return examples


def changed(job: TrainingJob, **changes: Any) -> TrainingJob:
    """The job with other fields, sections of its settings or values of these.

    `changed(job, threads=2, objective=ObjectiveSettings(), training={"seed": 4})`
    """
    sections = {
        name: getattr(job.settings, name).model_copy(update=value)
        if isinstance(value, dict)
        else value
        for name, value in changes.items()
        if name in RunSettings.model_fields
    }
    fields = {name: value for name, value in changes.items() if name not in sections}
    return replace(job, settings=job.settings.model_copy(update=sections), **fields)


def tiny_job(folder: Path, **changes: Any) -> TrainingJob:
    """Three epochs over the pairs of two languages each, evaluated twice an epoch."""
    cache = Cache(folder / "cache")
    examples = [example for language in LANGUAGES for example in facts_in(language)]
    start = cache.build("start", "wordpiece", lambda new: tiny_checkpoint("wordpiece", new))
    job = TrainingJob(
        start=str(start),
        train=store_examples(examples, cache),
        select=store_examples(examples, cache),
        settings=RunSettings(
            start_from_base=False,
            data=DataSettings(
                languages=LANGUAGES, ntl=1, max_length=64, max_question_tokens=24, stride=8
            ),
            objective=ObjectiveSettings(distill=DistillSettings()),
            training=TrainingSettings(epochs=3, batch_size=6, learning_rate=1e-3),
        ),
        evaluate_every=0.5,
        metric="gxlt_f1",
        cache=cache.root,
        threads=1,
    )
    return changed(job, **changes)


def quiet_job(folder: Path) -> TrainingJob:
    """The job without dropout, so that it is the same on any number of workers."""
    return tiny_job(folder, watch=("q2", "q5"), training={"dropout": 0.0})


@dataclass
class Recorder:
    """Hears one worker's reports and keeps a copy of every checkpoint."""

    folder: Path
    resume_from: Path | None = None
    worker: Worker = field(default_factory=Worker)
    wrap: Callable[[nn.Module], nn.Module] = lambda model: model
    reports: list[dict[str, Any]] = field(default_factory=list)
    kept: list[Path | None] = field(default_factory=list)  # a checkpoint of each report

    @property
    def checkpoints(self) -> Checkpoints:
        """Those of the training itself, which keeps two; at first a copy of `resume_from`."""
        found = Checkpoints(self.folder / "training", None)
        if self.resume_from is not None and not found.folder.exists():
            shutil.copytree(self.resume_from, found.folder / self.resume_from.name)
        return found

    def report(self, metrics: dict[str, Any]) -> None:
        """Keep the metrics, and a copy of the checkpoint as it is now."""
        self.reports.append(metrics)
        newest = self.checkpoints.newest() if self.worker.rank == 0 else None
        kept = None
        if newest is not None and newest.name not in self._names():
            kept = self.folder / newest.name
            shutil.copytree(newest, kept)
        self.kept.append(kept)

    def _names(self) -> set[str]:
        before = [] if self.resume_from is None else [self.resume_from]
        return {path.name for path in (*self.kept, *before) if path is not None}


def run_job_on_worker(folder: Path, worker: Worker) -> Recorder:
    """One worker's part of the job, in float32, from start to end."""
    kept = folder / f"worker-{worker.rank}"
    kept.mkdir()
    return run_job(quiet_job(folder), Recorder(kept, worker=worker, wrap=DistributedDataParallel))


def run_job(job: TrainingJob, recorder: Recorder) -> Recorder:
    """The job from where the recorder says to its end."""
    with open_training(job, recorder) as train:
        train()
    return recorder
