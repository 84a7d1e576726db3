"""One training, from a description to its last report. In: a `TrainingJob` and a `TrainingContext`.
Out: metrics and checkpoints, through the context.

A checkpoint is a folder: `model/` opens with `AutoModelForQuestionAnswering` and `AutoTokenizer`,
`state.pt` and `history.json` are what resuming needs.
"""

import contextlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from xmrc.data.alignment import align
from xmrc.data.cache import Cache
from xmrc.data.examples import Example
from xmrc.data.features import Windows, WindowSize, make_windows, tokenize_texts
from xmrc.data.frozen import thaw
from xmrc.data.sampling import sample_pairs
from xmrc.learning.candidates import CandidateStore, CandidateWindows, window_codes
from xmrc.learning.loop import Evaluation, Training
from xmrc.learning.model import (
    check_positions,
    load_model,
    load_tokenizer,
    on_device,
    save_checkpoint,
)
from xmrc.learning.objective import Objective
from xmrc.learning.prediction import predict
from xmrc.learning.reader import write_card
from xmrc.learning.step import Place
from xmrc.scoring.matrix import score
from xmrc.settings import ObjectiveSettings, TrainingSettings

MODEL, STATE, HISTORY = "model", "state.pt", "history.json"


@dataclass(frozen=True)
class CrossLingualSampling:
    """How training pairs come from parallel questions ([SKD] eq. 3)."""

    languages: Sequence[str]
    source_language: str
    ntl: int


@dataclass(frozen=True)
class TrainingJob:
    """Everything that one training depends on; equal jobs give equal readers."""

    start: str  # hub id or folder of the checkpoint to start from
    train: Path  # frozen examples
    sampling: CrossLingualSampling | None  # None: the examples as they are
    select: Path | None  # frozen examples to evaluate on; None: losses only
    size: WindowSize
    objective: ObjectiveSettings
    training: TrainingSettings
    evaluate_every: float  # epochs
    metric: str | None  # what the best checkpoint is best at, higher is better
    cache: Path
    threads: int  # CPU threads of one worker
    candidates: str | None = None  # key in the cache of the spans that a base mined


class TrainingContext(Protocol):
    """Who runs the training: Ray Train, the process of a trial, or a test."""

    @property
    def place(self) -> Place:
        """This worker among the workers."""

    def wrap(self, model: nn.Module) -> nn.Module:
        """Prepare the model for this number of workers."""

    def latest_checkpoint(self) -> contextlib.AbstractContextManager[Path | None]:
        """The folder that was reported last, if this is not the first attempt."""

    def report(self, metrics: dict[str, Any], checkpoint: Path | None) -> None:
        """Hand on the metrics of one evaluation; rank 0 adds a folder to keep."""


def train_reader(job: TrainingJob, context: TrainingContext) -> None:
    """Build, restore, fit, report: the one training function."""
    torch.set_num_threads(job.threads)
    tokenizer = load_tokenizer(job.start)
    model = load_model(job.start, seed=job.training.seed, dropout=job.training.dropout)
    check_positions(model.config, job.start, job.size.max_length)
    on_device(model, context.place.device)
    training = Training(
        model,
        context.wrap,
        with_candidates(job, training_windows(job, tokenizer)),
        Objective(job.objective),
        job.training,
        evaluate_every=job.evaluate_every,
        place=context.place,
    )
    history = _restore(training, context)
    evaluations = len(training.evaluation_steps)
    if training.step == training.steps:  # finished, but nobody was left to hear it
        context.report(_summary(history, evaluations, job.metric), None)
        return
    selection = None if job.select is None else windows_of(thaw(job.select), tokenizer, job)

    def validate(reader: nn.Module) -> dict[str, float]:
        if selection is None:
            return {}
        predictions = predict(
            reader,
            selection,
            n_best=1,
            precision=job.training.precision,
            rank=context.place.rank,
            world_size=context.place.world_size,
        )
        metrics = score(selection.examples, predictions).metrics
        return {name: value for name, value in metrics.items() if not name.startswith("topk")}

    def report(evaluation: Evaluation) -> None:
        history.append(_record(evaluation))
        metrics = _summary(history, evaluations, job.metric)
        if context.place.rank > 0:
            context.report(metrics, None)
            return
        with tempfile.TemporaryDirectory() as folder:
            _write_checkpoint(Path(folder), model, tokenizer, evaluation, history, job.size)
            context.report(metrics, Path(folder))

    training.fit(validate, report)


def training_windows(job: TrainingJob, tokenizer: PreTrainedTokenizerBase) -> Windows:
    """The windows of one epoch: sampled over languages, or the examples as they are."""
    examples = thaw(job.train)
    if job.sampling is None:
        return windows_of(examples, tokenizer, job)
    questions = align(str(job.train), examples, job.sampling.languages)
    pairs = sample_pairs(
        questions,
        source_language=job.sampling.source_language,
        ntl=job.sampling.ntl,
        seed=job.training.seed,
    )
    return windows_of(pairs, tokenizer, job, texts_of=examples)


def with_candidates(job: TrainingJob, windows: Windows) -> Windows | CandidateWindows:
    """The windows with their Z, where the objective needs it."""
    if not job.objective.needs_candidates:
        return windows
    assert job.candidates is not None
    store = CandidateStore(Cache(job.cache), job.candidates)
    size = job.objective.candidates.size
    return CandidateWindows(windows, store.open(window_codes(windows), size))


def windows_of(
    examples: Sequence[Example],
    tokenizer: PreTrainedTokenizerBase,
    job: TrainingJob,
    texts_of: Sequence[Example] | None = None,
) -> Windows:
    """Cut examples into windows; `texts_of` names the whole corpus, whose tokens are shared."""
    texts = tokenize_texts(distinct_texts(texts_of or examples), tokenizer, Cache(job.cache))
    return make_windows(examples, texts, tokenizer, job.size)


def distinct_texts(examples: Sequence[Example]) -> list[str]:
    """Every question and context once, in the order of appearance."""
    questions = (example.question for example in examples)
    contexts = (example.context for example in examples)
    return list(dict.fromkeys((*questions, *contexts)))


def _restore(training: Training, context: TrainingContext) -> list[dict[str, float]]:
    with context.latest_checkpoint() as folder:
        if folder is None:
            return []
        # on the CPU: what is restored is copied to where it belongs
        training.restore(torch.load(folder / STATE, map_location="cpu", weights_only=True))
        return list(json.loads((folder / HISTORY).read_text()))


def _record(evaluation: Evaluation) -> dict[str, float]:
    return {
        "evaluation": evaluation.number,
        "epoch": evaluation.epoch,
        "step": evaluation.step,
        **evaluation.metrics,
    }


def _summary(
    history: list[dict[str, float]], evaluations: int, metric: str | None
) -> dict[str, Any]:
    """The last of `evaluations`, the best value so far, and all until now (some may go unheard)."""
    summary: dict[str, Any] = {
        **history[-1],
        "history": list(history),
        "evaluations": evaluations,
    }
    if metric is not None:
        summary["best"] = max(record[metric] for record in history)
    return summary


def _write_checkpoint(
    folder: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    evaluation: Evaluation,
    history: list[dict[str, float]],
    size: WindowSize,
) -> None:
    save_checkpoint(model, tokenizer, folder / MODEL)
    write_card(folder / MODEL, size)
    torch.save(evaluation.state, folder / STATE)
    (folder / HISTORY).write_text(json.dumps(history))
