"""Training written out: windows one by one, AdamW by hand. In: a reader, a setting. Out: losses.

What `xmrc.learning.loop` is compared with. Nothing is padded, batched, divided or wrapped; the
reader is trained in place, in float64, without dropout.
"""

import copy
import math
from collections.abc import Iterator

import plain_method
import torch
import torch.nn.functional as F
from tiny_training import Setting
from torch import Tensor, nn

from xmrc.data.batches import epoch_batches
from xmrc.data.features import Windows
from xmrc.learning.terms import DistillSettings
from xmrc.settings import TrainingSettings

BETAS, EPSILON = (0.9, 0.999), 1e-8  # of AdamW (Loshchilov and Hutter 2019)


def train_plainly(reader: nn.Module, windows: Windows, setting: Setting) -> list[dict[str, float]]:
    """Every part of the loss, step by step, and c_kl of each pair of languages where it varies."""
    steps = list(_batches(windows, setting.training))
    weights = list(reader.parameters())
    first, second = ([torch.zeros_like(weight) for weight in weights] for _ in range(2))
    history, teacher = [], reader
    for step, (new_epoch, rows) in enumerate(steps):
        if new_epoch:
            teacher = copy.deepcopy(reader)
        reader.zero_grad()
        parts = _loss(reader, teacher, windows, rows, setting.objective.distill)
        parts["loss"].backward()
        row = {name: value.item() for name, value in parts.items()}
        history.append(row | _by_pair(teacher, windows, rows, setting.objective.distill))
        rate = _learning_rate(step, len(steps), setting.training)
        _clip(weights, setting.training.clip)
        for weight, mean, square in zip(weights, first, second, strict=True):
            _adamw(weight, mean, square, step + 1, rate, setting.training.weight_decay)
    return history


def _batches(windows: Windows, settings: TrainingSettings) -> Iterator[tuple[bool, list[int]]]:
    for epoch in range(settings.epochs):
        batches = epoch_batches(
            windows.lengths, settings.batch_size, seed=settings.seed, epoch=epoch
        )
        for position, rows in enumerate(batches):
            yield position == 0, rows.tolist()


def _loss(
    reader: nn.Module,
    teacher: nn.Module,
    windows: Windows,
    rows: list[int],
    distill: DistillSettings | None,
) -> dict[str, Tensor]:
    """L_span + c_kl L_kl, each a mean over the windows of the batch, over start and end."""
    read = [_read(reader, windows, row) for row in rows]
    targets = [(int(windows.start_target[row]), int(windows.end_target[row])) for row in rows]
    log_probabilities = [
        torch.log_softmax(logits, 0)[target]
        for boundaries, golds in zip(read, targets, strict=True)
        for logits, target in zip(boundaries, golds, strict=True)
    ]
    span = -torch.stack(log_probabilities).mean()
    if distill is None:
        return {"loss": span, "loss_span": span}
    with torch.no_grad():
        taught = [_read(teacher, windows, row) for row in rows]
    divergences = [
        (
            _forward_kl(guides[0], learners[0], distill)
            + _forward_kl(guides[1], learners[1], distill)
        )
        / 2
        for guides, learners in zip(taught, read, strict=True)
    ]
    teachers = [(starts.tolist(), ends.tolist()) for starts, ends in taught]
    c_kl = span.new_tensor(plain_method.coefficients(teachers, targets, distill))
    kl = torch.stack(divergences)
    loss = span + (c_kl * kl).mean()
    return {"loss": loss, "loss_span": span, "loss_kl": kl.mean(), "c_kl": c_kl.mean()}


def _by_pair(
    teacher: nn.Module, windows: Windows, rows: list[int], distill: DistillSettings | None
) -> dict[str, float]:
    """The precision of every window of a pair, by itself, averaged."""
    if distill is None or distill.coefficient != "map":
        return {}
    variant = "first_hit" if distill.variant == "per_example" else distill.variant
    found: dict[str, list[float]] = {}
    for row in rows:
        with torch.no_grad():
            taught = tuple(logits.tolist() for logits in _read(teacher, windows, row))
        golds = int(windows.start_target[row]), int(windows.end_target[row])
        value = plain_method.coefficient([taught], [golds], distill.k, distill.delta, variant)
        example = windows.examples[windows.example[row]]
        name = f"c_kl {example.question_language}-{example.context_language}"
        found.setdefault(name, []).append(value)
    return {name: math.fsum(values) / len(values) for name, values in found.items()}


def _read(reader: nn.Module, windows: Windows, row: int) -> tuple[Tensor, Tensor]:
    """Start and end logits of one window's tokens."""
    batch = windows.batch(torch.tensor([row]).numpy())
    output = reader(input_ids=batch.input_ids_BL, token_type_ids=batch.token_type_ids_BL)
    return output.start_logits[0], output.end_logits[0]


def _forward_kl(teacher_L: Tensor, student_L: Tensor, distill: DistillSettings) -> Tensor:
    log_teacher_L = torch.log_softmax(teacher_L / distill.temperature, 0)
    log_student_L = torch.log_softmax(student_L / distill.temperature, 0)
    kl = F.kl_div(log_student_L, log_teacher_L, reduction="sum", log_target=True)
    return distill.temperature**2 * kl


def _learning_rate(step: int, steps: int, settings: TrainingSettings) -> float:
    """Linear from 0 to the highest, then linear to 0 after the last step."""
    warm = math.ceil(settings.warmup * steps)
    share = step / warm if step < warm else (steps - step) / (steps - warm)
    return settings.learning_rate * share


def _clip(weights: list[nn.Parameter], highest: float | None) -> None:
    norm = math.sqrt(sum(float(weight.grad.square().sum()) for weight in weights))
    if highest is not None and norm > highest:
        for weight in weights:
            weight.grad *= highest / (norm + 1e-6)


@torch.no_grad()
def _adamw(
    weight: nn.Parameter, mean: Tensor, square: Tensor, step: int, rate: float, decay: float
) -> None:
    """One update in place; only matrices decay: biases and norms are vectors."""
    gradient = weight.grad
    mean.copy_(BETAS[0] * mean + (1 - BETAS[0]) * gradient)
    square.copy_(BETAS[1] * square + (1 - BETAS[1]) * gradient**2)
    moved = (mean / (1 - BETAS[0] ** step)) / ((square / (1 - BETAS[1] ** step)).sqrt() + EPSILON)
    weight.copy_(weight * (1 - rate * decay * (weight.ndim == 2)) - rate * moved)
