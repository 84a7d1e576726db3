"""Sums and lists over the workers of one training. In: one worker's part. Out: everybody's.

Where `torch.distributed` is not initialised there is one worker, and the part is the whole.
"""

from typing import Any

import torch.distributed as dist
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


def gather_from_workers(value: Any) -> list[Any]:
    """Every worker's object, in the order of their ranks, on every worker."""
    if _alone():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values
