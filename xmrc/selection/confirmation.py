"""Fresh seeds for the best trials. In: the ledger of a search. Out: candidates, best mean first.

A trial may have been lucky with its seed. So the best few are trained again, as a search of their
own with a ledger of its own (`confirm.json`), and what wins is the best mean over the new seeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from ray.tune import TuneConfig

from xmrc.learning.job import TrainingJob
from xmrc.search.checkpoints import TrialFolders
from xmrc.search.ledger import Ledger, TrialRecord
from xmrc.search.observed import publish_tables
from xmrc.search.recorder import CONFIRMATION, Recorder, replay
from xmrc.search.resources import Fit
from xmrc.search.run import Run
from xmrc.search.trials import NoTrialError, ended_ledger
from xmrc.search.tuner import POINT, by_id, run_tuner
from xmrc.selection.candidate_tables import candidate_rows, differences_table
from xmrc.selection.contenders import (
    CONFIRMED,
    SEED,
    Candidate,
    candidates,
    distinct,
)
from xmrc.settings import ConfirmSettings, Study
from xmrc.tracking.tracker import Tracker

_CONFIRM = "confirm"  # the folder of the trainings


@dataclass(frozen=True)
class Points:
    """The trainings of a confirmation, by the number of a trial and a seed."""

    trials: Mapping[int, Mapping[str, Any]]  # values by number
    seeds: Sequence[int]

    def listed(self) -> list[dict[str, int]]:
        """All of them, those of the best trial first."""
        return [{"trial": number, "seed": seed} for number in self.trials for seed in self.seeds]

    def values_of(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The settings, by dotted key, of one training."""
        point = config[POINT]
        return {**self.trials[point["trial"]], SEED: point["seed"]}


def confirm(
    run: Run, job: TrainingJob, ledger: Ledger, settings: ConfirmSettings, fit: Fit
) -> list[Candidate]:
    """Train the best trials again, or go on with that; the candidates, best mean first.

    Errors: KeyboardInterrupt if Ray Tune was interrupted, NoTrialError if no training finished.
    """
    study, path = run.study, run.folder.path / CONFIRMED
    best = distinct(ledger.ranking)[: settings.top]
    seeds = fresh_seeds(study, best, settings.seeds)
    points = Points({record.number: record.values for record in best}, seeds)
    run.say(f"confirm: {len(best)} trials with {len(seeds)} fresh seeds each")
    _train(run, job, points, path, fit)
    confirmed = ended_ledger(path, study, len(points.listed()))
    publish_tables(run.tracker, run.folder.path, CONFIRMATION.prefix)
    for record in confirmed.trials.values():  # whatever MLflow missed while it was away
        replay(run.tracker, record, CONFIRMATION)
    found = candidates(best, confirmed.ended)
    if not found:
        causes = "; ".join(sorted({one.cause for one in confirmed.trials.values()}))
        raise NoTrialError(f"{study.name}: no training with a fresh seed finished: {causes}")
    _publish(run.tracker, found, study.search.metric)
    return found


def fresh_seeds(study: Study, best: Sequence[TrialRecord], count: int) -> list[int]:
    """Seeds that follow from `search.seed` and that none of the best was trained with."""
    usual = study.settings.training.seed
    used = {usual, *(record.values.get(SEED, usual) for record in best)}
    random = Random(f"confirm {study.search.seed}")
    drawn = random.sample(range(2**31), count + len(used))
    return [seed for seed in drawn if seed not in used][:count]


def keep_median(folder: Path, metric: str, winner: Candidate) -> None:
    """Delete the checkpoints of every training but the one that is registered."""
    ledger, folders = Ledger.open(folder / CONFIRMED, metric), TrialFolders(folder, _CONFIRM)
    for record in ledger.ended:
        if record.id != winner.median.id and record.checkpoint is not None:
            folders.discard(record.id)
            ledger.discarded(record.id)


def _train(run: Run, job: TrainingJob, points: Points, ledger: Path, fit: Fit) -> None:
    search, count = run.study.search, len(points.listed())
    recorder = Recorder(
        ledger,
        search.metric,
        points.values_of,
        TrialFolders(run.folder.path, _CONFIRM),
        run.address,
        trials=count,
        at_once=fit.at_once,
        keep=count,  # whose median is registered is known at the end alone
        kind=CONFIRMATION,
    )
    run_tuner(
        lambda config: job.with_values(points.values_of(config)),
        fit.trial,
        run.folder.path,
        _CONFIRM,
        config=TuneConfig(max_concurrent_trials=fit.at_once, trial_dirname_creator=by_id),
        score=search.metric,
        max_failures=search.max_failures,
        callbacks=[recorder],
        points=points.listed(),
    )


def _publish(tracker: Tracker, found: Sequence[Candidate], metric: str) -> None:
    tracker.log_table(candidate_rows(found, metric), "confirmation.csv")
    if len(found) > 1:
        tracker.log_table(differences_table(found, metric), "confirmation_pairs.csv")
    winner = found[0]
    summary = {"mean": winner.mean, "sd": winner.deviation}
    tracker.log_metrics({f"confirmed_{metric}_{name}": value for name, value in summary.items()})
