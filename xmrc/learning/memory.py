"""Memory that runs out in the middle of a step. In: the step. Out: what it gave, or a smaller step.

A step is the same in micro-batches of any size, so it need not fail for want of memory.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from xmrc.data.features import Batch
from xmrc.errors import XmrcError
from xmrc.learning.step import Worker

_Result = TypeVar("_Result")
_OF_THE_CPU = "DefaultCPUAllocator"  # its failure has no class of its own


class MemoryExceededError(XmrcError):
    """A step does not fit into memory. `max_tokens`: of micro-batches that may; None: none will."""

    def __init__(self, text: str, max_tokens: int | None) -> None:
        super().__init__(text, max_tokens)  # both, so that it can be pickled
        self.text, self.max_tokens = text, max_tokens

    def __str__(self) -> str:
        return self.text


def run_in_memory(work: Callable[[], _Result]) -> _Result | None:
    """What `work` gives; None if memory ran out, and then all that it held is free again."""
    try:
        return work()
    except RuntimeError as error:
        if not _says_memory(error):
            raise
    if torch.cuda.is_available():  # outside of the handler, which holds the tensors of the step
        torch.cuda.empty_cache()
    return None


def halved(batches: Sequence[Batch], worker: Worker) -> int:
    """Half the tokens of the largest of these micro-batches, padding included.

    Errors: MemoryExceededError as in `Training.gradient_step`.
    """
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
