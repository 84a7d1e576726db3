"""The one writer to MLflow: a parent run per study, a child run per trial.

In: numbers, texts, tables and paths from the process that runs the search. Out: runs of one
experiment.

Before a study starts the server must answer, else ResourceError. Later no method raises for the
server's sake: what cannot be written waits (`outbox`), and `close` returns what is missing. The
caller keeps the history of every trial and may report it again at any time, after a resume or an
outage: what MLflow has already is not written twice (`runs`).
"""

import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mlflow import MlflowClient

from xmrc.errors import ResourceError
from xmrc.tables import Table, as_csv
from xmrc.tracking.names import numbers, texts
from xmrc.tracking.outbox import Outbox
from xmrc.tracking.runs import INTERRUPTED, NOTHING, STATUS, Runs, TrackedRun
from xmrc.tracking.server import (
    artifact_root,
    artifact_tags,
    connect,
    is_database,
    patience,
    refusing,
    tracking_uri,
)


@dataclass
class Tracker:
    """One experiment and the study that is written to it. `uri` holds no credentials."""

    client: MlflowClient
    uri: str
    experiment_id: str
    _study: TrackedRun | None = None
    _trials: dict[str, TrackedRun] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._runs = Runs(self.client, self.experiment_id)
        self._origin = ""
        self._outbox = Outbox(lambda: self.client.get_experiment(self.experiment_id))

    @classmethod
    def open(cls, uri: str | None, storage: str, experiment: str) -> "Tracker":
        """Connect, in seconds, to the server of `uri`, else of MLFLOW_TRACKING_URI, else to
        SQLite in the folder `storage`. ResourceError: it does not answer, or there is none."""
        uri = tracking_uri(uri, storage)
        with refusing(uri), patience(retries=1, seconds=5):
            client = connect(uri)
            found = client.get_experiment_by_name(experiment)
            if found is None:
                place = artifact_root(uri, storage)
                made = client.create_experiment(experiment, place, artifact_tags(uri, place))
                return cls(client, uri, made)
        if found.lifecycle_stage != "active":
            raise ResourceError(
                f"tracking.uri: the experiment {experiment} at {uri} is "
                "deleted; bring it back with `mlflow experiments restore --experiment-id "
                f"{found.experiment_id}`"
            )
        return cls(client, uri, found.experiment_id)

    @property
    def started(self) -> bool:
        """Whether the study has a run that it is written to."""
        return self._study is not None

    @property
    def view(self) -> str:
        """Where to look: the address of the study's run, or the command that serves it."""
        if is_database(self.uri):
            return f"mlflow ui --backend-store-uri {shlex.quote(self.uri)}"
        run = f"/runs/{self._study.run_id}" if self._study else ""
        return f"{self.uri.rstrip('/')}/#/experiments/{self.experiment_id}{run}"

    @property
    def trouble(self) -> str:
        """One line for the user while writes wait, else empty."""
        if not self._outbox:
            return ""
        return f"MLflow at {self.uri}: {len(self._outbox)} writes wait: {self._outbox.reason}"

    def close(self) -> list[str]:
        """Write what waits; what MLflow does not have after that, and why, a line each."""
        return self._outbox.close()

    # The study

    def start_study(
        self,
        name: str,
        params: Mapping[str, object],
        tags: Mapping[str, object],
        run_id: str | None = None,
    ) -> str:
        """Start the parent run, or continue that of the study which began with the run `run_id`;
        the id to continue with, here and at any other server. ResourceError: no answer."""
        with refusing(self.uri), patience(retries=1, seconds=5):
            self._study = self._begun(run_id) or self._runs.create(name, run_id)
            self._runs.fix(self._study, texts(params))
            self._runs.label(self._study, texts(tags))
            self._runs.reopen(self._study)
        self._origin = run_id or self._study.run_id
        return self._origin

    def _begun(self, run_id: str | None) -> TrackedRun | None:
        if run_id is None:
            return None
        return self._runs.find(run_id) or self._runs.copy_of(run_id)

    @property
    def origin(self) -> str:
        """The run with which the study began, at whatever server: the same wherever it is sent."""
        assert self._origin, "start_study comes first"
        return self._origin

    def answers_within(self, seconds: float) -> bool:
        """Whether the server answers, now or some seconds later."""
        return self._outbox.answers_within(seconds)

    def end_study(self, state: str, cause: str = "") -> None:
        """`state` is finished, stopped or failed."""
        assert state in STATUS, state
        self._outbox.put(
            "end of study", partial(self._runs.end, self._parent, state, cause, _now())
        )

    def log_metrics(self, metrics: Mapping[str, float | None], step: int = 0) -> None:
        """Numbers of the study, its base or its champion; the last value counts."""
        values = numbers(metrics)
        self._outbox.put(
            f"{', '.join(values)} of the study at step {step}",
            partial(self._runs.update, self._parent, values, step, _now()),
        )

    def log_table(self, table: Table, file: str) -> None:
        """A table as `file` (.csv) of the study, which MLflow's pages show as one."""
        self.log_text(as_csv(table), file)

    def log_text(self, text: str, file: str) -> None:
        """A text as `file` of the study; one of the same name is replaced."""
        self._outbox.put(file, partial(self.client.log_text, self._parent.run_id, text, file))

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """A file or a folder of this machine, under `folder` among the files of the study."""
        source = str(path.absolute())
        self._outbox.put(
            f"{folder}/{path.name}" if folder else path.name,
            partial(self.client.log_artifact, self._parent.run_id, source, folder),
        )

    # Its trials

    def start_trial(
        self,
        trial: str,
        name: str,
        params: Mapping[str, object],
        tags: Mapping[str, object] = NOTHING,
    ) -> None:
        """Start the child run of a trial, or find it by its id; one that failed, or was
        interrupted with its study, runs again."""
        fixed, labels = texts(params), texts(tags)

        def write() -> None:
            run = self._trial(trial, name)
            self._runs.fix(run, fixed)
            self._runs.label(run, labels)
            if run.state in ("failed", INTERRUPTED):
                self._runs.reopen(run)

        self._outbox.put(f"start of trial {trial}", write)

    def log_evaluation(self, trial: str, step: int, metrics: Mapping[str, float | None]) -> None:
        """Metrics of a trial at a step; what is logged at that step already stays as it is."""
        values, at = numbers(metrics), _now()

        def write() -> None:
            self._runs.extend(self._trial(trial, trial), values, step, at)

        self._outbox.put(f"step {step} of trial {trial}", write)

    def end_trial(self, trial: str, state: str, cause: str = "") -> None:
        """`state` is finished, stopped, interrupted or failed."""
        assert state in STATUS, state
        ended = _now()

        def write() -> None:
            self._runs.end(self._trial(trial, trial), state, cause, ended)

        self._outbox.put(f"end of trial {trial}", write)

    def run_id(self, trial: str | None = None) -> str:
        """The run of a trial, or of the study. ResourceError: the server does not answer."""
        with refusing(self.uri):
            return (self._trial(trial, trial) if trial else self._parent).run_id

    @property
    def _parent(self) -> TrackedRun:
        assert self._study is not None, "start_study comes first"
        return self._study

    def _trial(self, trial: str, name: str) -> TrackedRun:
        """The child run: remembered, else found by its tag, else made."""
        if trial not in self._trials:
            parent = self._parent.run_id
            found = self._runs.child(parent, trial)
            self._trials[trial] = found or self._runs.create_child(parent, trial, name)
        return self._trials[trial]


def _now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000
