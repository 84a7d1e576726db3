"""One run of a study. In: a study, its folder, MLflow, a terminal. Out: what its steps share."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from xmrc.search.folder import StudyFolder
from xmrc.search.progress import say
from xmrc.search.recorder import TrackingAddress
from xmrc.settings import Study
from xmrc.tracking.tracker import Tracker


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
        say(self.console, text)

    @property
    def address(self) -> TrackingAddress:
        """How the process that runs the trials reaches the run in MLflow, once it is begun."""
        study, run_id = self.study, self.folder.state()["run_id"]
        return TrackingAddress(
            study.tracking.uri, str(self.root), experiment(study), study.name, run_id
        )


def experiment(study: Study) -> str:
    """The experiment of MLflow that a study's runs belong to."""
    return study.tracking.experiment or study.name
