"""One training, from a description to its last report. In: a `TrainingJob` and a
`_TrainingContext`. Out: metrics and checkpoints, through the context.

What it writes on the way is in `checkpoints`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from xmrc.data.cache import Cache
from xmrc.data.features import Windows, WindowSize
from xmrc.data.leakage import Footprint
from xmrc.data.store import load_examples
from xmrc.data.training_data import TrainingData
from xmrc.learning.candidates import (
    CandidateSource,
    CandidateStore,
    CandidateWindows,
    window_codes,
)
from xmrc.learning.checkpoints import MODEL, STATE, Checkpoints
from xmrc.learning.history import History
from xmrc.learning.loop import Evaluation, Training
from xmrc.learning.model import (
    check_positions,
    copied_weights,
    load_model,
    load_tokenizer,
    on_device,
    save_checkpoint,
)
from xmrc.learning.reader import write_card
from xmrc.learning.reports import Reports
from xmrc.learning.step import Worker
from xmrc.learning.terms.objective import Objective
from xmrc.learning.validation import Validation
from xmrc.seals import seal
from xmrc.settings import RunSettings, with_values

_TENSORS = "state.pt"


@dataclass(frozen=True)
class TrainingJob:
    """Everything that one training depends on; equal jobs give equal readers."""

    start: str  # hub id or folder of the checkpoint to start from
    train: Path  # stored examples
    select: Path | None  # stored examples to evaluate on; None: losses only
    settings: RunSettings  # of which data, objective and training are read
    evaluate_every: float  # epochs
    metric: str | None  # what the best checkpoint is best at, higher is better
    cache: Path
    threads: int  # CPU threads of one worker
    candidates: CandidateSource | None = None  # where Z is, of an objective that needs it
    watch: Sequence[str] = ()  # ids of questions of `select` whose first answers are kept
    max_tokens: int | None = None  # of a micro-batch, where more than that did not fit

    @property
    def data(self) -> TrainingData:
        """What its windows are made from."""
        return TrainingData(self.train, self.settings.data, self.settings.training.seed, self.cache)

    def with_values(self, values: Mapping[str, Any]) -> "TrainingJob":
        """The same training with other values of its settings, by dotted key.

        Errors: SettingsError as in `settings.with_values`.
        """
        return replace(self, settings=with_values(self.settings, values))


class _TrainingContext(Protocol):
    """Who runs the training: Ray Train, the process of a trial, or a test."""

    @property
    def worker(self) -> Worker:
        """This worker among the workers."""

    def wrap(self, model: nn.Module) -> nn.Module:
        """Prepare the model for this number of workers."""

    @property
    def checkpoints(self) -> Checkpoints:
        """Where this training keeps its checkpoints, and finds them if it is not the first try."""

    def report(self, metrics: dict[str, Any]) -> None:
        """Hand on the metrics of one evaluation, whose checkpoint is whole by then."""


@contextmanager
def open_training(job: TrainingJob, context: _TrainingContext) -> Iterator[Callable[[], None]]:
    """Build a training, put it where its last checkpoint left it, and give what runs it to its end.

    What it reports on the way goes to the context; at the end of the block nothing more is written.
    Nobody else may write its checkpoints.
    """
    torch.set_num_threads(job.threads)
    data, settings, newest = job.data, job.settings.training, context.checkpoints.newest()
    tokenizer = load_tokenizer(job.start)
    reader = job.start if newest is None else str(newest / MODEL)
    model = load_model(reader, seed=settings.seed, dropout=settings.dropout)
    check_positions(model.config, job.start, data.size.max_length)
    on_device(model, context.worker.device)
    sampled = data.windows(tokenizer)
    windows = _with_candidates(job, sampled)
    training = Training(
        model,
        context.wrap,
        windows,
        Objective(job.settings.objective, sampled.pairs),
        settings,
        evaluate_every=job.evaluate_every,
        worker=context.worker,
    )
    footprint = Footprint.read(Path(job.start)) | Footprint.of(sampled.examples)
    history = History() if newest is None else _restore(training, newest)
    if job.max_tokens is not None:
        training.max_tokens = job.max_tokens
    evaluations = len(training.evaluation_steps)
    if training.step == training.steps:  # finished, but nobody was left to hear it
        yield partial(context.report, history.report(evaluations, job.metric))
        return
    validation = _validation_of(job, tokenizer, context.worker)
    of_z = windows.metrics if isinstance(windows, CandidateWindows) else {}

    def validate(reader: nn.Module) -> dict[str, float]:
        return {**of_z, **validation.scores(reader)}

    reports = Reports(context.report, context.worker)

    def report(evaluation: Evaluation) -> None:
        history.add(evaluation, validation.observations(model))
        write = None
        if context.worker.rank == 0:
            reader = _Reader(model, copied_weights(model), tokenizer, data.size, footprint)
            state = _copied(evaluation.state)
            adding = context.checkpoints.adding(evaluation.number)
            write = partial(_write_checkpoint, adding, reader, state, history)
        reports.put(history.report(evaluations, job.metric), write)

    with reports:
        yield partial(training.fit, validate, report, reports.look)


def _with_candidates(job: TrainingJob, windows: Windows) -> Windows | CandidateWindows:
    """The windows with their Z, where the objective needs it."""
    objective = job.settings.objective
    if not objective.needs_candidates:
        return windows
    assert job.candidates is not None
    store = CandidateStore(Cache(job.cache), job.candidates.key(job.data.size))
    size = objective.section("candidates").size
    return CandidateWindows(windows, store.open(window_codes(windows), size))


def _validation_of(
    job: TrainingJob, tokenizer: PreTrainedTokenizerBase, worker: Worker
) -> Validation:
    """What the job is evaluated on."""
    data, precision = job.data, job.settings.training.precision
    if job.select is None:
        return Validation(None, None, precision, worker)
    examples = load_examples(job.select)
    watched = [one for one in examples if one.id in job.watch]
    return Validation(
        data.cut(examples, tokenizer),
        data.cut(watched, tokenizer, texts_of=examples) if watched else None,
        precision,
        worker,
    )


def _restore(training: Training, checkpoint: Path) -> History:
    # on the CPU: what is restored is copied to where it belongs
    state = torch.load(checkpoint / STATE / _TENSORS, map_location="cpu", weights_only=True)
    training.restore(state)
    return History.read(checkpoint)


@dataclass(frozen=True)
class _Reader:
    """A reader as it was at one moment of its training."""

    model: PreTrainedModel
    weights: Mapping[str, Tensor]
    tokenizer: PreTrainedTokenizerBase
    size: WindowSize
    footprint: Footprint

    def write(self, folder: Path) -> None:
        """What opens with `AutoModelForQuestionAnswering`, and says what it has learned from."""
        save_checkpoint(self.model, self.tokenizer, folder, self.weights)
        write_card(folder, self.size)
        self.footprint.write(folder)
        seal(folder)


def _copied(state: Any) -> Any:
    """A state as it is now, on the CPU, whatever becomes of its tensors."""
    if isinstance(state, Tensor):
        return state.detach().to("cpu", copy=True)
    if isinstance(state, dict):
        return {name: _copied(one) for name, one in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(map(_copied, state))
    return state


def _write_checkpoint(
    adding: AbstractContextManager[Path], reader: _Reader, state: dict[str, Any], history: History
) -> None:
    """Beside the training, which adds nothing to its history meanwhile."""
    with adding as folder:
        reader.write(folder / MODEL)
        (folder / STATE).mkdir()
        torch.save(state, folder / STATE / _TENSORS)
        seal(folder / STATE)
        history.write(folder)
