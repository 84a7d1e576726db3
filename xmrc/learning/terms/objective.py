"""The one objective, a weighted list of terms. In: settings. Out: what is minimised.

L = (1 - alpha) L_span + alpha L_contrast + c_kl L_kl + ...
"""

from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn

from xmrc.data.examples import LanguagePair
from xmrc.learning.terms.term import Term
from xmrc.settings.objective import ObjectiveSettings, span_losses, terms


class Objective(nn.Module):
    """The span loss, and the other terms that the settings give a weight.

    What the terms learn themselves is trained beside the reader. `pairs` are the language pairs of
    the batches, by their codes there.
    """

    def __init__(self, settings: ObjectiveSettings, pairs: Sequence[LanguagePair] = ()) -> None:
        super().__init__()
        span, others = span_losses()[settings.span], terms()
        self.weights = [span.weight_in(settings), *settings.terms_on.values()]
        kinds = {"span": span, **{name: others[name] for name in settings.terms_on}}
        self.terms: dict[str, Term] = {n: kind(settings, pairs) for n, kind in kinds.items()}
        self._trained = nn.ModuleDict(self.terms)  # so that they are parts of this module

    def __iter__(self) -> Iterator[tuple[float, Term]]:
        """The terms with their weights, the span loss first."""
        return zip(self.weights, self.terms.values(), strict=True)

    @property
    def reads_states(self) -> bool:
        """Whether any term needs the encoder's last hidden states."""
        return any(term.reads_states for term in self.terms.values())

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What the terms learn themselves, as groups of an optimiser."""
        return [group for term in self.terms.values() for group in term.parameter_groups()]

    def start_epoch(self, reader: nn.Module) -> None:
        """An epoch begins with the reader as it is."""
        for term in self.terms.values():
            term.start_epoch(reader)

    def repeat_step(self) -> None:
        """A step begins anew."""
        for term in self.terms.values():
            term.repeat_step()

    def metrics(self) -> dict[str, float]:
        """What the terms have learned themselves."""
        return {
            name: value for term in self.terms.values() for name, value in term.metrics().items()
        }

    def metrics_by_pair(self) -> dict[LanguagePair, float]:
        """c_kl of each language pair since last asked; all workers must ask together."""
        return {
            pair: value
            for term in self.terms.values()
            for pair, value in term.metrics_by_pair().items()
        }

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs beside the reader, by the name of the term."""
        return {name: term.state() for name, term in self.terms.items()}

    def restore(self, reader: nn.Module, state: dict[str, Any]) -> None:
        """Undo `state`."""
        for name, term in self.terms.items():
            term.restore(reader, state[name])
