"""The one writer to MLflow: a parent run per study, a child run per trial.

In: numbers, texts, tables and paths from the process that runs the search. Out: runs of one
experiment.

Before a study starts the server must answer, else ResourceError. Later no method raises for the
server's sake: what cannot be written waits (`outbox`), and `close` returns what is missing. The
caller keeps the history of every trial and may report it again at any time, after a resume or an
outage: what MLflow has already is not written twice.
"""

import csv
import io
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag

from xmrc.errors import ResourceError
from xmrc.tracking.names import key_of, value_of
from xmrc.tracking.outbox import Outbox
from xmrc.tracking.provenance import provenance
from xmrc.tracking.server import (
    artifact_root,
    connect,
    is_database,
    patience,
    refusing,
    shown,
    tracking_uri,
)

STATUS = {
    "finished": "FINISHED",
    "stopped": "KILLED",
    "failed": "FAILED",
}  # as mlflow.optuna has it
TRIAL, STATE, CAUSE, PARENT = "xmrc.trial_id", "xmrc.state", "xmrc.cause", "mlflow.parentRunId"
ENTITIES_PER_BATCH = 100  # MLflow's limit for parameters and for tags


@dataclass
class _Known:
    """What we know of a run, so that what it has already is not written again."""

    run_id: str
    state: str
    params: set[str]
    latest: dict[str, float]
    points: set[tuple[str, int]] | None = None  # (metric, step) logged; None: not asked for yet


@dataclass
class Tracker:
    """Runs of one experiment. `uri` may hold credentials, `address` does not."""

    client: MlflowClient
    uri: str
    experiment_id: str
    _study: _Known | None = None
    _trials: dict[str, _Known] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._outbox = Outbox(lambda: self.client.get_experiment(self.experiment_id))

    @classmethod
    def open(cls, uri: str | None, storage: str, experiment: str) -> "Tracker":
        """Connect, in seconds, to the server of `uri`, else of MLFLOW_TRACKING_URI, else to
        SQLite in the folder `storage`. ResourceError: it does not answer, or there is none."""
        uri = tracking_uri(uri, storage)
        with patience(retries=1, seconds=5), refusing(uri):
            client = connect(uri)
            found = client.get_experiment_by_name(experiment)
            if found is None:
                place = artifact_root(uri, storage)
                return cls(client, uri, client.create_experiment(experiment, place))
        if found.lifecycle_stage != "active":
            raise ResourceError(
                f"tracking.uri: the experiment {experiment} at {shown(uri)} is deleted; bring it "
                f"back with `mlflow experiments restore --experiment-id {found.experiment_id}`"
            )
        return cls(client, uri, found.experiment_id)

    @property
    def address(self) -> str:
        """The tracking URI, without credentials."""
        return shown(self.uri)

    @property
    def view(self) -> str:
        """Where to look: the address of the study's run, or the command that serves it."""
        if is_database(self.uri):
            return f"mlflow ui --backend-store-uri {shlex.quote(self.address)}"
        run = f"/runs/{self._study.run_id}" if self._study else ""
        return f"{self.address.rstrip('/')}/#/experiments/{self.experiment_id}{run}"

    @property
    def trouble(self) -> str:
        """One line for the user while writes wait, else empty."""
        if not self._outbox:
            return ""
        return f"MLflow at {self.address}: {len(self._outbox)} writes wait: {self._outbox.reason}"

    def close(self) -> list[str]:
        """Write what waits; what MLflow does not have after that, and why."""
        return self._outbox.close()

    # The study

    def start_study(
        self,
        name: str,
        params: Mapping[str, object],
        tags: Mapping[str, object],
        run_id: str | None = None,
    ) -> str:
        """Start the parent run, or continue `run_id`; the id to continue with. Tags say also who,
        which commit and which packages. ResourceError: no answer, or no such run any more."""
        with patience(retries=1, seconds=5), refusing(self.uri):
            self._study = _known(self._existing(run_id) if run_id else self._create(name, {}))
            self._log_params(self._study, params)
            self._log(self._study.run_id, tags={**provenance(), **tags})
            self._reopen(self._study)
        return self._study.run_id

    def end_study(self, state: str, cause: str = "") -> None:
        """`state` is a key of STATUS."""
        ended = _now()
        self._outbox.put("end of study", lambda: self._end(self._parent, state, cause, ended))

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Numbers of the study, its base or its champion; the last value counts."""
        at = _now()

        def write() -> None:
            latest = self._parent.latest
            new = {k: v for k, v in metrics.items() if str(latest.get(key_of(k))) != str(float(v))}
            self._log(self._parent.run_id, new, step, at)
            latest.update({key_of(key): float(value) for key, value in new.items()})

        self._outbox.put("metrics of the study", write)

    def log_table(self, rows: Sequence[Mapping[str, object]], file: str) -> None:
        """Rows as `file` (.csv) of the study, which MLflow's pages show as a table."""
        text = io.StringIO()
        columns = list(dict.fromkeys(key for row in rows for key in row))
        table = csv.DictWriter(text, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        self.log_text(text.getvalue(), file)

    def log_text(self, text: str, file: str) -> None:
        """A text as `file` of the study; one of the same name is replaced."""
        self._outbox.put(file, lambda: self.client.log_text(self._parent.run_id, text, file))

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """A file or a folder of this machine, under `folder` among the files of the study."""
        self._outbox.put(
            str(path), lambda: self.client.log_artifact(self._parent.run_id, str(path), folder)
        )

    # Its trials

    def start_trial(self, trial: str, name: str, params: Mapping[str, object]) -> None:
        """Start the child run of a trial, or find it by its id; one that failed runs again."""

        def write() -> None:
            run = self._trial(trial, name)
            self._log_params(run, params)
            if run.state == "failed":
                self._reopen(run)

        self._outbox.put(f"start of trial {trial}", write)

    def log_evaluation(self, trial: str, step: int, metrics: Mapping[str, float]) -> None:
        """Metrics of a trial at a step; what is logged at that step already stays as it is."""
        at = _now()

        def write() -> None:
            run = self._trial(trial, trial)
            points = self._points(run)
            new = {k: v for k, v in metrics.items() if (key_of(k), step) not in points}
            if new and run.state != "running":
                self._reopen(run)
            self._log(run.run_id, new, step, at)
            points.update((key_of(key), step) for key in new)

        self._outbox.put(f"step {step} of trial {trial}", write)

    def end_trial(self, trial: str, state: str, cause: str = "") -> None:
        """`state` is a key of STATUS."""
        ended = _now()
        self._outbox.put(
            f"end of trial {trial}",
            lambda: self._end(self._trial(trial, trial), state, cause, ended),
        )

    def run_id(self, trial: str | None = None) -> str:
        """The run of a trial, or of the study. ResourceError: the server does not answer."""
        with refusing(self.uri):
            return (self._trial(trial, trial) if trial else self._parent).run_id

    # Runs

    @property
    def _parent(self) -> _Known:
        assert self._study is not None, "start_study comes first"
        return self._study

    def _existing(self, run_id: str) -> Run:
        found = self.client.search_runs([self.experiment_id], f"attributes.run_id = '{run_id}'")
        if not found:
            raise ResourceError(
                f"tracking.uri: MLflow at {self.address} has no run {run_id}, with which this "
                "study began; resume with the server it began with"
            )
        return found[0]

    def _trial(self, trial: str, name: str) -> _Known:
        """The child run: remembered, else found by its tag, else made."""
        if trial not in self._trials:
            parent = self._parent.run_id
            same = f"tags.`{TRIAL}` = '{trial}' and tags.`{PARENT}` = '{parent}'"
            found = self.client.search_runs([self.experiment_id], same)
            tags = {TRIAL: trial, PARENT: parent, STATE: "running"}
            self._trials[trial] = _known(found[0] if found else self._create(name, tags))
        return self._trials[trial]

    def _create(self, name: str, tags: Mapping[str, object]) -> Run:
        values = {key_of(key): value_of(value) for key, value in tags.items()}
        return self.client.create_run(self.experiment_id, tags=values, run_name=name)

    def _points(self, run: _Known) -> set[tuple[str, int]]:
        if run.points is None:
            histories = [self.client.get_metric_history(run.run_id, key) for key in run.latest]
            run.points = {(point.key, point.step) for points in histories for point in points}
        return run.points

    def _log_params(self, run: _Known, params: Mapping[str, object]) -> None:
        # MLflow keeps the first value of a parameter for ever.
        new = {key: value for key, value in params.items() if key_of(key) not in run.params}
        self._log(run.run_id, params=new)
        run.params.update(key_of(key) for key in new)

    def _end(self, run: _Known, state: str, cause: str, ended: int) -> None:
        if run.state == state:
            return
        self.client.set_terminated(run.run_id, STATUS[state], ended)
        self._log(run.run_id, tags={STATE: state, CAUSE: cause})
        run.state = state

    def _reopen(self, run: _Known) -> None:
        self.client.update_run(run.run_id, status="RUNNING")
        self._log(run.run_id, tags={STATE: "running", CAUSE: ""})
        run.state = "running"

    def _log(
        self,
        run_id: str,
        metrics: Mapping[str, float] = MappingProxyType({}),
        step: int = 0,
        at: int = 0,
        *,
        params: Mapping[str, object] = MappingProxyType({}),
        tags: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        points = [Metric(key_of(key), float(value), at, step) for key, value in metrics.items()]
        fixed = [Param(key_of(key), value_of(value)) for key, value in params.items()]
        labels = [RunTag(key_of(key), value_of(value)) for key, value in tags.items()]
        for i in range(0, max(len(points), len(fixed), len(labels)), ENTITIES_PER_BATCH):
            part = slice(i, i + ENTITIES_PER_BATCH)
            self.client.log_batch(run_id, points[part], fixed[part], labels[part])


def _known(run: Run) -> _Known:
    data = run.data
    state = data.tags.get(STATE, "running")
    return _Known(run.info.run_id, state, set(data.params), dict(data.metrics))


def _now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000
