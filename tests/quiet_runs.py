"""A run of a study for the steps of it that train nothing. In: a study, a folder. Out: a `Run`."""

import io
from pathlib import Path
from typing import cast

from rich.console import Console

from xmrc.data.cache import Cache
from xmrc.learning.worker import WorkerResources
from xmrc.search.corpora import StudyData, read_corpora, widest
from xmrc.search.folder import StudyFolder
from xmrc.search.prepare import prepare
from xmrc.search.resources import Fit
from xmrc.search.run import Run
from xmrc.settings import Study
from xmrc.tracking.tracker import Tracker


def prepared_for(study: Study, cache: Path) -> StudyData:
    """The corpora of a study, stored."""
    return prepare(study.settings, read_corpora(widest(study)), Cache(cache))


def run_of(study: Study, folder: Path, start: str = "", workers: int = 1) -> Run:
    """A run in this folder that MLflow does not hear of."""
    fit = Fit(WorkerResources(workers, 1.0, 0.0), at_once=1)
    console = Console(file=io.StringIO(), width=200)
    prepared = prepared_for(study, folder)
    return Run(study, StudyFolder(folder), fit, prepared, cast(Tracker, None), console, start)


def said(run: Run) -> list[str]:
    """The lines that a user would have seen."""
    assert isinstance(run.console.file, io.StringIO)
    return run.console.file.getvalue().splitlines()
