"""Z before the trials. In: a study, its base. Out: the base's best spans of all windows of trials.

Mined on the workers of one trial, with the largest Z of the space, and only what no earlier study
with the same base and corpus has mined.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import tokenizers
import torch

from xmrc.data.cache import Cache, content_hash
from xmrc.data.features import Windows, WindowSize
from xmrc.errors import DataError, SettingsError
from xmrc.learning.candidates import FORMAT, CandidateStore, mine_spans, window_codes
from xmrc.learning.job import TrainingJob, training_windows
from xmrc.learning.model import best_device, load_model, load_tokenizer, on_device
from xmrc.learning.worker import WorkerResources
from xmrc.search.base import find_base
from xmrc.search.cluster import share_out
from xmrc.search.corpora import ntl_values
from xmrc.search.folder import StudyFolder
from xmrc.search.prepare import Prepared, checkpoint_hash, trial_job
from xmrc.search.progress import clock
from xmrc.settings import OVER_CANDIDATES, WINDOW_KEYS, RunSettings, Study, reach, with_values


@dataclass(frozen=True)
class Mined:
    """What the spans of a base were mined from, but the size of the windows."""

    base: str  # hash of the checkpoint
    train: str  # hash of the corpus
    precision: str

    def key(self, size: WindowSize) -> str:
        """The key of the store of these windows."""
        sizes = [size.max_length, size.max_question_tokens, size.stride]
        made_by = [FORMAT, tokenizers.__version__, self.precision]
        return content_hash(made_by, self.base, self.train, sizes)

    def attach(self, job: TrainingJob) -> TrainingJob:
        """A trial that knows where its Z is."""
        return replace(job, candidates=self.key(job.size))


def needs_candidates(study: Study) -> bool:
    """Whether any trial's span loss is one over Z."""
    return any(span in OVER_CANDIDATES for span in reach(study, "objective.span"))


def find_candidates(
    study: Study,
    prepared: Prepared,
    start: str,
    resources: WorkerResources,
    folder: StudyFolder,
    say: Callable[[str], None],
) -> Mined | None:
    """Mine what no study has mined before; None where no trial needs Z.

    `start` is what the trials start from. Errors: DataError if its tokens are not the base's.
    """
    if not needs_candidates(study):
        return None
    settings = study.settings
    from_base = settings.start_from_base
    base = start if from_base else find_base(settings, prepared, resources, folder, say)
    train, precision = prepared.train.parent.name, settings.training.precision
    mined = Mined(checkpoint_hash(base), train, precision)
    for job in mining_jobs(study, prepared, base, resources.threads):
        windows = training_windows(job, load_tokenizer(base))
        if start != base:
            _check_tokens(windows, training_windows(job, load_tokenizer(start)), base, start)
        store = CandidateStore(Cache(prepared.cache), mined.key(job.size))
        _mine(store, job, windows, largest_size(study), resources, say)
    return mined


def largest_size(study: Study) -> int:
    """The most spans of a window that a trial can ask for."""
    return int(max(reach(study, "objective.candidates.size")))


def mining_jobs(study: Study, prepared: Prepared, base: str, threads: int) -> Iterator[TrainingJob]:
    """What together has the windows of every trial, to be read by the base."""
    for values in product(*(reach(study, key) for key in WINDOW_KEYS)):
        try:
            settings = with_values(study.settings, dict(zip(WINDOW_KEYS, values, strict=True)))
        except SettingsError:  # a combination that no trial can have either
            continue
        widest = with_values(settings, {"data.ntl": _largest_ntl(study, settings)})
        yield trial_job(
            widest,
            prepared,
            start=base,
            evaluate_every=1.0,
            metric=study.search.metric,
            threads=threads,
        )


def _mine_share(job: TrainingJob, rows: np.ndarray, size: int) -> np.ndarray:
    """Read these training windows of a job with the reader that it starts from."""
    torch.set_num_threads(job.threads)
    model = on_device(load_model(job.start, seed=0), best_device())
    windows = training_windows(job, load_tokenizer(job.start))
    return mine_spans(model, windows.subset(rows), size, job.training.precision)


def _mine(
    store: CandidateStore,
    job: TrainingJob,
    windows: Windows,
    size: int,
    resources: WorkerResources,
    say: Callable[[str], None],
) -> None:
    codes = window_codes(windows)
    missing, began = len(store.missing(codes, size)), time.time()

    def mine(rows: np.ndarray) -> np.ndarray:
        say(f"candidates: mining the {size} best spans in {len(rows)} windows")
        shares = [rows[rank :: resources.workers] for rank in range(resources.workers)]
        found = share_out(_mine_share, [(job, share, size) for share in shares], resources)
        spans_NK2 = np.empty((len(rows), size, 2), np.int32)
        for rank, share in enumerate(found):
            spans_NK2[rank :: resources.workers] = share
        return spans_NK2

    store.add(codes, size, mine)
    spent = f"mined in {clock(time.time() - began)}" if missing else "found"
    golds = store.open(codes, size).share_with_gold(windows)
    say(f"candidates: {spent}; the gold is among those of {golds:.0%} of the questions")


def _largest_ntl(study: Study, settings: RunSettings) -> int:
    """A smaller ntl draws a subset, another seed others: where there are several, all pairs."""
    largest = max(ntl_values(study))
    seeds = "training.seed" in study.space or study.search.confirm is not None
    drawn = largest > 0 and seeds
    return len(settings.data.languages) if drawn else largest


def _check_tokens(mined: Windows, trained: Windows, base: str, start: str) -> None:
    """The spans are positions of tokens, so both must cut all texts alike."""
    alike = (
        np.array_equal(mined.texts.flat_starts, trained.texts.flat_starts)
        and np.array_equal(mined.texts.flat_ends, trained.texts.flat_ends)
        and np.array_equal(mined.context_position, trained.context_position)
    )
    if not alike:
        raise DataError(
            f"settings.base: a base that mines candidates must have the tokenizer of the encoder "
            f"that the trials start from, {start}, got {base}"
        )
