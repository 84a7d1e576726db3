"""A study from beginning to end. In: checked settings. Out: the registered reader, an `Outcome`.

The steps are in the order in which they happen. Each finds what an earlier, killed run of it has
left and goes on from there.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from xmrc.errors import ResourceError
from xmrc.scoring.gxlt import GxltScores
from xmrc.search.base import find_start
from xmrc.search.cluster import ray_cluster
from xmrc.search.corpora import StudyData
from xmrc.search.folder import StudyFolder, begun_folder, storage_root
from xmrc.search.ledger import Ledger
from xmrc.search.mining import mine_candidates
from xmrc.search.prepare import check_study
from xmrc.search.reading import read_start
from xmrc.search.run import Run, open_run
from xmrc.search.tuner import search_trials
from xmrc.selection.champion import Champion, Winner, choose_winner, read_winner
from xmrc.selection.confirmation import confirm, keep_median
from xmrc.selection.contenders import Contender
from xmrc.selection.final_sets import FinalScores, score_finals
from xmrc.selection.promotion import score_seeds
from xmrc.selection.registration import Registration, register_winner
from xmrc.selection.upload import send_results
from xmrc.settings import Study
from xmrc.tracking.registry import check_name
from xmrc.tracking.server import patience, tracking_uri

_SECONDS_TO_COME_BACK = 10.0  # of MLflow, before the study ends without it


@dataclass(frozen=True)
class Outcome:
    """What a study has found."""

    study: Study
    folder: Path
    ledger: Ledger
    start: GxltScores  # of what the trials start from, on the selection set
    select: str  # its name, and how it overlaps with training
    contenders: list[Contender]  # of the confirmation, best first; empty without one
    champion: Champion
    registration: Registration | None  # None: MLflow did not answer
    finals: FinalScores
    view: str  # where to look at it in MLflow
    unwritten: list[str]  # what MLflow lacks, after all


def run_study(study: Study, *, resume: str | bool, console: Console) -> Outcome:
    """Search, choose and register.

    `resume`: go on with the last run of the study, or with the one that is named. Errors:
    XmrcError, before anything is trained wherever that is possible; StudyInterruptedError.
    """
    corpora = _check(study)
    with (
        _begun(study, resume) as begun,
        ray_cluster(),
        open_run(study, corpora, begun, console) as run,
    ):
        run.start = find_start(run)
        start = read_start(run)
        job = run.job(mine_candidates(run))
        ledger = search_trials(run, job)
        contenders = confirm(run, job, ledger)
        score_seeds(run, contenders)
        winner = choose_winner(ledger, contenders)
        champion = read_winner(run, winner)
        registration = _register(run, winner, contenders)
        keep_median(run, contenders)
        finals = score_finals(run, champion.model)
        # The best is registered by now: whatever happens to pictures and page, it is not lost.
        _draw(run, champion, start, finals)
        send_results(run.folder, study, run.tracker, contenders)
        run.tracker.end_study("finished")
        unwritten = run.tracker.close()
    select, view = run.prepared.select.title, run.tracker.view
    found = (ledger, start, select, contenders, champion, registration, finals)
    return Outcome(study, run.folder.path, *found, view, unwritten)


def _check(study: Study) -> StudyData:
    """What can be refused before a cluster is asked; the corpora."""
    check_name(study.tracking.register_as)
    corpora, root = check_study(study), storage_root(study.storage)
    tracking_uri(study.tracking.uri, str(root))
    return corpora


def _begun(study: Study, resume: str | bool) -> AbstractContextManager[StudyFolder | None]:
    """The folder to go on with; nothing else writes there until the end."""
    if resume is False:
        return nullcontext()
    return begun_folder(storage_root(study.storage), study, "" if resume is True else resume)


def _register(run: Run, winner: Winner, found: Sequence[Contender]) -> Registration | None:
    """None where MLflow does not answer by now: all is on disk, to be sent later."""
    if not run.tracker.answers_within(_SECONDS_TO_COME_BACK):
        return None
    try:
        with patience(retries=2, seconds=120):
            return register_winner(run.folder, run.study, run.tracker, winner, found)
    except ResourceError as error:
        run.say(f"not registered: {error}")
        return None


def _draw(run: Run, champion: Champion, start: GxltScores, finals: FinalScores) -> None:
    """The pictures of champion and final sets, and the page."""
    # A search would begin a second later for what it needs at its end.
    from xmrc.pages.page import draw_champion, draw_final_sets, write_report

    folder, title = run.folder.path, f"{run.study.name}: {run.prepared.select.title}"
    draw_champion(champion.folder, title, champion.reading.scores, start)
    draw_final_sets(folder, run.study.name, finals)
    write_report(folder)
