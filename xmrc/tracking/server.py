"""Where MLflow is, and whether it answers.

In: `tracking.uri`, `storage` and MLFLOW_TRACKING_URI. Out: a client, or a ResourceError of one line
within seconds. A tracking URI is handed around without credentials; `credentials` knows them.
"""

import logging
import os
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import unquote, urlparse

import sqlalchemy
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from xmrc.credentials import (
    FROM_ENVIRONMENT,
    login_of,
    shown_uri,
    whole_uri,
    without_secrets,
)
from xmrc.errors import ResourceError
from xmrc.tracking.relocation import ARTIFACTS, BESIDE, bring_home

_TROUBLES = (
    MlflowException,
    sqlalchemy.exc.SQLAlchemyError,
    sqlite3.Error,
    OSError,
    ImportError,
)


def tracking_uri(uri: str | None, storage: str) -> str:
    """`uri`, else MLFLOW_TRACKING_URI, else SQLite in the folder `storage`; without credentials.

    ResourceError: it has not the form of an address.
    """
    chosen = uri or os.environ.get(FROM_ENVIRONMENT)
    if chosen:
        shown = shown_uri(chosen)
        _check_form(shown)
        return shown
    folder = local_folder(storage)
    if folder is None:
        raise ResourceError(
            f"tracking.uri: must name an MLflow server when storage ({storage}) is not a folder"
        )
    return f"sqlite:///{folder / 'mlflow.db'}"


def _check_form(uri: str) -> None:
    try:
        _ = urlparse(whole_uri(uri)).port  # raises where it is no number
        if is_database(uri):
            sqlalchemy.make_url(whole_uri(uri))
    except (ValueError, sqlalchemy.exc.ArgumentError) as error:
        raise ResourceError(
            f"tracking.uri: must be the address of an MLflow server or of a database, got {uri}: "
            f"{cause(error)}"
        ) from error


def local_folder(storage: str) -> Path | None:
    """The absolute path of a storage on this machine, None for any other (s3://, gs://, ...)."""
    parts = urlparse(storage)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if "://" in storage else Path(storage).absolute()


def artifact_root(uri: str, storage: str) -> str | None:
    """Where the files of the runs go: into `storage`, unless a server keeps them (None)."""
    if not is_database(uri):
        return None
    folder = local_folder(storage)
    return f"{storage.rstrip('/')}/{ARTIFACTS}" if folder is None else str(folder / ARTIFACTS)


def artifact_tags(uri: str, place: str | None) -> dict[str, str]:
    """What an experiment is marked with whose files are in the folder `place`."""
    url = sqlalchemy.make_url(uri) if uri.startswith("sqlite:") else None
    database = Path(url.database).absolute() if url is not None and url.database else None
    return dict(BESIDE) if database and place == str(database.parent / ARTIFACTS) else {}


def is_database(uri: str) -> bool:
    """Whether MLflow works on a database without a server in between."""
    return urlparse(uri).scheme.split("+")[0] in {"sqlite", "postgresql", "mysql", "mssql"}


def connect(uri: str) -> MlflowClient:
    """A client whose database, if it works on one, opens. Whatever the database raises."""
    _silence_mlflow()
    if is_database(uri):
        _open_database(whole_uri(uri))
    return MlflowClient(_client_uri(uri))


def _client_uri(uri: str) -> str:
    """What MLflow gets: of a server's login it reads the environment, in messages it shows URIs."""
    user, password = login_of(uri)
    if is_database(uri) or not password:
        return whole_uri(uri)
    os.environ.update(MLFLOW_TRACKING_USERNAME=user, MLFLOW_TRACKING_PASSWORD=password)
    return uri


def _open_database(uri: str) -> None:
    # MLflow itself tries ten times, for minutes, before it says that a database does not open.
    url = sqlalchemy.make_url(uri)
    waits = url.get_backend_name() in {"postgresql", "mysql"}
    if url.get_backend_name() == "sqlite" and url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        bring_home(Path(url.database))
    engine = sqlalchemy.create_engine(url, connect_args={"connect_timeout": 5} if waits else {})
    sqlalchemy.inspect(engine).get_table_names()
    engine.dispose()


def _silence_mlflow() -> None:
    """Keep migrations and retries, which a user cannot act on, off the terminal."""
    for name, level in {
        "mlflow": logging.ERROR,
        "alembic": logging.ERROR,
        "urllib3.connectionpool": logging.ERROR,
    }.items():
        logging.getLogger(name).setLevel(level)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables, which MLflow reads at every call, for a while."""
    before = {key: os.environ.get(key) for key in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for key, value in before.items():
            os.environ.pop(key, None) if value is None else os.environ.update({key: value})


def patience(*, retries: int, seconds: int) -> AbstractContextManager[None]:
    """How often and how long MLflow asks a silent server; its own defaults take minutes.

    What the user has set is kept.
    """
    wanted = {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(retries),
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(seconds),
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    }
    return _environment({k: v for k, v in wanted.items() if k not in os.environ})


def only_here(uri: str) -> AbstractContextManager[None]:
    """Make `uri` what MLflow falls back on: its registry and loader ask no client for it."""
    return _environment(
        {
            FROM_ENVIRONMENT: _client_uri(uri),
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
            "MLFLOW_UV_AUTO_DETECT": "false",  # puts the lock file of any project into the model
        }
    )


@contextmanager
def refusing(uri: str) -> Iterator[None]:
    """Turn whatever MLflow, its database or its network raises into one line on `tracking.uri`."""
    try:
        yield
    except _TROUBLES as error:
        given = shown_uri(os.environ.get(FROM_ENVIRONMENT, "")) == uri
        origin = f" (from {FROM_ENVIRONMENT})" if given else ""
        raise ResourceError(
            f"tracking.uri: MLflow at {uri}{origin} does not serve: {cause(error)}"
        ) from error


def cause(error: BaseException) -> str:
    """The first sentence of the reason, without credentials: that of the network or the disk if
    one is behind the error."""
    reason: BaseException | None = error
    while reason is not None:
        if isinstance(reason, OSError):
            error = reason
        reason = reason.__cause__ or reason.__context__
    first = re.split(r"\.\s|\n", str(error).strip())[0]
    return without_secrets(first or type(error).__name__)[:300]
