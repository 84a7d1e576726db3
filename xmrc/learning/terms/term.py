"""What a term of the loss is. In: the student on the micro-batches of a batch. Out: a share each.

A new span loss or term is one class with one registration, its settings beside it; it may stand in
a file outside the package (`plugins` of a study file). Settings, `--plan`, the settings reference
and the contract tests read what is registered.

Every mean is over the windows of the whole optimisation batch, however it is divided into workers
and micro-batches, so a share is the sum over a micro-batch divided by the global count.
Shapes: B windows, L tokens, D hidden size.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xmrc.data.examples import LanguagePair
from xmrc.data.features import Batch
from xmrc.learning.model import SpanLogits
from xmrc.settings.fields import Section
from xmrc.settings.objective import Need, ObjectiveSettings, add_section, add_term, optional

_Term = TypeVar("_Term", bound="type[Term]")


class Student:
    """What the student says of one micro-batch: logits, and the states where a term reads them."""

    def __init__(self, logits: SpanLogits, hidden_BLD: Tensor | None = None) -> None:
        self.logits, self.hidden_BLD = logits, hidden_BLD

    @cached_property
    def sums_BLD(self) -> Tensor:
        """Sums of the states before each position, (B, L + 1, D), in float32, or float64 as they.

        Any span's mean is a difference of two of them: one pass, however many spans there are.
        """
        assert self.hidden_BLD is not None, "a term that reads states says so (`reads_states`)"
        exact = torch.promote_types(self.hidden_BLD.dtype, torch.float32)
        return F.pad(self.hidden_BLD.to(exact).cumsum(dim=1), (0, 0, 1, 0))


class WholeBatch(Protocol):
    """One worker's micro-batches of an optimisation batch, before any gradient."""

    batches: Sequence[Batch]
    window_count: int  # of all workers together

    def student(self, number: int) -> Student:
        """What the student, as it is, says of the micro-batch of this number."""

    def read(self, reader: nn.Module, batch: Batch) -> SpanLogits:
        """What another reader says of a micro-batch, in the precision of the training."""


class LossShare(NamedTuple):
    """A term's part of one micro-batch: what is weighted and summed, and numbers to report."""

    loss: Tensor  # a scalar
    parts: Mapping[str, Tensor]  # scalars whose sums over micro-batches and workers are reported


class Term(nn.Module):
    """One part of the loss. Only `share` must be written; what has parameters trains them.

    `objective` is the section of the study file with that of the term in it; `pairs` are the
    language pairs of the batches, by their codes there. All workers call all methods together.
    """

    section: ClassVar[str] = ""  # below `objective`, as it was registered; empty for none
    reads_states: ClassVar[bool] = False  # whether it needs the encoder's last hidden states
    settings: Any  # what stands in its section

    def __init__(self, objective: ObjectiveSettings, pairs: Sequence[LanguagePair] = ()) -> None:
        super().__init__()
        self.settings = objective.section(self.section) if self.section else None

    @classmethod
    def weight_in(cls, objective: ObjectiveSettings) -> float:
        """What it counts in the objective; a term of weight 0 is not there at all.

        Unless a term says otherwise: `weight` in its section, else 1; 0 where the section is null.
        """
        settings = objective.section(cls.section)
        return 0.0 if settings is None else float(getattr(settings, "weight", 1.0))

    @classmethod
    def check(cls, objective: ObjectiveSettings) -> None:
        """Raise `xmrc.settings.wording.broken` where its settings do not fit the others."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What it learns itself, as groups of an optimiser; without a rate they have the usual."""
        parameters = list(self.parameters())
        return [{"params": parameters, "weight_decay": 0.0}] if parameters else []

    def start_epoch(self, reader: nn.Module) -> None:
        """An epoch begins with the reader (not wrapped) as it is now."""

    def look_ahead(self, whole: WholeBatch) -> Sequence[Any]:
        """See this worker's whole part of the batch before any gradient.

        Gives, for each micro-batch, what `share` needs of the others.
        """
        return [None] * len(whole.batches)

    def share(self, student: Student, batch: Batch, ahead: Any, window_count: int) -> LossShare:
        """This micro-batch's share of the mean over the `window_count` windows of the batch."""
        raise NotImplementedError(f"{type(self).__name__} must say what its share of the loss is")

    def repeat_step(self) -> None:
        """Memory ran out: `look_ahead` and `share` are called for the same batch again."""

    def metrics(self) -> dict[str, float]:
        """What it has learned itself, by name, at an evaluation."""
        return {}

    def metrics_by_pair(self) -> dict[LanguagePair, float]:
        """Its coefficient c_kl of each language pair since last asked, where it has one."""
        return {}

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs beside the reader."""
        return dict(self.state_dict())

    def restore(self, reader: nn.Module, state: dict[str, Any]) -> None:
        """Undo `state`."""
        self.load_state_dict(state)


def mean_share(loss_B: Tensor, batch: Batch, window_count: int) -> Tensor:
    """A micro-batch's share of the mean of `loss_B` over all windows; filler rows are none."""
    return (loss_B * batch.weights_B).sum() / window_count


def register_term(
    name: str,
    section: type[Section],
    *,
    default: Section | None = None,
    needs: Sequence[Need] = (),
) -> Callable[[_Term], _Term]:
    """Make a term known by the section `objective.name`, which is off where it is null or none.

    `default`: the section of a study that does not name it; `needs`: which of its keys change
    nothing, and when. A term of one's own, in a file that a study names under `plugins`:

        class MarginSettings(Section):
            weight: float = 0.1

        @register_term("margin", MarginSettings)
        class Margin(Term):
            ...
    """

    def register(term: _Term) -> _Term:
        term.section = name
        add_term(name, term)
        add_section(name, optional(section), default, needs)
        return term

    return register
