"""The registered readers: versions of a model that MLflow loads without us and without pickle.

In: the folder of a reader's checkpoint and the code file that answers with it. Out: a version with
an alias, and from `models:/NAME@ALIAS` the folder again.
"""

import hashlib
import re
import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import mlflow.pyfunc
import pandas as pd
import sqlalchemy
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import Array, Object, Property

from xmrc.errors import ResourceError, SettingsError
from xmrc.files import creating_folder
from xmrc.seals import is_intact, seal
from xmrc.settings.yaml_text import parse_yaml
from xmrc.tracking.interrupts import uninterrupted
from xmrc.tracking.names import texts
from xmrc.tracking.runs import NOTHING
from xmrc.tracking.server import (
    connect,
    local_folder,
    only_here,
    patience,
    refusing,
    tracking_uri,
)
from xmrc.tracking.tracker import Tracker

_SPAN = Object(
    [
        Property("text", DataType.string),
        Property("start", DataType.long),
        Property("end", DataType.long),
        Property("score", DataType.double),
    ]
)
SIGNATURE = ModelSignature(  # start and end in characters of the context; nbest: best first
    inputs=Schema([ColSpec(DataType.string, "question"), ColSpec(DataType.string, "context")]),
    outputs=Schema(
        [
            ColSpec(DataType.string, "answer"),
            ColSpec(DataType.double, "score"),
            ColSpec(DataType.long, "start"),
            ColSpec(DataType.long, "end"),
            ColSpec(Array(_SPAN), "nbest"),
        ]
    ),
)
_MODEL = re.compile(r"models:/([^/@]+)(?:@([\w-]+)|/(\d+))")
ALIAS, _MADE_BY, _COMPLETE = "xmrc.alias", "xmrc.origin_run", "xmrc.complete"  # tags
_READER = "reader"  # the checkpoint among the artifacts of the model


def check_name(name: str) -> None:
    """SettingsError unless MLflow takes `name` for a registered model."""
    if not name.strip() or re.search(r"[/:]", name) or name in {".", ".."}:
        raise SettingsError(
            f"tracking.register_as: must be a name without '/' and ':', not {name!r}"
        )


def register(
    tracker: Tracker,
    folder: Path,
    *,
    name: str,
    code: Path,
    requirements: Sequence[str],
    scores: Mapping[str, float],
    example: Mapping[str, str],
    description: str = "",
    code_paths: Sequence[Path] = (),
    trial: str | None = None,
    alias: str = "champion",
    tags: Mapping[str, object] = NOTHING,
) -> str:
    """Make the checkpoint in `folder` the next version of `name`, and `alias` point to it.

    `code` calls `mlflow.models.set_model` with a PythonModel that opens the folder
    `context.artifacts["reader"]` and answers by SIGNATURE. `requirements` and `code_paths` are what
    it needs on another machine, `example` is a question and its context. `trial` made the reader,
    else the study did; `tags` stand on the version beside the scores. The alias comes last, so it
    never names half a model. ResourceError: the server does not answer.
    """
    card = Model(run_id=tracker.run_id(trial))
    with (
        tempfile.TemporaryDirectory() as temporary,
        only_here(tracker.uri),
        warnings.catch_warnings(action="ignore", category=UserWarning),
    ):
        local = Path(temporary) / "model"
        mlflow.pyfunc.save_model(
            local,
            python_model=str(code),
            artifacts={_READER: str(folder.absolute())},
            signature=SIGNATURE,
            input_example=pd.DataFrame([dict(example)]),
            pip_requirements=list(requirements),
            code_paths=[str(path) for path in code_paths] or None,
            mlflow_model=card,
        )
        seal(_reader(local))
        own = {_MADE_BY: tracker.origin, ALIAS: alias}
        with refusing(tracker.uri):
            _upload(tracker, card, local)
            with uninterrupted():  # no version without its alias
                return _version(
                    tracker.client, card, name, alias, {**scores, **tags, **own}, description
                )


def _upload(tracker: Tracker, card: Model, local: Path) -> None:
    """Put the model beside its run, and on the card the id that MLflow gives it."""
    client = tracker.client
    model = client.create_logged_model(tracker.experiment_id, _READER, card.run_id)
    card.model_id = card.model_uuid = model.model_id
    card.artifact_path = model.artifact_location
    card.save(str(local / "MLmodel"))
    client.log_model_artifacts(model.model_id, str(local))
    client.finalize_logged_model(model.model_id, "READY")


def _version(
    client: MlflowClient,
    card: Model,
    name: str,
    alias: str,
    tags: Mapping[str, object],
    description: str,
) -> str:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    version = client.create_model_version(
        name,
        f"models:/{card.model_id}",
        card.run_id,
        tags=texts(tags),
        description=description,
        model_id=card.model_id,
    )
    _complete(client, name, str(version.version), alias)
    return str(version.version)


def _complete(client: MlflowClient, name: str, version: str, alias: str) -> None:
    client.set_registered_model_alias(name, alias, version)
    client.set_model_version_tag(name, version, _COMPLETE, "true")


@dataclass(frozen=True)
class Version:
    """A registered version, its number and what was written on it."""

    number: str
    tags: Mapping[str, str]


def version_of(tracker: Tracker, name: str, alias: str) -> Version | None:
    """The version that an alias points to, if it does. ResourceError: the server is silent."""
    with refusing(tracker.uri), only_here(tracker.uri):
        try:
            found = tracker.client.get_model_version_by_alias(name, alias)
        except MlflowException as error:
            if error.get_http_status_code() >= 500:
                raise
            return None
    return Version(str(found.version), dict(found.tags))


def version_made_by(tracker: Tracker, name: str) -> Version | None:
    """The version of `name` that the tracker's study has registered at this server, whenever.

    One that a kill left without its alias gets it. ResourceError: the server does not answer.
    """
    with refusing(tracker.uri), only_here(tracker.uri):
        versions = tracker.client.search_model_versions(f"name = '{name}'")
        made = [one for one in versions if one.tags.get(_MADE_BY) == tracker.origin]
        if not made:
            return None
        if _COMPLETE not in made[0].tags:
            _complete(tracker.client, name, str(made[0].version), made[0].tags[ALIAS])
        return Version(str(made[0].version), dict(made[0].tags))


def fetch(model: str, *, uri: str | None, storage: str, cache: Path) -> Path:
    """The folder of the checkpoint that `model` names: a folder itself, a saved MLflow model, or
    `models:/NAME@ALIAS` or `models:/NAME/VERSION` at the tracking server, which is copied into
    `cache` unless it lies on this machine. ResourceError: there is none."""
    if not model.startswith("models:"):
        return _reader(_existing_folder(Path(model)))
    check_model(model)
    uri = tracking_uri(uri, storage)
    refuse_missing_database(model, uri)
    with refusing(uri), patience(retries=2, seconds=30), only_here(uri):
        client = connect(uri)
        found = named_version(client, model, uri)
        location = client.get_model_version_download_uri(found.name, found.version)
        return _reader(_local_copy(location, client, cache))


def check_model(model: str) -> None:
    """ResourceError unless `model` has the form of a registered version's name."""
    if not _MODEL.fullmatch(model):
        raise ResourceError(f"{model}: must be models:/NAME@ALIAS or models:/NAME/VERSION")


def named_version(client: MlflowClient, model: str, uri: str) -> ModelVersion:
    """The version that models:/NAME@ALIAS or models:/NAME/VERSION is. ResourceError: none is."""
    named = _MODEL.fullmatch(model)
    assert named, "checked by check_model"
    name, alias, number = named.groups()
    try:
        if alias:
            return client.get_model_version_by_alias(name, alias)
        return client.get_model_version(name, number)
    except MlflowException as error:
        if error.get_http_status_code() >= 500:
            raise
        raise ResourceError(f"{model}: no such model at {uri}") from error


def _existing_folder(folder: Path) -> Path:
    if not folder.is_dir():
        raise ResourceError(f"{folder}: no such folder, and not models:/NAME@ALIAS either")
    return folder


def _reader(folder: Path) -> Path:
    """The checkpoint inside a saved MLflow model; any other folder is one itself."""
    if not (folder / "MLmodel").exists():
        return folder
    card = folder / "MLmodel"
    try:
        artifacts = parse_yaml(card.read_text(encoding="utf-8"))["flavors"]["python_function"]
        path = Path(artifacts["artifacts"][_READER]["path"])
    except (ValueError, LookupError, TypeError) as error:
        raise ResourceError(f"{folder}: this MLflow model holds no reader of ours") from error
    if not (folder / path).resolve().is_relative_to(folder.resolve()):
        raise ResourceError(f"{card}: {path} must be a folder of the model itself")
    return folder / path


def refuse_missing_database(sought: str, uri: str) -> None:
    """ResourceError where `uri` is an SQLite file that is not there to find `sought` in."""
    # Opening a database that does not exist would make it.
    url = sqlalchemy.make_url(uri) if uri.startswith("sqlite:") else None
    if url is not None and url.database and not Path(url.database).exists():
        raise ResourceError(f"{sought}: there is no tracking database {uri} to find it in")


def _local_copy(location: str, client: MlflowClient, cache: Path) -> Path:
    """The folder at `location`, copied once if it is not on this machine."""
    here = local_folder(location)
    if here is not None and here.is_dir():
        return here
    copy = cache / hashlib.sha256(location.encode()).hexdigest()[:20]
    if copy.exists() and not is_intact(copy):
        shutil.rmtree(copy)
    if not copy.exists():
        with creating_folder(copy) as partial:
            mlflow.artifacts.download_artifacts(
                artifact_uri=location, tracking_uri=client.tracking_uri, dst_path=str(partial)
            )
            seal(partial)
    (model,) = (path for path in copy.iterdir() if path.is_dir())
    return model
