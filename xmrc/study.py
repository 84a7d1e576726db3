"""A study from beginning to end. In: checked settings. Out: the registered reader, an `Outcome`.

prepare (corpora, encoder) -> base -> candidates -> search -> confirmation -> promotion -> champion
-> final sets. Every step finds what an earlier, killed run of it has left and goes on from there.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from xmrc.data.cache import Cache
from xmrc.errors import ResourceError
from xmrc.learning.job import TrainingJob
from xmrc.pages.page import draw_champion, draw_final_sets, write_report
from xmrc.scoring.gxlt import GxltScores
from xmrc.scoring.predictions import PAIR
from xmrc.search.base import check_given_base, find_start
from xmrc.search.cluster import check_shared, ray_cluster
from xmrc.search.corpora import StudyData, study_corpora
from xmrc.search.folder import (
    CHAMPION,
    SELECT,
    START,
    StudyFolder,
    latest_folder,
    new_folder,
    storage_root,
)
from xmrc.search.ledger import Ledger
from xmrc.search.mining import find_candidates
from xmrc.search.prepare import check_given_encoder, prepare, trial_job
from xmrc.search.progress import clock
from xmrc.search.reading import read_on_cluster, write_reading
from xmrc.search.recorder import cause_of, replay
from xmrc.search.resources import Fit, cluster_nodes, fit_trials
from xmrc.search.run import Run, experiment
from xmrc.search.trials import search_trials
from xmrc.selection.champion import Champion, Winner, best_trial, confirmed, register_winner
from xmrc.selection.confirmation import confirm, keep_median
from xmrc.selection.contenders import Candidate
from xmrc.selection.final_sets import BASE, FinalScores, score_finals
from xmrc.selection.promotion import Verdict, decide_promotion
from xmrc.settings import Study, flat, to_yaml
from xmrc.tracking.registry import check_name
from xmrc.tracking.server import tracking_uri
from xmrc.tracking.tracker import Tracker


@dataclass(frozen=True)
class Outcome:
    """What a study has found."""

    study: Study
    folder: Path
    ledger: Ledger
    start: GxltScores  # of what the trials start from, on the selection set
    select: str  # its name, and how it overlaps with training
    candidates: list[Candidate]  # of the confirmation, best first; empty without one
    champion: Champion
    finals: FinalScores
    view: str  # where to look at it in MLflow
    unwritten: list[str]  # what MLflow lacks, after all


def run_study(study: Study, *, resume: bool, console: Console) -> Outcome:
    """Search, choose and register.

    Errors: XmrcError, before anything is trained wherever that is possible.
    """
    check_name(study.tracking.register_as)
    corpora = study_corpora(study)
    check_given_encoder(study)
    check_given_base(study)
    root = storage_root(study.storage)
    tracking_uri(study.tracking.uri, str(root))
    begun = latest_folder(root, study) if resume else None
    with ray_cluster():
        fit = fit_trials(study.resources, cluster_nodes())
        _check_begun(begun, fit)
        # Nothing is written before this line; what can refuse the study has done so.
        tracker = Tracker.open(study.tracking.uri, str(root), experiment(study))
        prepared = prepare(study.settings, corpora, Cache(root / "cache"))
        check_shared(root)
        folder = begun or new_folder(root, study)
        folder.remember(at_once=fit.at_once)
        run = Run(study, root, folder, tracker, console)
        begin(run, prepared)
        try:
            return _base_search_champion(run, prepared, fit)
        except BaseException as error:
            interrupted = isinstance(error, KeyboardInterrupt)
            tracker.end_study("stopped" if interrupted else "failed", cause_of(error))
            tracker.close()
            raise


def _check_begun(folder: StudyFolder | None, fit: Fit) -> None:
    """Refuse to resume where fewer trials fit: Ray Tune starts as many as it did, come what may.

    Errors: ResourceError. Trials of one worker only wait for each other.
    """
    then = folder.state().get("at_once", fit.at_once) if folder else fit.at_once
    if fit.trial.workers > 1 and fit.at_once < then:
        raise ResourceError(
            f"--resume: as many trials must fit as when the study began, {then} at once, "
            f"got {fit.describe()}"
        )


def begin(run: Run, prepared: StudyData) -> None:
    """Open the study's run in MLflow, or go on with it."""
    study, folder = run.study, run.folder
    run_id = run.tracker.start_study(
        study.name,
        flat(study.settings),
        {"xmrc.folder": folder.path, **prepared.content, **prepared.labels},
        folder.state().get("run_id"),
    )
    selected_on = prepared.select.title
    folder.remember(run_id=run_id, **{SELECT: selected_on})
    run.tracker.log_text(to_yaml(study), "study.yaml")
    run.say(f"{study.name}: everything is kept in {folder.path}")


def _base_search_champion(run: Run, prepared: StudyData, fit: Fit) -> Outcome:
    """The steps that need the cluster."""
    study, tracker = run.study, run.tracker
    start = find_start(study.settings, prepared, fit.trial, run.folder, run.say)
    reading = read_on_cluster(study.settings, prepared, prepared.select, start, fit.trial)
    write_reading(run.folder.path / START, reading, prepared.select.label)
    base_scores = reading.scores
    selected_on = run.folder.state()[SELECT]
    run.say(f"base: {_shown_scores(base_scores, study)} on {selected_on}")
    tracker.log_metrics({f"base_{name}": value for name, value in base_scores.metrics.items()})
    source = find_candidates(study, prepared, start, fit.trial, run.folder, run.say)
    began = time.time()
    job = trial_job(study, prepared, start=start, threads=fit.trial.threads)
    job = replace(job, candidates=source)
    ledger = search_trials(run, job, fit)
    run.say(f"search: {len(ledger.trials)} trials in {clock(time.time() - began)}")
    for record in ledger.trials.values():  # whatever MLflow missed while it was away
        replay(tracker, record)
    found, winner, verdict = _choose(run, prepared, job, ledger, fit)
    champion = register_winner(study, prepared, ledger, winner, verdict, fit.trial, tracker)
    if found:
        keep_median(run.folder.path, ledger.metric, found[0])
    readers = {BASE: start, CHAMPION: str(champion.model)}
    finals = score_finals(study, prepared, readers, fit.trial, tracker, run.folder)
    # The best is registered by now: whatever happens to pictures and page, it is not lost.
    _draw(run, champion, base_scores, finals)
    tracker.log_artifact(write_report(run.folder.path).parent)
    tracker.end_study("finished")
    unwritten = tracker.close()
    facts = (ledger, base_scores, selected_on, found, champion, finals)
    return Outcome(study, run.folder.path, *facts, tracker.view, unwritten)


def _choose(
    run: Run, prepared: StudyData, job: TrainingJob, ledger: Ledger, fit: Fit
) -> tuple[list[Candidate], Winner, Verdict]:
    """Who wins and whether it becomes champion; with confirmation also the candidates for that."""
    confirming = run.study.search.confirm
    if confirming is None:
        return [], best_trial(ledger), decide_promotion(run, prepared, None, fit.trial)
    found = confirm(run, job, ledger, confirming, fit)
    verdict = decide_promotion(run, prepared, found[0], fit.trial)
    return found, confirmed(found, ledger.metric), verdict


def _draw(run: Run, champion: Champion, start: GxltScores, finals: FinalScores) -> None:
    """The G-XLT pictures of champion and final sets, in the folder and beside the run in MLflow."""
    folder, title = run.folder.path, f"{run.study.name}: {run.folder.state()[SELECT]}"
    pictures = draw_champion(champion.folder, title, champion.reading.scores, start)
    pictures += draw_final_sets(folder, run.study.name, finals)
    for picture in pictures:
        run.tracker.log_artifact(picture, picture.parent.relative_to(folder).as_posix())


def _shown_scores(scores: GxltScores, study: Study) -> str:
    """`F1 in en 95.1, gxlt_f1 45.1, xlt_f1 60.2`, as far as there are such pairs."""
    source = study.settings.data.source_language
    f1 = scores.pairs.set_index(PAIR)["f1"].get((source, source))
    shown = [] if f1 is None else [f"F1 in {source} {f1:.1f}"]
    names = ("gxlt_f1", "gxlt_em", "xlt_f1", "xlt_em")
    shown += [f"{name} {scores.metrics[name]:.1f}" for name in names if name in scores.metrics]
    return ", ".join(shown)
