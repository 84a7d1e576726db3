"""Runs of one experiment, written so that writing again changes nothing.

In: keys and values in MLflow's form (`names`). Out: runs. What a run has already is remembered, or
asked for once, and not written a second time. Raises whatever MLflow and its network raise.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.entities import Run as MlflowRun

from xmrc.tracking.names import texts

INTERRUPTED = "interrupted"  # of a trial: when its study is resumed it goes on
STATUS = {  # as in mlflow.optuna
    "finished": "FINISHED",
    "stopped": "KILLED",
    INTERRUPTED: "KILLED",
    "failed": "FAILED",
}
_TRIAL, _STATE, _CAUSE, PARENT = "xmrc.trial_id", "xmrc.state", "xmrc.cause", "mlflow.parentRunId"
_ORIGIN = "xmrc.origin_run"
_ENTITIES_PER_BATCH = 100  # MLflow's limit for parameters and for tags
NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass
class TrackedRun:
    """What we know of a run."""

    run_id: str
    state: str  # "running" or a key of STATUS
    params: set[str]
    latest: dict[str, float]  # metric -> last value
    points: set[tuple[str, int]] | None = None  # (metric, step) written; None: not asked for yet


@dataclass(frozen=True)
class Runs:
    client: MlflowClient
    experiment_id: str

    def find(self, run_id: str) -> TrackedRun | None:
        """The run of that id, unless it is gone or deleted."""
        return self._first(f"attributes.run_id = '{run_id}'")

    def child(self, parent: str, trial: str) -> TrackedRun | None:
        """The run of a trial of the study `parent`."""
        return self._first(f"tags.`{_TRIAL}` = '{trial}' and tags.`{PARENT}` = '{parent}'")

    def copy_of(self, run_id: str) -> TrackedRun | None:
        """The run of a study that began with the run `run_id` at another server."""
        return self._first(f"tags.`{_ORIGIN}` = '{run_id}'")

    def create(self, name: str, origin: str | None = None) -> TrackedRun:
        """A new run; `origin`: that with which the study began at another server."""
        tags = {_STATE: "running"}
        return self._create(name, tags if origin is None else {**tags, _ORIGIN: origin})

    def create_child(self, parent: str, trial: str, name: str) -> TrackedRun:
        return self._create(name, {_TRIAL: trial, PARENT: parent, _STATE: "running"})

    def fix(self, run: TrackedRun, params: Mapping[str, str]) -> None:
        """Write parameters; MLflow keeps the first value of each for ever and refuses another."""
        new = {key: value for key, value in params.items() if key not in run.params}
        self._log(run, params=new)
        run.params.update(new)

    def label(self, run: TrackedRun, tags: Mapping[str, str]) -> None:
        """Write tags; the last value counts."""
        self._log(run, tags=tags)

    def update(self, run: TrackedRun, values: Mapping[str, float], step: int, at: int) -> None:
        """Write the metrics that are not the last value already; `at` in ms since 1970."""
        new = {k: v for k, v in values.items() if repr(run.latest.get(k)) != repr(v)}
        self._log(run, _points(new, step, at))
        run.latest.update(new)

    def extend(self, run: TrackedRun, values: Mapping[str, float], step: int, at: int) -> None:
        """Write the metrics that have no value at `step` yet; a run that goes on is running."""
        if run.points is None:
            histories = [self.client.get_metric_history(run.run_id, key) for key in run.latest]
            run.points = {(point.key, point.step) for points in histories for point in points}
        new = {key: value for key, value in values.items() if (key, step) not in run.points}
        if new and run.state != "running":
            self.reopen(run)
        self._log(run, _points(new, step, at))
        run.points.update((key, step) for key in new)

    def end(self, run: TrackedRun, state: str, cause: str, at: int) -> None:
        """Close a run; `state` is a key of STATUS, `at` in ms since 1970."""
        if run.state != state:
            self.client.set_terminated(run.run_id, STATUS[state], at)
            self._log(run, tags=texts({_STATE: state, _CAUSE: cause}))
            run.state = state

    def reopen(self, run: TrackedRun) -> None:
        self.client.update_run(run.run_id, status="RUNNING")
        self._log(run, tags={_STATE: "running", _CAUSE: ""})
        run.state = "running"

    def _first(self, condition: str) -> TrackedRun | None:
        found = self.client.search_runs([self.experiment_id], condition, max_results=1)
        return _known(found[0]) if found else None

    def _create(self, name: str, tags: dict[str, str]) -> TrackedRun:
        return _known(self.client.create_run(self.experiment_id, tags=tags, run_name=name))

    def _log(
        self,
        run: TrackedRun,
        points: list[Metric] | None = None,
        *,
        params: Mapping[str, str] = NOTHING,
        tags: Mapping[str, str] = NOTHING,
    ) -> None:
        metrics = points or []
        fixed = [Param(key, value) for key, value in params.items()]
        labels = [RunTag(key, value) for key, value in tags.items()]
        for i in range(0, max(len(metrics), len(fixed), len(labels)), _ENTITIES_PER_BATCH):
            part = slice(i, i + _ENTITIES_PER_BATCH)
            self.client.log_batch(run.run_id, metrics[part], fixed[part], labels[part])


def _points(values: Mapping[str, float], step: int, at: int) -> list[Metric]:
    return [Metric(key, value, at, step) for key, value in values.items()]


def _known(run: MlflowRun) -> TrackedRun:
    data = run.data
    state = data.tags.get(_STATE, "running")
    return TrackedRun(run.info.run_id, state, set(data.params), dict(data.metrics))
