"""Training, in pure torch. In: a reader, windows, an objective. Out: an `Evaluation` now and then.

`validate` and `report` are plain callables; who listens (Ray Train, Ray Tune, a list) is not known
here.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from transformers import get_linear_schedule_with_warmup

from xmrc.data.batches import epoch_batches, micro_batches, shard
from xmrc.data.examples import LanguagePair
from xmrc.data.features import Batch
from xmrc.errors import XmrcError
from xmrc.learning.distributed import sum_over_workers
from xmrc.learning.memory import halved, looking_at_memory
from xmrc.learning.step import GradientStep, Worker, Wrap, random_state, set_random_state
from xmrc.learning.terms.objective import Objective
from xmrc.settings import TrainingSettings


class DivergedError(XmrcError):
    """The loss is no longer a number: this setting cannot be trained."""


@dataclass(frozen=True)
class Evaluation:
    """The reader as it stands after `step` optimiser steps.

    `state` is what going on needs beside the reader: the live tensors, to be copied before
    training goes on.
    """

    number: int  # 1 for the first evaluation of the run
    step: int
    epoch: float
    metrics: dict[str, float]
    coefficient_by_pair: dict[LanguagePair, float]  # c_kl, where it comes from the teacher
    state: dict[str, Any]


class _TrainingWindows(Protocol):
    """Windows to train on."""

    def __len__(self) -> int:
        """How many there are."""

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each window."""

    def batch(self, rows: np.ndarray) -> Batch:
        """These windows as tensors."""


_Validate = Callable[[nn.Module], dict[str, float]]
_Report = Callable[[Evaluation], None]
_Attend = Callable[[bool], None]


class Training:
    """One reader on its way through its epochs; `fit` runs it, `restore` puts it back on its way.

    `model` is the reader; `wrap` goes around all that is trained, where there are several workers.
    """

    def __init__(
        self,
        model: nn.Module,
        wrap: Wrap,
        windows: _TrainingWindows,
        objective: Objective,
        settings: TrainingSettings,
        *,
        evaluate_every: float,
        worker: Worker,
    ) -> None:
        self.model, self.windows, self.objective = model, windows, objective
        self.settings, self.worker, self.max_tokens = settings, worker, settings.max_tokens
        self.gradient = GradientStep(model, wrap, objective, worker, settings.precision)
        self.steps_per_epoch = math.ceil(len(windows) / settings.batch_size)
        self.steps = self.steps_per_epoch * settings.epochs
        self.evaluation_steps = evaluation_steps(
            self.steps_per_epoch, settings.epochs, evaluate_every
        )
        self.optimiser = torch.optim.AdamW(
            [*_parameter_groups(model, settings.weight_decay), *objective.parameter_groups()],
            lr=settings.learning_rate,
        )
        self.schedule = get_linear_schedule_with_warmup(
            self.optimiser, math.ceil(settings.warmup * self.steps), self.steps
        )
        self.step = 0
        self._order_epoch, self._order = -1, list[np.ndarray]()

    def fit(
        self, validate: _Validate, report: _Report, attend: _Attend = lambda wait: None
    ) -> None:
        """Train from where it stands to the last step; evaluate and report on the way.

        `attend` is called after every step, with whether the reader is to be evaluated next: what
        was reported before must be over by then. Errors: DivergedError when the loss is not finite
        at an evaluation.
        """
        self._seed_noise()
        sums: dict[str, Tensor] = {}
        since = self.step
        while self.step < self.steps:
            shares = self.gradient_step()
            for name, value in shares.items():
                sums[name] = sums.get(name, 0) + value
            evaluates = self.step in self.evaluation_steps
            attend(evaluates)
            if evaluates:
                learned = {**self._means(sums, self.step - since), **self._learned()}
                report(self._evaluation({**learned, **validate(self.model)}))
                sums, since = {}, self.step
                self._seed_noise()

    def restore(self, state: dict[str, Any]) -> None:
        """Stand again where `Evaluation.state` was taken; the reader has its weights of then."""
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.objective.restore(self.model, state["objective"])
        self.step, self.max_tokens = state["step"], state["max_tokens"]

    def gradient_step(self) -> dict[str, Tensor]:
        """One step; this worker's shares of all parts of its loss.

        Where memory runs out, the same step again in micro-batches of half the tokens. Errors:
        MemoryExceededError if one window does not fit, or if there are other workers: they wait
        in the middle of the step, which all have to begin anew.
        """
        if self.step % self.steps_per_epoch == 0:
            self.objective.start_epoch(self.model)
        noise = random_state(self.worker.device)
        while True:
            batches, window_count, divided = self.begin_step()
            with looking_at_memory() as memory:
                shares = self.gradient.run(batches, window_count, divided=divided)
            if not memory.ran_out:
                self.end_step()
                return shares
            self.max_tokens = halved(batches, self.worker)
            self.objective.repeat_step()
            set_random_state(noise, self.worker.device)

    def begin_step(self) -> tuple[list[Batch], int, bool]:
        """This worker's micro-batches, the windows of all, whether any worker has several."""
        epoch, position = divmod(self.step, self.steps_per_epoch)
        rows = self._batches_of(epoch)[position]
        pieces = [self._pieces(rows, rank) for rank in range(self.worker.world_size)]
        mine = pieces[self.worker.rank]
        batches = [self.windows.batch(piece).to(self.worker.device) for piece in mine]
        self.optimiser.zero_grad(set_to_none=True)
        return batches, len(rows), any(len(of_worker) > 1 for of_worker in pieces)

    def end_step(self) -> None:
        """The optimiser takes the gradient."""
        if self.settings.clip is not None:
            nn.utils.clip_grad_norm_(self.gradient.module.parameters(), self.settings.clip)
        self.optimiser.step()
        self.schedule.step()
        self.step += 1

    def _batches_of(self, epoch: int) -> list[np.ndarray]:
        if self._order_epoch != epoch:
            self._order_epoch = epoch
            self._order = epoch_batches(
                self.windows.lengths,
                self.settings.batch_size,
                seed=self.settings.seed,
                epoch=epoch,
            )
        return self._order

    def _pieces(self, rows: np.ndarray, rank: int) -> list[np.ndarray]:
        """The micro-batches of one worker, as rows."""
        share = shard(rows, rank, self.worker.world_size)
        if self.max_tokens is None:
            return [share]
        return micro_batches(share, self.windows.lengths, self.max_tokens)

    def _learned(self) -> dict[str, float]:
        """What the terms have learned; and the micro-batch's tokens, where memory ran out."""
        found = self.objective.metrics()
        if self.max_tokens not in (None, self.settings.max_tokens):
            found["max_tokens"] = float(self.max_tokens)
        return found

    def _means(self, sums: dict[str, Tensor], steps: int) -> dict[str, float]:
        means = {name: float(sum_over_workers(sums[name])) / steps for name in sorted(sums)}
        if not math.isfinite(means["loss"]):
            raise DivergedError(
                f"the loss must be finite, got {means['loss']} after {self.step} steps"
            )
        return means

    def _evaluation(self, metrics: dict[str, float]) -> Evaluation:
        return Evaluation(
            number=self.evaluation_steps.index(self.step) + 1,
            step=self.step,
            epoch=self.step / self.steps_per_epoch,
            metrics=metrics,
            coefficient_by_pair=self.objective.metrics_by_pair(),
            state={
                "optimiser": self.optimiser.state_dict(),
                "schedule": self.schedule.state_dict(),
                "objective": self.objective.state(),
                "step": self.step,
                "max_tokens": self.max_tokens,
            },
        )

    def _seed_noise(self) -> None:
        """Dropout's noise follows from seed, step and rank, so a resumed run draws the same."""
        noise = np.random.SeedSequence((self.settings.seed, self.step, self.worker.rank))
        torch.manual_seed(int(noise.generate_state(1)[0]))


def evaluation_steps(steps_per_epoch: int, epochs: int, evaluate_every: float) -> list[int]:
    """The steps after which to evaluate: every `evaluate_every` epochs, and after the last."""
    count = math.floor(epochs / evaluate_every + 1e-9)
    steps = {max(1, round(k * evaluate_every * steps_per_epoch)) for k in range(1, count + 1)}
    return sorted(steps | {steps_per_epoch * epochs})


def _parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Biases and norms do not decay, everything else does."""
    decaying = [weight for weight in model.parameters() if weight.ndim > 1]
    still = [weight for weight in model.parameters() if weight.ndim <= 1]
    return [
        {"params": decaying, "weight_decay": weight_decay},
        {"params": still, "weight_decay": 0.0},
    ]
