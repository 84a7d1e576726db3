"""What stops a trial that is behind. In: a study, its ledger. Out: Ray Tune's scheduler.

Ray writes down what trials have done but not what its scheduler has seen of it, so ASHA's rungs
are filled again from the ledger.
"""

import math
from dataclasses import dataclass
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from xmrc.search.ledger import Ledger
from xmrc.search.proposals import TRIAL
from xmrc.settings import Study


@dataclass(frozen=True)
class _Named:
    """A trial by the name that it keeps over a resume."""

    trial_id: str


class RecordedAsha(ASHAScheduler):
    """ASHA that knows trials by their names in the ledger."""

    def refill(self, ledger: Ledger) -> list[str]:
        """See again, in their order, all evaluations that a search had seen before it was killed.

        Gives the trials that were behind at their last one, and which nobody came to stop.
        """
        events = sorted(
            (at, record.number, evaluation, record.id)
            for record in ledger.trials.values()
            for evaluation, at in enumerate(record.reported, 1)
        )
        nobody: Any = None  # Ray's controller, which ASHA does not ask
        trials: dict[str, Any] = {name: _Named(name) for name in ledger.trials}
        for trial in trials.values():
            super().on_trial_add(nobody, trial)
        behind = {}
        for _, _, evaluation, name in events:
            rows = ledger.trials[name].history[:evaluation]
            best = max(row[ledger.metric] for row in rows)
            result = {self._time_attr: evaluation, self._metric: best}
            behind[name] = super().on_trial_result(nobody, trials[name], result) == self.STOP
        return [record.id for record in ledger.unfinished if behind.get(record.id)]

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """A trial begins, or begins again."""
        super().on_trial_add(tune_controller, _named(trial))

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Whether it goes on."""
        return str(super().on_trial_result(tune_controller, _named(trial), result))

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """It has gone its way."""
        super().on_trial_complete(tune_controller, _named(trial), result)

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """It was lost."""
        super().on_trial_remove(tune_controller, _named(trial))


def scheduler_of(study: Study, ledger: Ledger) -> tuple[TrialScheduler, list[str]]:
    """ASHA on our own count of evaluations, or none; and the trials that it stops at once."""
    search, domain = study.search, study.space.get("training.epochs")
    if search.scheduler == "none":
        return FIFOScheduler(), []
    epochs = max([study.settings.training.epochs, *(domain.values if domain else ())])
    evaluations = math.floor(epochs / search.evaluate_every) + 1  # at most
    asha = RecordedAsha(
        time_attr="evaluation",
        metric="best",
        mode="max",
        max_t=evaluations + 1,  # never kill a trial at its last report
        grace_period=min(search.grace, evaluations),  # a shorter trial is never stopped
        reduction_factor=search.reduction_factor,
    )
    return asha, asha.refill(ledger)


def _named(trial: Trial) -> Any:
    return _Named(trial.config[TRIAL])
