"""A study from beginning to end. In: checked settings. Out: the registered reader, an `Outcome`.

prepare (corpora, encoder) -> base -> candidates -> search -> champion. Every step finds what an
earlier, killed run of it has left and goes on from there.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from ray.tune import TuneConfig
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search.optuna import OptunaSearch
from rich.console import Console

from xmrc.data.cache import Cache
from xmrc.errors import ResourceError, XmrcError
from xmrc.learning.job import TrainingJob
from xmrc.scoring.matrix import Scores
from xmrc.search.base import check_given_base, find_start
from xmrc.search.champion import Champion, crown
from xmrc.search.checkpoints import SEARCH, TrialFolders
from xmrc.search.cluster import check_shared, ray_cluster
from xmrc.search.corpora import study_corpora
from xmrc.search.finals import FinalScores, score_finals, titled
from xmrc.search.folder import CHAMPION, START, StudyFolder, latest_folder, new_folder, storage_root
from xmrc.search.ledger import Ledger
from xmrc.search.mining import Mined, find_candidates
from xmrc.search.prepare import Prepared, check_given_encoder, prepare, trial_job
from xmrc.search.progress import clock
from xmrc.search.reading import read_on_cluster, write_reading
from xmrc.search.recorder import Recorder, TrackingAddress, cause_of, replay
from xmrc.search.resources import Fit, cluster_nodes, fit_trials
from xmrc.search.space import SearchSpace, trial_count
from xmrc.search.tuning import by_id, run_tuner
from xmrc.settings import SearchSettings, Study, flat, to_yaml, with_values
from xmrc.tracking.registry import check_name
from xmrc.tracking.tracker import Tracker

SAMPLERS: dict[str, Callable[..., BaseSampler]] = {
    "tpe": TPESampler,
    "random": RandomSampler,
    "grid": RandomSampler,  # has nothing to draw: every point is given
}


class NoTrialError(XmrcError):
    """No trial has reported anything, so there is nothing to choose from."""


@dataclass(frozen=True)
class Outcome:
    """What a study has found."""

    study: Study
    folder: Path
    ledger: Ledger
    start: Scores  # of what the trials start from, on the selection set
    select: str  # its name, and how it overlaps with training
    champion: Champion
    finals: list[FinalScores]
    view: str  # where to look at it in MLflow
    unwritten: list[str]  # what MLflow lacks, after all


@dataclass
class Run:
    """One run of a study and what its steps share."""

    study: Study
    root: Path
    folder: StudyFolder
    tracker: Tracker
    console: Console

    def say(self, text: str) -> None:
        """One line for the user."""
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)


def run_study(study: Study, *, resume: bool, console: Console) -> Outcome:
    """Search, choose and register.

    Errors: XmrcError, before anything is trained wherever that is possible.
    """
    check_name(study.tracking.register_as)
    corpora = study_corpora(study)
    check_given_encoder(study.settings)
    check_given_base(study.settings)
    root = storage_root(study.storage)
    begun = latest_folder(root, study) if resume else None
    with ray_cluster():
        fit = fit_trials(study.resources, cluster_nodes())
        check_begun(begun, fit)
        # Nothing is written before this line; what can refuse the study has done so.
        tracker = Tracker.open(study.tracking.uri, str(root), experiment(study))
        prepared = prepare(study.settings, corpora, Cache(root / "cache"))
        check_shared(root)
        folder = begun or new_folder(root, study)
        folder.remember(at_once=fit.at_once)
        run = Run(study, root, folder, tracker, console)
        begin(run, prepared)
        try:
            return base_search_champion(run, prepared, fit)
        except BaseException as error:
            interrupted = isinstance(error, KeyboardInterrupt)
            tracker.end_study("stopped" if interrupted else "failed", cause_of(error))
            tracker.close()
            raise


def check_begun(folder: StudyFolder | None, fit: Fit) -> None:
    """Refuse to resume where fewer trials fit: Ray Tune starts as many as it did, come what may.

    Errors: ResourceError. Trials of one worker only wait for each other.
    """
    then = folder.state().get("at_once", fit.at_once) if folder else fit.at_once
    if fit.trial.workers > 1 and fit.at_once < then:
        raise ResourceError(
            f"--resume: as many trials must fit as when the study began, {then} at once, "
            f"got {fit.describe()}"
        )


def experiment(study: Study) -> str:
    """The experiment of MLflow that a study's runs belong to."""
    return study.tracking.experiment or study.name


def begin(run: Run, prepared: Prepared) -> None:
    """Open the study's run in MLflow, or go on with it."""
    study, folder = run.study, run.folder
    run_id = run.tracker.start_study(
        study.name,
        flat(study.settings),
        {"xmrc.folder": folder.path, **prepared.content, **prepared.labels},
        folder.state().get("run_id"),
    )
    folder.remember(run_id=run_id)
    run.tracker.log_text(to_yaml(study), "study.yaml")
    run.say(f"{study.name}: everything is kept in {folder.path}")


def base_search_champion(run: Run, prepared: Prepared, fit: Fit) -> Outcome:
    """The steps that need the cluster."""
    study, tracker = run.study, run.tracker
    start = find_start(study.settings, prepared, fit.trial, run.folder, run.say)
    reading = read_on_cluster(study.settings, prepared, prepared.select, start, fit.trial)
    write_reading(run.folder.path / START, reading)
    base_scores = reading.scores
    selected_on = titled(study.settings.data.select, prepared.label)
    run.say(f"base: {shown_scores(base_scores, study)} on {selected_on}")
    tracker.log_metrics({f"base_{name}": value for name, value in base_scores.metrics.items()})
    mined = find_candidates(study, prepared, start, fit.trial, run.folder, run.say)
    began = time.time()
    search_trials(run, prepared, start, mined, fit)
    ledger = checked_ledger(run)
    run.say(f"search: {len(ledger.trials)} trials in {clock(time.time() - began)}")
    for record in ledger.trials.values():  # whatever MLflow missed while it was away
        replay(tracker, record)
    champion = crown(study, prepared, ledger, fit.trial, tracker, base_scores)
    readers = {"base": start, CHAMPION: str(champion.model)}
    finals = score_finals(study, prepared, readers, fit.trial, tracker, run.folder)
    tracker.end_study("finished")
    unwritten = tracker.close()
    found = (ledger, base_scores, selected_on, champion, finals)
    return Outcome(study, run.folder.path, *found, tracker.view, unwritten)


def checked_ledger(run: Run) -> Ledger:
    """The ledger of a search that is over.

    Errors: KeyboardInterrupt if Ray Tune was interrupted, NoTrialError if nothing was reported.
    """
    ledger = Ledger.open(run.folder.ledger, run.study.search.metric)
    if len(ledger.ended) < trial_count(run.study):
        raise KeyboardInterrupt(f"{len(ledger.ended)} trials have ended; --resume goes on")
    if not ledger.ranking:
        causes = "; ".join(sorted({record.cause for record in ledger.trials.values()}))
        raise NoTrialError(f"{run.study.name}: every trial failed: {causes}")
    return ledger


def shown_scores(scores: Scores, study: Study) -> str:
    """`F1 in en 95.1, gxlt_f1 45.1, xlt_f1 60.2`, as far as there are such pairs."""
    source = study.settings.data.source_language
    same = scores.pairs.get(f"{source}-{source}")
    shown = [] if same is None else [f"F1 in {source} {same.f1:.1f}"]
    names = ("gxlt_f1", "gxlt_em", "xlt_f1", "xlt_em")
    shown += [f"{name} {scores.metrics[name]:.1f}" for name in names if name in scores.metrics]
    return ", ".join(shown)


def search_trials(run: Run, prepared: Prepared, start: str, mined: Mined | None, fit: Fit) -> None:
    """Let Optuna propose, Ray Tune run, ASHA stop, and the recorder write down."""
    study, search = run.study, run.study.search
    space = SearchSpace(study.space)

    def job_of(params: Mapping[str, Any]) -> TrainingJob:
        job = trial_job(
            with_values(study.settings, space.values_of(params)),
            prepared,
            start=start,
            evaluate_every=search.evaluate_every,
            metric=search.metric,
            threads=fit.trial.threads,
        )
        return job if mined is None else mined.attach(job)

    run_tuner(
        job_of,
        fit.trial,
        run.folder.path,
        SEARCH,
        config=TuneConfig(
            search_alg=proposals(study, space),
            scheduler=scheduler(search, study),
            num_samples=trial_count(study),
            max_concurrent_trials=fit.at_once,
            trial_dirname_creator=by_id,
        ),
        score=search.metric,
        max_failures=search.max_failures,
        callbacks=[recorder_of(run, space, fit)],
    )


def recorder_of(run: Run, space: SearchSpace, fit: Fit) -> Recorder:
    """Who writes down what the trials report."""
    study = run.study
    run_id = run.folder.state()["run_id"]
    address = TrackingAddress(
        study.tracking.uri, str(run.root), experiment(study), study.name, run_id
    )
    return Recorder(
        run.folder.ledger,
        study.search.metric,
        space,
        TrialFolders(run.folder.path, SEARCH),
        address,
        trials=trial_count(study),
        at_once=fit.at_once,
        keep=study.search.keep,
    )


def proposals(study: Study, space: SearchSpace) -> OptunaSearch:
    """Optuna's sampler, after the points that are tried first; of a grid these are all."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    search = study.search
    grid = search.sampler == "grid"
    first = space.grid() if grid else space.points(search.start_from)
    return OptunaSearch(
        space,
        metric="best",
        mode="max",
        sampler=SAMPLERS[search.sampler](seed=search.seed),
        points_to_evaluate=first or None,
    )


def scheduler(search: SearchSettings, study: Study) -> TrialScheduler:
    """ASHA on our own count of evaluations, which a resume does not reset; or none."""
    if search.scheduler == "none":
        return FIFOScheduler()
    domain = study.space.get("training.epochs")
    epochs = max([study.settings.training.epochs, *(domain.values if domain else ())])
    evaluations = math.floor(epochs / search.evaluate_every) + 1  # at most
    return ASHAScheduler(
        time_attr="evaluation",
        metric="best",
        mode="max",
        max_t=evaluations + 1,  # never kill a trial at its last report
        grace_period=search.grace,
        reduction_factor=search.reduction_factor,
    )
