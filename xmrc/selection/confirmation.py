"""Fresh seeds for the best trials. In: the ledger of a search. Out: contenders, best mean first.

A trial may have been lucky with its seed. So the best few are trained again, as a search of their
own with a ledger of its own (`confirm.json`), and what wins is the best mean over the new seeds.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from xmrc.learning.job import TrainingJob
from xmrc.search.ledger import Ledger, NoTrialError, TrialRecord, check_ended
from xmrc.search.observed import publish_tables
from xmrc.search.phases import CONFIRMATION
from xmrc.search.proposals import GivenPoints, Proposals
from xmrc.search.recorder import Recorder, replay
from xmrc.search.run import Run
from xmrc.search.tuner import open_tuner
from xmrc.selection.contender_tables import contender_rows, differences_table
from xmrc.selection.contenders import (
    SEED,
    Contender,
    distinct,
    rank_contenders,
)
from xmrc.settings import Study
from xmrc.tracking.tracker import Tracker


def confirm(run: Run, job: TrainingJob, ledger: Ledger) -> list[Contender]:
    """Train the best trials again, or go on with that; the contenders, best mean first.

    None where the study asks for no confirmation. Errors: KeyboardInterrupt if Ray Tune was
    interrupted, NoTrialError if no training finished.
    """
    study, asked = run.study, run.study.search.confirm
    if asked is None:
        return []
    best = distinct(ledger.ranking)[: asked.top]
    seeds = fresh_seeds(study, best, asked.seeds)
    run.say(f"confirm: {len(best)} trials with {len(seeds)} fresh seeds each")
    points = [{**one.values, SEED: seed} for one in best for seed in seeds]
    trained = _train(run, job, points)
    publish_tables(run.tracker, run.folder.path, CONFIRMATION.tables)
    for record in trained.trials.values():  # whatever MLflow missed while it was away
        replay(run.tracker, record, CONFIRMATION)
    found = rank_contenders(best, trained.ended)
    if not found:
        raise NoTrialError(
            f"{study.name}: no training with a fresh seed finished: {trained.causes}"
        )
    send_contenders(run.tracker, found, study.search.metric)
    return found


def fresh_seeds(study: Study, best: Sequence[TrialRecord], count: int) -> list[int]:
    """Seeds that follow from `search.seed` and that none of the best was trained with."""
    usual = study.settings.training.seed
    used = {usual, *(record.values.get(SEED, usual) for record in best)}
    random = Random(f"confirm {study.search.seed}")
    drawn = random.sample(range(2**31), count + len(used))
    return [seed for seed in drawn if seed not in used][:count]


def keep_median(run: Run, found: Sequence[Contender]) -> None:
    """Of a confirmation delete all checkpoints but the one that is registered, the winner's."""
    if not found:
        return
    files = run.files(CONFIRMATION)
    ledger = files.open_ledger()
    for record in ledger.ended:
        if record.id != found[0].median.id and record.checkpoint is not None:
            files.of(record.id).discard()
            ledger.discarded(record.id)


def _train(run: Run, job: TrainingJob, points: Sequence[Mapping[str, Any]]) -> Ledger:
    """A ledger of trainings that are all over."""
    files, trials = run.files(CONFIRMATION), len(points)
    ledger = files.open_ledger()
    # whose median is registered is known at the end alone, so all are kept until then
    recorder = Recorder(run, files, ledger, trials=trials, keep=trials)
    proposals = Proposals(files, ledger, GivenPoints(points), trials=trials, room=run.room)
    with open_tuner(run, job, files, proposals, [recorder]) as tuner:
        if proposals.left:
            tuner.fit()
    check_ended(ledger, run.study.name, trials)
    return ledger


def send_contenders(tracker: Tracker, found: Sequence[Contender], metric: str) -> None:
    """Put what the fresh seeds say beside the study's run in MLflow."""
    tracker.log_table(contender_rows(found, metric), "confirmation.csv")
    if len(found) > 1:
        tracker.log_table(differences_table(found, metric), "confirmation_pairs.csv")
    winner = found[0]
    summary = {"mean": winner.mean, "sd": winner.deviation}
    tracker.log_metrics({f"confirmed_{metric}_{name}": value for name, value in summary.items()})
