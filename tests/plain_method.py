"""The method written out, one window and one position at a time. In: lists of floats. Out: floats.

Slow and obvious, from the equations of Carrino et al. 2023 (arXiv 2309.17134); what the tests of
learning compare with. Logits are those of a window's tokens alone: nothing here knows of padding.
"""

import math
from collections.abc import Sequence

from xmrc.learning.terms import DistillSettings

Logits = Sequence[float]
Span = tuple[int, int]  # first and last token


def log_softmax(logits: Logits) -> list[float]:
    """Log-probabilities."""
    highest = max(logits)
    log_total = highest + math.log(math.fsum(math.exp(logit - highest) for logit in logits))
    return [logit - log_total for logit in logits]


def cross_entropy(starts: Logits, ends: Logits, start_target: int, end_target: int) -> float:
    """Mean over start and end of minus the log-probability of the target."""
    return -(log_softmax(starts)[start_target] + log_softmax(ends)[end_target]) / 2


def answer_set(gold: Span, ranked: Sequence[Span], size: int) -> list[Span]:
    """Z: the gold span once, then the base's others by rank; a missed gold takes the last place."""
    others = [span for span in ranked[:size] if span != gold]
    return [gold, *others][:size]


def span_loss(name: str, starts: Logits, ends: Logits, z: list[Span], w: list[float]) -> float:
    """Chen et al. 2022, equations 4 and 5, from P(z) = P(first token) P(last token)."""
    start_prob, end_prob = ([math.exp(each) for each in log_softmax(of)] for of in (starts, ends))
    probs = [start_prob[first] * end_prob[last] for first, last in z]
    total = {
        "ce": math.log(probs[0]),
        "mml": math.log(math.fsum(probs)),
        "hard_em": math.log(max(probs)),
        "hl": math.fsum(weight * math.log(prob) for weight, prob in zip(w, probs, strict=True)),
        "none": 0.0,
    }
    return -total[name] / 2


def span_weights(kind: str, theta: Sequence[float], z: list[Span], floor: float) -> list[float]:
    """w = floor [gold] + (1 - floor) softmax(theta), a theta for each slot of Z or kind of span."""
    gold_start, gold_end = z[0]
    if kind == "slot":
        groups = [[slot] for slot in range(len(z))]
    else:
        wrong = [(start != gold_start) + (end != gold_end) for start, end in z]
        groups = [[slot for slot in range(len(z)) if wrong[slot] == each] for each in range(3)]
    total = math.fsum(math.exp(theta[n]) for n, group in enumerate(groups) if group)
    weights = [floor if slot == 0 else 0.0 for slot in range(len(z))]
    for number, group in enumerate(groups):
        for slot in group:
            weights[slot] += (1 - floor) * math.exp(theta[number]) / total / len(group)
    return weights


def divergence(teacher: Logits, student: Logits, temperature: float, kind: str) -> float:
    """T^2 times the divergence of the tempered distributions of one kind of boundary."""
    tempered_teacher = log_softmax([logit / temperature for logit in teacher])
    tempered_student = log_softmax([logit / temperature for logit in student])
    forward = _kl(tempered_teacher, tempered_student)
    reverse = _kl(tempered_student, tempered_teacher)
    chosen = {"forward": forward, "reverse": reverse, "symmetric": forward + reverse}[kind]
    return temperature**2 * chosen


def precision(logits: Logits, target: int, k: int, delta: int, variant: str) -> float:
    """How well the k highest logits hit [target - delta, target + delta)."""
    ranked = sorted(range(len(logits)), key=lambda position: (-logits[position], position))[:k]
    hits, total = 0, 0.0
    for rank, position in enumerate(ranked, 1):
        if target - delta <= position < target + delta:
            hits += 1
            if variant == "first_hit":
                return 1 / rank
            total += hits / rank
    return total / (2 * delta)


def coefficient(
    teachers: Sequence[tuple[Logits, Logits]],
    targets: Sequence[tuple[int, int]],
    k: int,
    delta: int,
    variant: str,
) -> float:
    """The precision of start and of end, averaged over both and over the windows of a batch."""
    values = [
        precision(logits, target, k, delta, variant)
        for window, golds in zip(teachers, targets, strict=True)
        for logits, target in zip(window, golds, strict=True)
    ]
    return math.fsum(values) / len(values)


def coefficients(
    teachers: Sequence[tuple[Logits, Logits]],
    targets: Sequence[tuple[int, int]],
    distill: DistillSettings,
) -> list[float]:
    """What each window's divergence is multiplied with."""
    if distill.coefficient != "map":
        return [distill.coefficient] * len(teachers)
    k, delta = distill.k, distill.delta
    if distill.variant == "per_example":  # a batch of its own
        pairs = zip(teachers, targets, strict=True)
        return [coefficient([window], [golds], k, delta, "first_hit") for window, golds in pairs]
    return [coefficient(teachers, targets, k, delta, distill.variant)] * len(teachers)


def _kl(p: Sequence[float], q: Sequence[float]) -> float:
    return math.fsum(math.exp(log_p) * (log_p - log_q) for log_p, log_q in zip(p, q, strict=True))
