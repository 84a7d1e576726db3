"""What a study needs. In: its settings, its reader's architecture. Out: bytes of memory and disk.

Memory is an estimate. Weights, their gradients and AdamW's two moments take four copies of the
reader; where any trial distils, its teacher takes a fifth; workers that share a batch take one more
for what they exchange. A checkpoint is written from a copy of all but the gradients in the memory
of the host. To this come the activations of the largest micro-batch that a trial can have: what a
layer keeps of each token until its gradient is known. Disk is what may lie there together, corpora
and tokens left out.
"""

from dataclasses import dataclass
from pathlib import Path
from shutil import disk_usage

import torch
from transformers import AutoModelForQuestionAnswering, PretrainedConfig

from xmrc.errors import ResourceError
from xmrc.search.prepare import reader_architecture
from xmrc.settings import Study, reach

GIB = 2**30
_PROCESS = int(0.6 * GIB)  # a trial's, its libraries imported, nothing loaded
_CUDA = int(0.5 * GIB)  # the driver's, on the GPU
_FP32, _BF16 = 4, 2  # bytes of a number
_OF_LAYER = 11  # hidden states that a layer keeps of each token: in, q, k, v, out, norms, dropout
_OF_FEED_FORWARD = 2  # before and behind its nonlinearity
_OF_ATTENTION = 2.5  # numbers of a head for each pair of tokens, where they are written out (CPU)


@dataclass(frozen=True)
class MemoryNeeds:
    """Bytes of one worker of a trial, on its host and on its GPU."""

    host: int
    gpu: int


NOT_LOOKED_AT = MemoryNeeds(0, 0)


@dataclass(frozen=True)
class DiskNeeds:
    """Bytes of a study at its largest, and when it is done."""

    most: int
    kept: int


def _reader_bytes(config: PretrainedConfig) -> int:
    """The weights of a reader of this architecture, in float32; none are made."""
    with torch.device("meta"):
        model = AutoModelForQuestionAnswering.from_config(config)
    return _FP32 * sum(one.numel() for one in model.parameters())


def study_needs(study: Study) -> MemoryNeeds:
    """Of the hungriest worker that a trial of the study, or its base, can have.

    Errors: DataError if the architecture cannot be opened.
    """
    given, config = study.resources.memory_per_worker, reader_architecture(study.settings)
    weights, states, pairs = _reader_bytes(config), *_kept_of_a_token(study, config)
    copies = weights * (4 + _may_distil(study) + (study.resources.workers > 1))
    tokens = _tokens_of_a_worker(study)
    number = _FP32 if study.settings.training.precision == "fp32" else _BF16
    checkpoint = weights * (3 + _may_distil(study))
    host = _PROCESS + copies + checkpoint + _FP32 * tokens * (states + pairs)
    return MemoryNeeds(
        host=host if given == "auto" else int(given * GIB),
        gpu=_CUDA + copies + weights + number * tokens * states,
    )


def disk_needs(study: Study, at_once: int) -> DiskNeeds:
    """With the registered model, which MLflow keeps below the storage unless it has a server.

    Errors: DataError if the architecture cannot be opened.
    """
    weights = _reader_bytes(reader_architecture(study.settings))
    state = weights * (2 + _may_distil(study))
    running = at_once * (3 * weights + 2 * state)  # best, last, and the one that is being written
    base, again = study.settings.base, study.search.confirm
    readers = study.search.keep + (base is not None and base.corpus is not None)
    fresh = again.top * again.seeds if again else 0
    return DiskNeeds(
        most=(readers + fresh) * weights + max(running, weights), kept=(readers + 1) * weights
    )


def check_disk(needs: DiskNeeds, storage: Path, begun: Path | None) -> int:
    """Bytes that are free, those that a study which is resumed has taken already among them.

    Errors: ResourceError if the study cannot fit.
    """
    place = next(one for one in [storage, *storage.parents] if one.exists())
    files = begun.rglob("*") if begun else ()
    free = disk_usage(place).free + sum(one.lstat().st_size for one in files if one.is_file())
    if needs.most > free:
        raise ResourceError(
            f"storage: the study must fit, at most {in_gib(needs.most)} at a time, but "
            f"{storage} has {in_gib(free)} left; search.keep, search.confirm and "
            "resources say how much is kept"
        )
    return free


def in_gib(size: float) -> str:
    """`1.9 GiB`."""
    return f"{size / GIB:.1f} GiB"


def _kept_of_a_token(study: Study, config: PretrainedConfig) -> tuple[int, int]:
    """Numbers that all layers keep of each token of a micro-batch; of its attention to the rest."""
    inner = getattr(config, "intermediate_size", 4 * config.hidden_size)
    states = _OF_LAYER * config.hidden_size + _OF_FEED_FORWARD * inner
    pairs = _OF_ATTENTION * config.num_attention_heads * max(reach(study, "data.max_length"))
    return config.num_hidden_layers * states, int(config.num_hidden_layers * pairs)


def _tokens_of_a_worker(study: Study) -> int:
    """Of its largest micro-batch, padding included."""
    length, workers = max(reach(study, "data.max_length")), study.resources.workers
    sizes, base = list(reach(study, "training.batch_size")), study.settings.base
    if base is not None and base.corpus is not None:
        sizes.append(base.batch_size)
    whole: int = -(-max(sizes) // workers) * length
    limits = reach(study, "training.max_tokens")
    return whole if None in limits else max(length, min(whole, max(limits)))


def _may_distil(study: Study) -> bool:
    """Whether any trial has a teacher beside the student."""
    if study.settings.objective.section("distill") is None:
        return False
    return any(value != 0 for value in reach(study, "objective.distill.coefficient"))
