"""One optimisation batch becomes a gradient. In: this worker's micro-batches. Out: loss shares.

However a batch is divided into workers and micro-batches, its gradient is that of the whole.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from xmrc.data.features import Batch
from xmrc.learning.model import autocast, span_logits
from xmrc.learning.objective import LossParts, Objective

Wrap = Callable[[nn.Module], nn.Module]


@dataclass(frozen=True)
class Place:
    """This worker among the workers of one training."""

    rank: int = 0
    world_size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


class TrainingModule(nn.Module):
    """All that is trained: the reader, and what the objective learns itself.

    Called as the reader is; it is what several workers share the gradients of.
    """

    def __init__(self, reader: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.reader, self.span_weights = reader, objective.span_weights
        if self.span_weights is not None:
            self.span_weights.to(next(reader.parameters()))

    def forward(self, **inputs: Tensor) -> Any:
        """What the reader says."""
        return self.reader(**inputs)


class GradientStep:
    """Runs student and objective over a batch; leaves the gradient of its loss in `module`.

    `wrap` prepares the module for the number of workers (nothing, or DDP around it).
    """

    def __init__(
        self, reader: nn.Module, wrap: Wrap, objective: Objective, place: Place, precision: str
    ) -> None:
        self.module = TrainingModule(reader, objective)
        self._wrapped = wrap(self.module)
        self._objective, self._place, self._precision = objective, place, precision

    def run(self, batches: Sequence[Batch], window_count: int) -> LossParts:
        """This worker's shares of all parts of the loss over `window_count` windows."""
        self._wrapped.train()
        mixed = autocast(self._place.device, self._precision)
        with mixed:
            guidances = self._objective.look_ahead(batches, window_count)
        sums: LossParts = {}
        for number, (batch, guidance) in enumerate(zip(batches, guidances, strict=True), 1):
            with self._communication(last=number == len(batches)):
                with mixed:
                    logits = span_logits(self._wrapped, batch)
                parts = self._objective.parts(logits, batch, guidance, window_count)
                # DDP takes the mean over workers; our parts are shares of a sum
                (parts["loss"] * self._place.world_size).backward()
            for name, value in parts.items():
                sums[name] = sums.get(name, 0) + value.detach()
        return sums

    def _communication(self, *, last: bool) -> contextlib.AbstractContextManager[Any]:
        """Gradients travel between workers once a step, with the last micro-batch."""
        if last or not isinstance(self._wrapped, nn.parallel.DistributedDataParallel):
            return contextlib.nullcontext()
        return self._wrapped.no_sync()
