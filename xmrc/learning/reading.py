"""A finished reader over a whole corpus. In: a `ReadingJob`. Out: predictions, one per example.

Windows may be read in shares, by several processes; the shares are merged afterwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from xmrc.data.cache import Cache
from xmrc.data.examples import Example
from xmrc.data.features import Windows, WindowSize, make_windows, tokenize_texts
from xmrc.data.store import load_examples
from xmrc.learning.job import distinct_texts
from xmrc.learning.model import (
    best_device,
    check_positions,
    load_model,
    load_tokenizer,
    on_device,
)
from xmrc.learning.prediction import N_BEST, WindowSpans, merge, read_windows
from xmrc.scoring.predictions import Prediction


@dataclass(frozen=True)
class ReadingJob:
    """A reader, what it reads and how the contexts are cut."""

    model: str  # folder or hub id
    examples: Path  # frozen
    size: WindowSize
    precision: str
    cache: Path
    threads: int
    n_best: int = N_BEST


def read_share(job: ReadingJob, rank: int, world_size: int) -> WindowSpans:
    """Read every `world_size`-th window, on the GPU if this process has one."""
    torch.set_num_threads(job.threads)
    model = load_model(job.model, seed=0)
    check_positions(model.config, job.model, job.size.max_length)
    on_device(model, best_device())
    windows = _reading_windows(job, load_examples(job.examples))
    return read_windows(
        model, windows, rank, world_size, n_best=job.n_best, precision=job.precision
    )


def _reading_windows(job: ReadingJob, examples: Sequence[Example]) -> Windows:
    """The windows of a job; the same in every process."""
    tokenizer = load_tokenizer(job.model)
    texts = tokenize_texts(distinct_texts(examples), tokenizer, Cache(job.cache))
    return make_windows(examples, texts, tokenizer, job.size)


def predictions_from(
    job: ReadingJob, examples: Sequence[Example], shares: list[WindowSpans]
) -> list[Prediction]:
    """Merge what the shares found into predictions, in the order of the examples."""
    return merge(_reading_windows(job, examples), shares, job.n_best)
