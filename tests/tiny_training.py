"""Small trainings of a real encoder. In: a folder, settings. Out: what came of them, to compare.

The folder holds a tokenizer and a cache, so that processes that are started from here see the same
windows. Readers are float64 unless a test is about float32.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from checkpoints import SENTENCES, tiny_tokenizer
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from transformers import AutoTokenizer, BertConfig, BertForQuestionAnswering

from xmrc.data.cache import Cache
from xmrc.data.examples import Answer, Example
from xmrc.data.features import Windows, WindowSize, make_windows, tokenize_texts
from xmrc.learning.candidates import (
    CandidateStore,
    CandidateWindows,
    mine_spans,
    window_codes,
)
from xmrc.learning.distributed import gather_from_workers, sum_over_workers
from xmrc.learning.loop import Evaluation, Training
from xmrc.learning.step import Worker
from xmrc.learning.terms import CandidateSettings, ContrastSettings, DistillSettings
from xmrc.learning.terms.objective import Objective
from xmrc.settings import ObjectiveSettings, TrainingSettings

SIZE = WindowSize(max_length=36, max_question_tokens=6, stride=5)
CE = ObjectiveSettings()
SKD_NUMBER = ObjectiveSettings(distill=DistillSettings(coefficient=0.7))
HL = ObjectiveSettings(span="hl", candidates=CandidateSettings(size=6, learning_rate=0.1))
AA_CL = ObjectiveSettings(alpha=0.5, contrast=ContrastSettings(tau=0.5, negatives=8))
JOINT = ObjectiveSettings(
    span="hl",
    alpha=0.3,
    candidates=CandidateSettings(size=5, weights="type", learning_rate=0.1),
    contrast=ContrastSettings(tau=0.2, negatives=5),
    distill=DistillSettings(coefficient="map"),
)
CONTRAST_ALONE = ObjectiveSettings(span="none", alpha=1.0, contrast=ContrastSettings(tau=0.5))
SKD_MAP = ObjectiveSettings(distill=DistillSettings(coefficient="map"))
SKD_EQ_5 = ObjectiveSettings(distill=DistillSettings(variant="average_precision"))
SKD_PER_EXAMPLE = ObjectiveSettings(distill=DistillSettings(variant="per_example"))


@dataclass(frozen=True)
class Setting:
    """One training, all but the place where it runs."""

    objective: ObjectiveSettings
    training: TrainingSettings
    evaluate_every: float  # epochs
    windows: int
    dropout: float = 0.0
    dtype: torch.dtype = torch.float64


@dataclass(frozen=True)
class Outcome:
    """The evaluations, and weights and gradients as the last step left them."""

    history: list[dict[str, float]]
    weights: dict[str, Tensor]
    gradients: dict[str, Tensor]


def make_folder(folder: Path) -> Path:
    """Write the tokenizer that every process is to open."""
    tiny_tokenizer("wordpiece", folder / "tokenizer")
    return folder


def tiny_windows(folder: Path, count: int) -> Windows:
    """The first `count` windows, of many lengths, over sentences; some are without their answer."""
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    examples = [_example(number) for number in range(count)]
    texts = tokenize_texts(
        [text for each in examples for text in (each.question, each.context)],
        tokenizer,
        Cache(folder / "cache"),
    )
    windows = make_windows(examples, texts, tokenizer, SIZE)
    return windows.subset(np.arange(count))


def _example(number: int) -> Example:
    """A question on one of the words of some text; five pairs of languages, some more often."""
    sentences = (SENTENCES * 3)[number : number + 2]
    context = " ".join(sentences)[: 60 + 20 * (number % 4)]
    word = context.split()[number % 3]
    answer = Answer(word, context.index(word))
    pair = (("en", "de"), ("de", "de"), ("en", "en"), ("es", "de"), ("en", "de"), ("de", "en"))
    return Example(f"q{number % 7}", sentences[1][:20], context, (answer,), *pair[number % 6])


def tiny_reader(dropout: float = 0.0, seed: int = 0) -> BertForQuestionAnswering:
    """One layer of BERT, with weights wide enough that its logits differ."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = BertConfig(
            vocab_size=1000,  # more than the tokenizer has
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=SIZE.max_length,
            initializer_range=0.3,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
        )
        return BertForQuestionAnswering(config)


def training_windows(folder: Path, setting: Setting) -> Windows | CandidateWindows:
    """The windows, with what another reader mined in them where the objective needs it."""
    windows = tiny_windows(folder, setting.windows)
    if not setting.objective.needs_candidates:
        return windows
    store, codes = CandidateStore(Cache(folder / "cache"), "base"), window_codes(windows)
    size = setting.objective.candidates.size
    base = tiny_reader(seed=9)
    store.add(codes, size, lambda rows: mine_spans(base, windows.subset(rows), size, "fp32"))
    return CandidateWindows(windows, store.open(codes, size))


def tiny_training(
    folder: Path,
    setting: Setting,
    *,
    reader_seed: int = 0,
    worker: Worker | None = None,
    wrap: Callable[[nn.Module], nn.Module] = lambda model: model,
) -> Training:
    """A training that stands before its first step."""
    worker = worker or Worker()
    reader = tiny_reader(setting.dropout, reader_seed).to(worker.device, setting.dtype)
    pairs = tiny_windows(folder, setting.windows).pairs
    return Training(
        reader,
        wrap,
        training_windows(folder, setting),
        Objective(setting.objective, pairs),
        setting.training,
        evaluate_every=setting.evaluate_every,
        worker=worker,
    )


def row_of(evaluation: Evaluation) -> dict[str, float]:
    """What a history keeps of an evaluation."""
    where = {
        "number": evaluation.number,
        "step": evaluation.step,
        "epoch": evaluation.epoch,
    }
    by_pair = {f"c_kl {'-'.join(p)}": c for p, c in evaluation.coefficient_by_pair.items()}
    return {**where, **evaluation.metrics, **by_pair}


def learned_by_terms(training: Training) -> dict[str, nn.Parameter]:
    """What the objective learns itself: `span.theta_T`."""
    terms = training.objective.terms.items()
    return {f"{name}.{key}": one for name, term in terms for key, one in term.named_parameters()}


def outcome_of(training: Training, evaluations: Sequence[Evaluation]) -> Outcome:
    """A finished training, without what went with it."""
    named = dict(training.model.named_parameters())
    named |= learned_by_terms(training)
    return Outcome(
        history=[row_of(each) for each in evaluations],
        weights={name: weight.detach().clone() for name, weight in named.items()},
        gradients={
            name: weight.grad.clone() for name, weight in named.items() if weight.grad is not None
        },
    )


def no_metrics(reader: nn.Module) -> dict[str, float]:
    """For trainings whose losses are what is looked at."""
    return {}


def run_alone(folder: Path, setting: Setting, **options: Any) -> Outcome:
    """The training on one worker, from start to end."""
    training = tiny_training(folder, setting, **options)
    evaluations: list[Evaluation] = []
    training.fit(no_metrics, evaluations.append)
    return outcome_of(training, evaluations)


def run_on_worker(folder: Path, setting: Setting, worker: Worker) -> Outcome:
    """One worker's part of the training, joined with the others'."""
    return run_alone(folder, setting, worker=worker, wrap=DistributedDataParallel)


def sum_and_gather(place: Worker) -> tuple[Tensor, Tensor, list[Any]]:
    """What all workers make of one's number and object; the number again."""
    own = torch.tensor(1.0 + place.rank)
    return sum_over_workers(own), own, gather_from_workers({"rank": place.rank})


def on_workers(
    folder: Path, tasks: Sequence[Callable[[Worker], Any]], world_size: int
) -> list[list[Any]]:
    """Run each task in real processes with real collectives; results by rank, by task."""
    torch.multiprocessing.spawn(_work, (world_size, folder, tasks), nprocs=world_size)
    return [
        torch.load(folder / f"results-{rank}.pt", weights_only=False) for rank in range(world_size)
    ]


def _work(
    rank: int, world_size: int, folder: Path, tasks: Sequence[Callable[[Worker], Any]]
) -> None:
    torch.set_num_threads(1)
    meeting = f"file://{folder / 'meeting'}"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=world_size)
    results = [task(Worker(rank, world_size)) for task in tasks]
    torch.save(results, folder / f"results-{rank}.pt")
    dist.destroy_process_group()
