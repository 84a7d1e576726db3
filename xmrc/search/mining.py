"""Z before the trials. In: a study, its base. Out: the base's best spans of all windows of trials.

Mined on the workers of one trial, with the largest Z of the space, and only what no earlier study
with the same base and corpus has mined.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch

from xmrc.data.cache import Cache
from xmrc.data.features import Windows
from xmrc.data.training_data import TrainingData
from xmrc.errors import DataError, SettingsError
from xmrc.learning.candidates import CandidateSource, CandidateStore, mine_spans, window_codes
from xmrc.learning.model import best_device, load_model, load_tokenizer, on_device
from xmrc.search.base import find_base
from xmrc.search.cluster import share_out
from xmrc.search.corpora import StudyData, ntl_values
from xmrc.search.prepare import checkpoint_hash
from xmrc.search.progress import clock
from xmrc.search.run import Run
from xmrc.settings import WINDOW_KEYS, RunSettings, Study, reach, with_values
from xmrc.settings.objective import spans_over_candidates


def needs_candidates(study: Study) -> bool:
    """Whether any trial's span loss is one over Z."""
    mined = spans_over_candidates()
    return any(span in mined for span in reach(study, "objective.span"))


def mine_candidates(run: Run) -> CandidateSource | None:
    """Mine what no study has mined before; None where no trial needs Z.

    Errors: DataError if the tokens of what the trials start from are not the base's.
    """
    if not needs_candidates(run.study):
        return None
    settings = run.study.settings
    base = run.start if settings.start_from_base else find_base(run)
    precision = settings.training.precision
    source = CandidateSource(checkpoint_hash(base), run.prepared.train.content, precision)
    for data in mining_data(run.study, run.prepared):
        windows = data.windows(load_tokenizer(base))
        if run.start != base:
            others = data.windows(load_tokenizer(run.start))
            _check_tokens(windows, others, base, run.start)
        store = CandidateStore(Cache(data.cache), source.key(data.size))
        _mine(run, store, _Mining(data, base, largest_size(run.study), precision), windows)
    return source


def largest_size(study: Study) -> int:
    """The most spans of a window that a trial can ask for."""
    return int(max(reach(study, "objective.candidates.size")))


def mining_data(study: Study, prepared: StudyData) -> Iterator[TrainingData]:
    """What together has the windows of every trial, to be read by the base."""
    for values in product(*(reach(study, key) for key in WINDOW_KEYS)):
        try:
            settings = with_values(study.settings, dict(zip(WINDOW_KEYS, values, strict=True)))
        except SettingsError:  # a combination that no trial can have either
            continue
        yield prepared.training(with_values(settings, {"data.ntl": largest_ntl(study, settings)}))


@dataclass(frozen=True)
class _Mining:
    """The best `size` spans that a base finds in training windows."""

    data: TrainingData
    base: str
    size: int
    precision: str


def _mine_share(mining: _Mining, rows: np.ndarray, threads: int) -> np.ndarray:
    """Read these windows."""
    torch.set_num_threads(threads)
    model = on_device(load_model(mining.base, seed=0), best_device())
    windows = mining.data.windows(load_tokenizer(mining.base))
    return mine_spans(model, windows.subset(rows), mining.size, mining.precision)


def _mine(run: Run, store: CandidateStore, mining: _Mining, windows: Windows) -> None:
    codes, size, resources = window_codes(windows), mining.size, run.fit.trial
    missing, began = len(store.missing(codes, size)), time.time()

    def mine(rows: np.ndarray) -> np.ndarray:
        run.say(f"candidates: mining the {size} best spans in {len(rows)} windows")
        shares = [rows[rank :: resources.workers] for rank in range(resources.workers)]
        parts = [(mining, share, resources.threads) for share in shares]
        spans_NK2 = np.empty((len(rows), size, 2), np.int32)
        for rank, share in enumerate(share_out(_mine_share, parts, resources)):
            spans_NK2[rank :: resources.workers] = share
        return spans_NK2

    store.add(codes, size, mine)
    spent = f"mined in {clock(time.time() - began)}" if missing else "found"
    golds = store.open(codes, size).share_with_gold(windows)
    run.say(f"candidates: {spent}; the gold is among those of {golds:.0%} of the questions")


def largest_ntl(study: Study, settings: RunSettings) -> int:
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
