"""One run of a study. In: a study that was checked, its corpora. Out: what all its steps share."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from xmrc.data.cache import Cache
from xmrc.learning.candidates import CandidateSource
from xmrc.learning.checkpoints import MODEL
from xmrc.learning.job import TrainingJob
from xmrc.search.causes import cause_of
from xmrc.search.cluster import check_shared
from xmrc.search.corpora import StudyData
from xmrc.search.folder import (
    RUN_ID,
    SELECT,
    TAGS,
    StudyFolder,
    new_folder,
    searches_beside,
    storage_root,
)
from xmrc.search.full_disk import PatientWriter
from xmrc.search.ledger import TrialRecord
from xmrc.search.lock import is_ours
from xmrc.search.needs import check_disk, disk_needs, study_needs
from xmrc.search.phases import BASE_TRAINING, CONFIRMATION, SEARCH, Phase, TrialFiles
from xmrc.search.prepare import prepare, trial_job
from xmrc.search.progress import say
from xmrc.search.resources import Fit, await_fit, room
from xmrc.settings import Study, flat, to_yaml
from xmrc.tracking.interrupts import undisturbed, uninterrupted
from xmrc.tracking.provenance import provenance
from xmrc.tracking.relocation import FOLDER_TAG
from xmrc.tracking.runs import INTERRUPTED
from xmrc.tracking.tracker import Tracker

_WEIGHTS_IN_CHECKPOINT = 4  # reader, teacher, and what AdamW keeps
_SPARE = 10_000_000  # bytes, for all that is small


@dataclass
class Run:
    """One run of a study: what its steps share.

    `start` is the checkpoint that the trials start from, once it is found.
    """

    study: Study
    folder: StudyFolder
    fit: Fit
    prepared: StudyData
    tracker: Tracker
    console: Console
    start: str = ""

    def say(self, text: str) -> None:
        """One line for the user."""
        say(self.console, text)

    def files(self, phase: Phase) -> TrialFiles:
        """Where the trainings of a phase keep what they leave."""
        metric = None if phase is BASE_TRAINING else self.study.search.metric
        return TrialFiles(self.folder.path, phase, metric)

    def job(self, candidates: CandidateSource | None) -> TrainingJob:
        """The training of a trial with the file's own values; `candidates`: where its Z is."""
        threads = self.fit.trial.threads
        return trial_job(self.study, self.prepared, self.start, threads, candidates)

    def reader(self, record: TrialRecord) -> Path:
        """The reader that a training has left, which the ledger knows of."""
        assert record.checkpoint is not None, f"{record.id} has no reader any more"
        return self.folder.path / record.checkpoint / MODEL

    @property
    def writer(self) -> PatientWriter:
        """Writes to the storage; a checkpoint must fit there before a search goes on."""
        weights = Path(self.start or self.prepared.encoder)
        size = sum(file.stat().st_size for file in weights.glob("*.safetensors"))
        return PatientWriter(self.folder.path, _WEIGHTS_IN_CHECKPOINT * size + _SPARE, self.say)

    def room(self) -> int:
        """How many trials may run at once, as the cluster is now."""
        return room(self.fit, self.study.resources)


@contextmanager
def open_run(
    study: Study, corpora: StudyData, begun: StudyFolder | None, console: Console
) -> Iterator[Run]:
    """A run of the study on the connected cluster, new or `begun` before; MLflow hears how it ends.

    Errors: ResourceError if no trial fits, if the disk is too small, if MLflow does not answer, or
    if some node does not see the storage.
    """
    root = begun.storage if begun else storage_root(study.storage)
    fit = await_fit(study.resources, study_needs(study), partial(say, console))
    check_disk(disk_needs(study, fit.at_once), root, begun.path if begun else None)
    # Nothing is written before this line; what can refuse the study has done so.
    tracker = Tracker.open(study.tracking.uri, str(root), experiment_of(study))
    prepared = prepare(study.settings, corpora, Cache(root / "cache"))
    check_shared(root)
    if begun:
        begun.keep(study)  # which may have another storage or server by now
    with nullcontext(begun) if begun else new_folder(root, study) as folder:
        for path, owner in searches_beside(folder):
            say(console, f"{study.name}: also running in {path} ({owner})")
        run = Run(study, folder, fit, prepared, tracker, console)
        with _tracked(run):
            yield run


@contextmanager
def _tracked(run: Run) -> Iterator[None]:
    """MLflow hears of the run, and how it ends; not where another search has taken it over."""
    try:
        with uninterrupted():
            _start_tracking(run)
        yield
    except BaseException as error:
        with undisturbed():
            if run.tracker.started and is_ours(run.folder.path):
                _end_tracking(run, error)
        raise


def _end_tracking(run: Run, error: BaseException) -> None:
    """The study has ended before its end, and with it the trials that ran."""
    for phase in (SEARCH, CONFIRMATION):
        for record in run.files(phase).open_ledger().unfinished:
            run.tracker.end_trial(record.id, INTERRUPTED, "ended with its study")
    interrupted = isinstance(error, KeyboardInterrupt)
    run.tracker.end_study("stopped" if interrupted else "failed", cause_of(error))
    run.tracker.close()


def _start_tracking(run: Run) -> None:
    """Open the study's run in MLflow, or go on with it."""
    study, folder, prepared = run.study, run.folder, run.prepared
    tags = {**provenance(), **prepared.content, **prepared.labels, FOLDER_TAG: str(folder.path)}
    run_id = run.tracker.start_study(
        study.name, flat(study.settings), tags, folder.state().get(RUN_ID)
    )
    folder.remember(**{RUN_ID: run_id, TAGS: tags, SELECT: prepared.select.title})
    run.tracker.log_text(to_yaml(study), "study.yaml")
    run.say(f"{study.name}: everything is kept in {folder.path}")


def experiment_of(study: Study) -> str:
    """The experiment of MLflow that a study's runs belong to."""
    return study.tracking.experiment or study.name
