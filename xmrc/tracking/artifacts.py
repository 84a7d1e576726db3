"""Files of runs. In: a run at a tracking server, by its id or by the model that its study
registered. Out: one of its files, on this machine.

MLflow is asked in the way of `registry`: it answers within seconds, or a ResourceError says why.
"""

import posixpath
from collections.abc import Sequence
from pathlib import Path

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from xmrc.errors import ResourceError
from xmrc.tracking.registry import check_model, named_version, refuse_missing_database
from xmrc.tracking.runs import PARENT
from xmrc.tracking.server import (
    connect,
    only_here,
    patience,
    refusing,
    tracking_uri,
)


def fetch_file(
    run_id: str, name: str, folders: Sequence[str], *, uri: str | None, storage: str, into: Path
) -> Path:
    """Copy the file `name` of a run, from the first of `folders` that has it ("": the run's own).

    ResourceError: no such run, no such file in it, or a server that does not answer.
    """
    uri = tracking_uri(uri, storage)
    refuse_missing_database(f"run {run_id}", uri)
    with refusing(uri), patience(retries=2, seconds=30), only_here(uri):
        client = connect(uri)
        paths = [posixpath.join(folder, name) for folder in folders]
        found = next((path for path in paths if path in _files(client, uri, run_id, path)), None)
        if found is None:
            raise ResourceError(f"run {run_id} at {uri}: must have the file {' or '.join(paths)}")
        return Path(client.download_artifacts(run_id, found, str(into)))


def study_run(model: str, *, uri: str | None, storage: str) -> str:
    """The id of the run of the study that registered `model`, models:/NAME@ALIAS or /VERSION.

    A version knows the run of the training that made its reader, and that run knows its study.
    ResourceError: no such model, one that no run has made, or a server that does not answer.
    """
    check_model(model)
    uri = tracking_uri(uri, storage)
    refuse_missing_database(model, uri)
    with refusing(uri), patience(retries=2, seconds=30), only_here(uri):
        client = connect(uri)
        made_by = named_version(client, model, uri).run_id
        if not made_by:
            raise ResourceError(f"{model}: must have been registered by a run at {uri}")
        return str(_tags(client, uri, made_by).get(PARENT, made_by))


def _tags(client: MlflowClient, uri: str, run_id: str) -> dict[str, str]:
    try:
        return dict(client.get_run(run_id).data.tags)
    except MlflowException as error:
        if error.get_http_status_code() >= 500:
            raise
        raise ResourceError(f"run {run_id}: no such run at {uri}") from error


def _files(client: MlflowClient, uri: str, run_id: str, path: str) -> list[str]:
    """The files beside `path`."""
    try:
        listed = client.list_artifacts(run_id, posixpath.dirname(path) or None)
    except MlflowException as error:
        if error.get_http_status_code() >= 500:
            raise
        raise ResourceError(f"run {run_id}: no such run at {uri}") from error
    return [each.path for each in listed if not each.is_dir]
