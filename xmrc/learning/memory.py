"""Memory that runs out in the middle of a step. In: the step. Out: whether it did, a smaller step.

A step is the same in micro-batches of any size, so it need not fail for want of memory.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from xmrc.data.features import Batch
from xmrc.errors import XmrcError
from xmrc.learning.step import Worker

_OF_THE_CPU = "DefaultCPUAllocator"  # its failure has no class of its own


class MemoryExceededError(XmrcError):
    """A step does not fit into memory. `max_tokens`: of micro-batches that may; None: none will."""

    def __init__(self, text: str, max_tokens: int | None) -> None:
        super().__init__(text, max_tokens)  # both, so that it can be pickled
        self.text, self.max_tokens = text, max_tokens

    def __str__(self) -> str:
        return self.text


@dataclass
class _Memory:
    """What became of a block."""

    ran_out: bool = False


@contextmanager
def looking_at_memory() -> Iterator[_Memory]:
    """Say of the block that memory ran out in it, in place of the error."""
    memory = _Memory()
    try:
        yield memory
    except RuntimeError as error:
        if not _says_memory(error):
            raise
        memory.ran_out = True


def halved(batches: Sequence[Batch], worker: Worker) -> int:
    """Half the tokens of the largest of these micro-batches, padding included.

    What the step has held on the GPU is given back. Errors: MemoryExceededError as in
    `Training.gradient_step`.
    """
    if worker.device.type == "cuda":
        torch.cuda.empty_cache()
    largest = max(batches, key=lambda batch: batch.input_ids_BL.numel())
    tokens, windows = largest.input_ids_BL.numel(), len(largest)
    if windows == 1:
        text = f"memory: one window of {tokens} tokens must fit (data.max_length), and it does not"
        raise MemoryExceededError(text, None)
    if worker.world_size > 1:
        text = f"memory: a micro-batch of {tokens} tokens must fit on worker {worker.rank}"
        raise MemoryExceededError(text, tokens // 2)
    return tokens // 2


def _says_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or _OF_THE_CPU in str(error)
