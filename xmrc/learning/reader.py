"""A reader at work. In: the folder of a checkpoint, questions and contexts. Out: n best answers.

`Reader` is what the registered model and `python -m xmrc.answer` open; a `ReadingJob` is read in
shares, by several processes, and merged afterwards. A checkpoint of ours says in `xmrc.json` how it
was trained to cut its windows; any other question answering checkpoint gets the defaults.
"""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from transformers import PretrainedConfig

from xmrc.data.cache import Cache
from xmrc.data.examples import Example
from xmrc.data.features import Windows, WindowSize, cut_examples
from xmrc.data.store import load_examples
from xmrc.errors import DataError
from xmrc.learning.model import (
    best_device,
    check_positions,
    load_config,
    load_model,
    load_tokenizer,
    on_device,
    position_limit,
)
from xmrc.learning.prediction import (
    N_BEST,
    Progress,
    WindowSpans,
    in_silence,
    merge,
    predict,
    read_windows,
)
from xmrc.scoring.predictions import Prediction
from xmrc.seals import check_intact

CARD = "xmrc.json"  # beside the weights


def write_card(folder: Path, size: WindowSize) -> None:
    """Say how the reader in `folder` was trained to cut windows."""
    (folder / CARD).write_text(json.dumps(asdict(size)))


def read_size(source: str) -> WindowSize:
    """How the reader in `source` cuts windows; defaults within its positions if it is silent.

    Errors: DataError if it says no sizes, or is damaged.
    """
    check_intact(Path(source))
    card = Path(source) / CARD
    if not card.is_file():
        return size_within(load_config(source))
    try:
        size = WindowSize(**json.loads(card.read_text()))
        if not all(type(value) is int for value in asdict(size).values()):
            raise TypeError("a size is a whole number of tokens")
    except (ValueError, TypeError) as error:
        sizes = ", ".join(each.name for each in fields(WindowSize))
        raise DataError(f"{card}: must be a JSON object of {sizes}: {error}") from error
    return size


def size_within(config: PretrainedConfig) -> WindowSize:
    """The default windows, made smaller for an encoder with fewer positions."""
    default = WindowSize()
    limit = position_limit(config)
    if limit is None or limit >= default.max_length:
        return default
    return WindowSize(limit, limit // 4, limit // 4)


class Reader:
    """A checkpoint on the best device of this machine, ready to answer."""

    def __init__(self, source: str) -> None:
        self.size = read_size(source)
        self._tokenizer = load_tokenizer(source)
        self._model = on_device(load_model(source, seed=0), best_device())

    def answer(
        self,
        questions: Sequence[str],
        contexts: Sequence[str],
        n_best: int = N_BEST,
        progress: Progress = in_silence,
    ) -> list[Prediction]:
        """Answer each question from its context; offsets are characters of the context."""
        examples = [
            Example(str(number), question, context, (), "", "")
            for number, (question, context) in enumerate(zip(questions, contexts, strict=True))
        ]
        with tempfile.TemporaryDirectory() as folder:
            return self.read(examples, Cache(Path(folder)), n_best, progress)

    def read(
        self,
        examples: Sequence[Example],
        cache: Cache,
        n_best: int = N_BEST,
        progress: Progress = in_silence,
    ) -> list[Prediction]:
        """Answer examples, in their order; their tokens are kept in `cache`."""
        windows = cut_examples(examples, self._tokenizer, self.size, cache)
        return predict(self._model, windows, n_best=n_best, progress=progress)


@dataclass(frozen=True)
class ReadingJob:
    """A reader, what it reads and how the contexts are cut."""

    model: str  # folder or hub id
    examples: Path  # stored
    size: WindowSize
    precision: str
    cache: Path
    threads: int
    n_best: int = N_BEST

    def windows(self, examples: Sequence[Example]) -> Windows:
        """What is read; the same in every process."""
        return cut_examples(examples, load_tokenizer(self.model), self.size, Cache(self.cache))


def read_share(job: ReadingJob, rank: int, world_size: int) -> WindowSpans:
    """Read every `world_size`-th window, on the GPU if this process has one."""
    torch.set_num_threads(job.threads)
    model = load_model(job.model, seed=0)
    check_positions(model.config, job.model, job.size.max_length)
    on_device(model, best_device())
    windows = job.windows(load_examples(job.examples))
    return read_windows(
        model, windows, rank, world_size, n_best=job.n_best, precision=job.precision
    )


def predictions_from(
    job: ReadingJob, examples: Sequence[Example], shares: list[WindowSpans]
) -> list[Prediction]:
    """Merge what the shares found into predictions, in the order of the examples."""
    return merge(job.windows(examples), shares, job.n_best)
