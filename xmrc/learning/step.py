"""One optimisation batch becomes a gradient. In: this worker's micro-batches. Out: loss shares.

However a batch is divided into workers and micro-batches, its gradient is that of the whole.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from xmrc.data.features import Batch
from xmrc.learning.model import SpanLogits, autocast, logits_and_states, span_logits
from xmrc.learning.terms.contrast import Anchors, Contrast, Pull, prefix_sums, span_means
from xmrc.learning.terms.objective import LossParts, Objective

Wrap = Callable[[nn.Module], nn.Module]


@dataclass(frozen=True)
class Worker:
    """This worker among the workers of one training."""

    rank: int = 0
    world_size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


class _TrainingModule(nn.Module):
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


class _Student(NamedTuple):
    """What the student says of one micro-batch, with its graph."""

    logits: SpanLogits
    loss_contrast: Tensor | None  # the micro-batch's share


class _Look(NamedTuple):
    """What is kept of a first look at a micro-batch, without its graph."""

    noise: list[Tensor]  # the random state before it
    anchors: Anchors
    vectors_B3D: Tensor


class GradientStep:
    """Runs student and objective over a batch; leaves the gradient of its loss in `module`.

    `wrap` prepares the module for the number of workers (nothing, or DDP around it).
    """

    def __init__(
        self, reader: nn.Module, wrap: Wrap, objective: Objective, place: Worker, precision: str
    ) -> None:
        self.module = _TrainingModule(reader, objective)
        self._wrapped = wrap(self.module)
        self._objective, self._place, self._precision = objective, place, precision

    def run(self, batches: Sequence[Batch], window_count: int, *, divided: bool) -> LossParts:
        """This worker's shares of all parts of the loss over `window_count` windows.

        `divided`: whether any worker has more than one micro-batch; the same on all of them.
        """
        self._wrapped.train()
        with self._mixed():
            guidances = self._objective.look_ahead(batches, window_count)
        students = self._students(batches, window_count, divided)
        sums: LossParts = {}
        for number, (batch, guidance, student) in enumerate(
            zip(batches, guidances, students, strict=True), 1
        ):
            with self._communication(last=number == len(batches)):
                logits, loss_contrast = student()
                parts = self._objective.parts(logits, batch, guidance, window_count, loss_contrast)
                # DDP takes the mean over workers; our parts are shares of a sum
                (parts["loss"] * self._place.world_size).backward()
            for name, value in parts.items():
                sums[name] = sums.get(name, 0) + value.detach()
        return sums

    def _students(
        self, batches: Sequence[Batch], window_count: int, divided: bool
    ) -> list[Callable[[], _Student]]:
        """Runs the student on each micro-batch when called.

        The contrast needs all windows before any gradient: it has looked at them all by then.
        """
        contrast = self._objective.contrast
        if contrast is None:
            return [partial(self._plain, batch) for batch in batches]
        if not divided:
            return [partial(self._undivided, contrast, batch, window_count) for batch in batches]
        looks = [self._look(contrast, batch) for batch in batches]
        vectors, anchors = [look.vectors_B3D for look in looks], [look.anchors for look in looks]
        pulls = contrast.pulls(vectors, anchors, batches, window_count)
        return [
            partial(self._again, batch, look, pull)
            for batch, look, pull in zip(batches, looks, pulls, strict=True)
        ]

    def _plain(self, batch: Batch) -> _Student:
        with self._mixed():
            return _Student(span_logits(self._wrapped, batch), None)

    def _undivided(self, contrast: Contrast, batch: Batch, window_count: int) -> _Student:
        """The only micro-batch of every worker: its graph is kept while the workers confer."""
        logits, sums_BLD = self._logits_and_sums(self._wrapped, batch)
        anchors = contrast.anchors(sums_BLD, logits, batch)
        vectors_B3D = span_means(sums_BLD, anchors.start_B3, anchors.end_B3)
        (pull,) = contrast.pulls([vectors_B3D], [anchors], [batch], window_count)
        return _Student(logits, pull.share(vectors_B3D))

    @torch.no_grad()
    def _look(self, contrast: Contrast, batch: Batch) -> _Look:
        noise = random_state(self._place.device)
        logits, sums_BLD = self._logits_and_sums(self.module, batch)
        anchors = contrast.anchors(sums_BLD, logits, batch)
        return _Look(noise, anchors, span_means(sums_BLD, anchors.start_B3, anchors.end_B3))

    def _again(self, batch: Batch, look: _Look, pull: Pull) -> _Student:
        """The same as at the first look, with the same noise, now with a graph."""
        set_random_state(look.noise, self._place.device)
        logits, sums_BLD = self._logits_and_sums(self._wrapped, batch)
        vectors_B3D = span_means(sums_BLD, look.anchors.start_B3, look.anchors.end_B3)
        return _Student(logits, pull.share(vectors_B3D))

    def _logits_and_sums(self, module: nn.Module, batch: Batch) -> tuple[SpanLogits, Tensor]:
        with self._mixed():
            logits, hidden_BLD = logits_and_states(module, batch)
        return logits, prefix_sums(hidden_BLD)

    def _mixed(self) -> torch.autocast:
        # a new one each time: what it has cast without a gradient must not be used again
        return autocast(self._place.device, self._precision)

    def _communication(self, *, last: bool) -> contextlib.AbstractContextManager[Any]:
        """Gradients travel between workers once a step, with the last micro-batch."""
        if last or not isinstance(self._wrapped, nn.parallel.DistributedDataParallel):
            return contextlib.nullcontext()
        return self._wrapped.no_sync()


def random_state(device: torch.device) -> list[Tensor]:
    """Of the generators that noise on a device is drawn from; reads nothing off the device."""
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def set_random_state(states: Sequence[Tensor], device: torch.device) -> None:
    """Draw again what was drawn after `random_state`."""
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)
