"""One optimisation batch becomes a gradient. In: this worker's micro-batches. Out: loss shares.

However a batch is divided into workers and micro-batches, its gradient is that of the whole.
Shapes: B windows, L tokens, D hidden size.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from xmrc.data.features import Batch
from xmrc.learning.model import SpanLogits, autocast, logits_and_states, span_logits
from xmrc.learning.terms.objective import Objective
from xmrc.learning.terms.term import Student

Wrap = Callable[[nn.Module], nn.Module]
_LossParts = dict[str, Tensor]  # name to a scalar; `loss` is what is differentiated


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
        self.reader, self.objective = reader, objective.to(next(reader.parameters()))

    def forward(self, **inputs: Tensor) -> Any:
        """What the reader says."""
        return self.reader(**inputs)


class GradientStep:
    """Runs student and objective over a batch; leaves the gradient of its loss in `module`.

    `wrap` prepares the module for the number of workers (nothing, or DDP around it).
    """

    def __init__(
        self, reader: nn.Module, wrap: Wrap, objective: Objective, worker: Worker, precision: str
    ) -> None:
        self.module = _TrainingModule(reader, objective)
        self._wrapped = wrap(self.module)
        self._objective, self._worker, self._precision = objective, worker, precision

    def run(self, batches: Sequence[Batch], window_count: int, *, divided: bool) -> _LossParts:
        """This worker's shares of all parts of the loss over `window_count` windows.

        `divided`: whether any worker has more than one micro-batch; the same on all of them.
        """
        self._wrapped.train()
        whole = _WholeBatch(batches, window_count, divided, self.student, self.read, self._worker)
        aheads = [term.look_ahead(whole) for _, term in self._objective]
        sums: _LossParts = {}
        for number, batch in enumerate(batches):
            with self._communication(last=number + 1 == len(batches)):
                student = whole.student_with_gradient(number)
                losses, parts = list[Tensor](), _LossParts()
                for (weight, term), ahead in zip(self._objective, aheads, strict=True):
                    share = term.share(student, batch, ahead[number], window_count)
                    losses.append(weight * share.loss)
                    parts.update(share.parts)
                parts["loss"] = sum(losses[1:], losses[0])
                # DDP takes the mean over workers; our parts are shares of a sum
                (parts["loss"] * self._worker.world_size).backward()
            for name, value in parts.items():
                sums[name] = sums.get(name, 0) + value.detach()
        return sums

    def student(self, batch: Batch, *, wrapped: bool) -> Student:
        """What the student says of a micro-batch; `wrapped`: its gradient is shared."""
        module = self._wrapped if wrapped else self.module
        with self._mixed():
            if not self._objective.reads_states:
                return Student(span_logits(module, batch))
            return Student(*logits_and_states(module, batch))

    def read(self, reader: nn.Module, batch: Batch) -> SpanLogits:
        """What another reader says of a micro-batch."""
        with self._mixed():
            return span_logits(reader, batch)

    def _mixed(self) -> torch.autocast:
        # a new one each time: what it has cast without a gradient must not be used again
        return autocast(self._worker.device, self._precision)

    def _communication(self, *, last: bool) -> contextlib.AbstractContextManager[Any]:
        """Gradients travel between workers once a step, with the last micro-batch."""
        if last or not isinstance(self._wrapped, nn.parallel.DistributedDataParallel):
            return contextlib.nullcontext()
        return self._wrapped.no_sync()


class _WholeBatch:
    """One worker's micro-batches; runs the student on each once, or twice where it must.

    A term may look at the student before any gradient. The only micro-batch of every worker is run
    with its graph then, which is kept; of several each is run again, with the same noise.
    """

    def __init__(
        self,
        batches: Sequence[Batch],
        window_count: int,
        divided: bool,
        student: Callable[..., Student],
        read: Callable[[nn.Module, Batch], SpanLogits],
        worker: Worker,
    ) -> None:
        self.batches, self.window_count, self.read = batches, window_count, read
        self._divided, self._run, self._device = divided, student, worker.device
        self._seen: dict[int, Student] = {}
        self._noise: dict[int, list[Tensor]] = {}  # the random state before a first look

    def student(self, number: int) -> Student:
        """What the student, as it is, says of the micro-batch of this number."""
        if number not in self._seen:
            self._seen[number] = self._first_look(self.batches[number], number)
        return self._seen[number]

    def student_with_gradient(self, number: int) -> Student:
        """The same, with the graph that a gradient runs through; it is not kept any longer."""
        seen = self._seen.pop(number, None)
        if seen is not None and not self._divided:
            return seen
        if number in self._noise:
            set_random_state(self._noise[number], self._device)
        return self._run(self.batches[number], wrapped=True)

    def _first_look(self, batch: Batch, number: int) -> Student:
        if not self._divided:
            return self._run(batch, wrapped=True)
        self._noise[number] = random_state(self._device)
        with torch.no_grad():
            return self._run(batch, wrapped=False)


def random_state(device: torch.device) -> list[Tensor]:
    """Of the generators that noise on a device is drawn from; reads nothing off the device."""
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def set_random_state(states: Sequence[Tensor], device: torch.device) -> None:
    """Draw again what was drawn after `random_state`."""
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)
