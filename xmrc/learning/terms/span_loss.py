"""What stands for the right answer. In: logits, Z of each window. Out: a loss of each window.

Shapes: B windows, L tokens, Z spans that stand for the answer, the gold one in slot 0.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from xmrc.data.examples import LanguagePair
from xmrc.data.features import Batch
from xmrc.learning.model import MASKED, SpanLogits
from xmrc.learning.terms.term import LossShare, Student, Term, mean_share
from xmrc.settings.fields import Count, Positive, Section, Share
from xmrc.settings.objective import (
    Need,
    ObjectiveSettings,
    add_section,
    add_span_loss,
    spans_over_candidates,
)

_SpanLoss = TypeVar("_SpanLoss", bound="type[SpanLoss]")
_CANDIDATES = "candidates"  # the section that all losses over Z share
_SPAN = "objective.span"
_OF_HARD_LEARNING = ("weights", "gold_floor", "learning_rate")


class CandidateSettings(Section):
    """Z, spans that may stand for the answer, and w, their weights in `hl` [HL/AA-CL, eq. 5]."""

    size: Count = 20
    """Spans of each window, the gold one among them."""
    weights: Literal["slot", "type"] = "slot"
    """One for each rank (slot), or for each kind of span (type)."""
    gold_floor: Share = 0.5
    """The least weight of the gold span."""
    learning_rate: Positive = 1e-3
    """Of the weights: the highest, after warm-up."""


class AnswerSet(NamedTuple):
    """Z of each window, each (B, Z): the gold span, then the base's others by its rank."""

    start_BZ: Tensor  # int64: first token; 0 where the window has fewer spans
    end_BZ: Tensor  # int64: last token
    present_BZ: Tensor  # bool


class SpanLoss(Term):
    """A loss over the spans that stand for the answer; only `losses` must be written.

    It counts 1 - alpha: alpha is the share of the contrast.
    """

    over_candidates: ClassVar[bool] = False  # whether Z is more than the gold span

    def __init__(self, objective: ObjectiveSettings, pairs: Sequence[LanguagePair] = ()) -> None:
        super().__init__(objective, pairs)
        self.candidates: CandidateSettings = objective.section(_CANDIDATES)

    @classmethod
    def weight_in(cls, objective: ObjectiveSettings) -> float:
        """The share that the contrast leaves."""
        return 1 - objective.alpha

    def losses(self, log_prob_BZ: Tensor, answers: AnswerSet) -> Tensor:
        """From log P(z) of each span of Z, (B, Z), absent ones at `MASKED`, to losses (B,)."""
        raise NotImplementedError(f"{type(self).__name__} must say what its loss of a window is")

    def share(self, student: Student, batch: Batch, ahead: Any, window_count: int) -> LossShare:
        """The mean loss of the windows."""
        answers = answer_set(batch, self.candidates.size)
        losses_B = self.losses(span_log_probabilities(student.logits, answers), answers)
        loss = mean_share(losses_B, batch, window_count)
        return LossShare(loss, {"loss_span": loss})


def answer_set(batch: Batch, size: int) -> AnswerSet:
    """The gold span exactly once, and the base's best others: `size` in all, if it found as many.

    A gold span that the base missed takes the last of the `size` places from its spans. In a window
    without its answer the first token is the gold span. Without candidates Z = {gold}.
    """
    gold_start_B1, gold_end_B1 = batch.start_targets_B[:, None], batch.end_targets_B[:, None]
    if batch.candidates_BK2 is None:
        return AnswerSet(gold_start_B1, gold_end_B1, torch.ones_like(gold_start_B1).bool())
    start_BK, end_BK = batch.candidates_BK2[:, :size].unbind(dim=2)
    other_BK = (start_BK >= 0) & ~((start_BK == gold_start_B1) & (end_BK == gold_end_B1))
    order_BK = other_BK.byte().sort(dim=1, descending=True, stable=True).indices
    others = (each.masked_fill(~other_BK, 0).gather(1, order_BK) for each in (start_BK, end_BK))
    start_BZ, end_BZ = (
        torch.cat([gold_B1, rest_BK], dim=1)[:, :size]
        for gold_B1, rest_BK in zip((gold_start_B1, gold_end_B1), others, strict=True)
    )
    present_BZ = F.pad(other_BK.gather(1, order_BK), (1, 0), value=True)[:, :size]
    return AnswerSet(start_BZ, end_BZ, present_BZ)


def span_log_probabilities(logits: SpanLogits, answers: AnswerSet) -> Tensor:
    """log P(z) = log softmax(s)[first token] + log softmax(e)[last token], of shape (B, Z).

    The softmax is over all non-padding tokens. Where there is no span, `MASKED`.
    """
    start_BZ = torch.log_softmax(logits.start_BL, dim=-1).gather(1, answers.start_BZ)
    end_BZ = torch.log_softmax(logits.end_BL, dim=-1).gather(1, answers.end_BZ)
    return (start_BZ + end_BZ).masked_fill(~answers.present_BZ, MASKED)


def register_span_loss(
    name: str, section: type[Section] | None = None
) -> Callable[[_SpanLoss], _SpanLoss]:
    """Make a span loss known as `objective.span: name`; `section`, if any, is `objective.name`.

    One of one's own, in a file that a study names under `plugins`:

        class FocalSettings(Section):
            gamma: float = 2.0

        @register_span_loss("focal", FocalSettings)
        class Focal(SpanLoss):
            ...
    """

    def register(loss: _SpanLoss) -> _SpanLoss:
        add_span_loss(name, loss)
        if section is not None:
            loss.section = name
            need = Need((f"objective.{name}",), _SPAN, lambda span: span == name, name)
            add_section(name, section, section(), [need])
        return loss

    return register


add_section(
    _CANDIDATES,
    CandidateSettings,
    CandidateSettings(),
    [
        Need(
            (f"objective.{_CANDIDATES}",),
            _SPAN,
            lambda span: span in spans_over_candidates(),
            "one over candidates, as mml, hard_em and hl are",
        ),
        Need(
            tuple(
                f"objective.{_CANDIDATES}.{key}"
                for key in ("weights", "gold_floor", "learning_rate")
            ),
            _SPAN,
            lambda span: span == "hl",
            "hl",
        ),
    ],
)
