"""Sums, rows and lists of all workers of one training. In: one worker's part. Out: everybody's.

Where `torch.distributed` is not initialised there is one worker, and the part is the whole.
"""

from typing import Any

import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor


def _alone() -> bool:
    return not (dist.is_available() and dist.is_initialized())


def sum_over_workers(value: Tensor) -> Tensor:
    """Sum a tensor over all workers, without a synchronising read."""
    if _alone():
        return value
    total = value.clone()
    dist.all_reduce(total)
    return total


def gather_rows(rows: Tensor, most: int) -> tuple[Tensor, slice]:
    """Every worker's rows in the order of the ranks, and which of them are this worker's.

    Without a synchronising read, so `most` must be given: as many rows as any worker has. Workers
    with fewer add rows of zeros.
    """
    if _alone():
        return rows, slice(0, len(rows))
    padding = (0, 0) * (rows.ndim - 1) + (0, most - len(rows))
    everyone = rows.new_empty((dist.get_world_size() * most, *rows.shape[1:]))
    dist.all_gather_into_tensor(everyone, F.pad(rows, padding))
    first = dist.get_rank() * most
    return everyone, slice(first, first + len(rows))


def worker_count() -> int:
    """How many workers share the training."""
    return 1 if _alone() else dist.get_world_size()


def gather_from_workers(value: Any) -> list[Any]:
    """Every worker's object, in the order of their ranks, on every worker."""
    if _alone():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values
