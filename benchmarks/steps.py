"""Milliseconds of an optimiser step, and what that makes of a trial of `search_spaces/skd.yaml`.

In: a tokenizer, a folder of corpora (XMRC_DATA). Out: a table.

    python benchmarks/steps.py --tokenizer bert-base-multilingual-cased

The reader has the sizes of mBERT and random weights; the windows are XQuAD's. Beside ours stands
what one would write without xmrc: transformers' own loss, the library's collator, AdamW.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForQuestionAnswering,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    default_data_collator,
)

from xmrc.data.alignment import align
from xmrc.data.cache import Cache
from xmrc.data.corpora import load_corpus
from xmrc.data.features import Windows, WindowSize, make_windows, tokenize_texts
from xmrc.data.sampling import sample_pairs
from xmrc.learning.candidates import CandidateStore, CandidateWindows, mine_spans, window_codes
from xmrc.learning.loop import Training
from xmrc.learning.model import autocast, best_device
from xmrc.learning.step import Worker
from xmrc.learning.terms import DistillSettings
from xmrc.learning.terms.objective import Objective
from xmrc.settings import ObjectiveSettings, TrainingSettings

BATCH, PAIRS, EPOCHS = 24, 42_840, 3  # of skd.yaml
SIZE = WindowSize()
OBJECTIVES = {
    "CE": ObjectiveSettings(),
    "SKD mAP@k": ObjectiveSettings(distill=DistillSettings()),
    "HL": ObjectiveSettings(span="hl"),
    "HL + AA-CL": ObjectiveSettings(span="hl", alpha=0.5),
    "HL + AA-CL + SKD": ObjectiveSettings(span="hl", alpha=0.5, distill=DistillSettings()),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--languages", default="en,es,de,vi")
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--steps", type=int, default=100)
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(options.tokenizer)
    with tempfile.TemporaryDirectory() as folder:
        cache = Cache(Path(folder))
        windows = xquad_windows(tokenizer, options.languages.split(","), options.questions, cache)
        print(f"{len(windows)} windows of {windows.lengths.mean():.0f} tokens, batch {BATCH}")
        reader = mbert_sized(len(tokenizer))
        table = {"transformers, CE": plain_steps(reader, windows, options.steps)}
        candidates = mined(reader, windows, cache)
        for name, objective in OBJECTIVES.items():
            table[f"xmrc, {name}"] = our_steps(candidates, objective, len(tokenizer), options.steps)
    for name, seconds in table.items():
        trial = PAIRS * EPOCHS / BATCH * seconds / 60
        print(f"{name:<24} {1000 * seconds:7.1f} ms a step, {trial:6.1f} min a trial")


def xquad_windows(
    tokenizer: PreTrainedTokenizerBase, languages: Sequence[str], questions: int, cache: Cache
) -> Windows:
    root = Path(os.environ["XMRC_DATA"])
    corpus = load_corpus("xquad", root=root, languages=languages, limit=questions)
    parallel = align(corpus.name, corpus.examples, languages)
    pairs = sample_pairs(parallel, source_language=languages[0], ntl=len(languages), seed=3)
    texts = [text for each in corpus.examples for text in (each.question, each.context)]
    return make_windows(pairs, tokenize_texts(texts, tokenizer, cache), tokenizer, SIZE)


def mbert_sized(vocabulary: int) -> PreTrainedModel:
    """mBERT but for its vocabulary, whose size costs no time in a step."""
    torch.manual_seed(0)
    return BertForQuestionAnswering(BertConfig(vocab_size=vocabulary)).to(best_device())


def mined(reader: PreTrainedModel, windows: Windows, cache: Cache) -> CandidateWindows:
    store, codes = CandidateStore(cache, "benchmark"), window_codes(windows)
    store.add(codes, 20, lambda rows: mine_spans(reader, windows.subset(rows), 20, "auto"))
    return CandidateWindows(windows, store.open(codes, 20))


def our_steps(
    windows: CandidateWindows, objective: ObjectiveSettings, vocabulary: int, steps: int
) -> float:
    reader = mbert_sized(vocabulary)
    training = Training(
        reader,
        lambda module: module,
        windows if objective.needs_candidates else windows.windows,
        Objective(objective, windows.windows.pairs),
        TrainingSettings(epochs=100, batch_size=BATCH),
        evaluate_every=100.0,
        worker=Worker(device=best_device()),
    )

    def step() -> None:
        training.gradient_step()

    return timed(step, steps)


def plain_steps(reader: PreTrainedModel, windows: Windows, steps: int) -> float:
    """The loop of a question answering example, padded to the longest as its collator does."""
    optimiser = torch.optim.AdamW(reader.parameters(), lr=5e-5)
    generator = np.random.default_rng(0)
    features = [features_of(windows, row) for row in range(len(windows))]
    device = best_device()

    def step() -> None:
        chosen = [features[row] for row in generator.integers(0, len(features), BATCH)]
        batch = {k: v.to(device) for k, v in default_data_collator(chosen).items()}
        optimiser.zero_grad()
        with autocast(device, "auto"):
            loss = reader(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
        optimiser.step()

    reader.train()
    return timed(step, steps)


def features_of(windows: Windows, row: int) -> dict[str, list[int] | int]:
    """A window as the example scripts have it: padded to `max_length`."""
    batch = windows.batch(np.array([row]))
    padding = [0] * (SIZE.max_length - int(windows.lengths[row]))
    return {
        "input_ids": batch.input_ids_BL[0].tolist() + padding,
        "attention_mask": batch.attention_mask_BL[0].tolist() + padding,
        "token_type_ids": batch.token_type_ids_BL[0].tolist() + padding,
        "start_positions": int(batch.start_targets_B),
        "end_positions": int(batch.end_targets_B),
    }


def timed(step: Callable[[], object], steps: int) -> float:
    """Seconds of a step, after as many that warm up: windows of every length, and their memory."""
    for _ in range(steps):
        step()
    finish()
    began = time.perf_counter()
    for _ in range(steps):
        step()
    finish()
    return (time.perf_counter() - began) / steps


def finish() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
