"""Where MLflow is, and whether it answers.

In: `tracking.uri`, `storage` and MLFLOW_TRACKING_URI. Out: a client, or a ResourceError of one line
within seconds. A tracking URI may hold credentials: what is shown to a user goes through
`without_credentials`.
"""

import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import unquote, urlparse

import sqlalchemy
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from xmrc.errors import ResourceError

_FROM_ENVIRONMENT = "MLFLOW_TRACKING_URI"


def tracking_uri(uri: str | None, storage: str) -> str:
    """`uri`, else MLFLOW_TRACKING_URI, else SQLite in the folder `storage`.

    ResourceError: it has not the form of an address.
    """
    chosen = uri or os.environ.get(_FROM_ENVIRONMENT)
    if chosen:
        _check_form(chosen)
        return chosen
    folder = local_folder(storage)
    if folder is None:
        raise ResourceError(
            f"tracking.uri: must name an MLflow server when storage ({storage}) is not a folder"
        )
    return f"sqlite:///{folder / 'mlflow.db'}"


def _check_form(uri: str) -> None:
    try:
        _ = urlparse(uri).port  # raises where it is no number
        if is_database(uri):
            sqlalchemy.make_url(uri)
    except (ValueError, sqlalchemy.exc.ArgumentError) as error:
        raise ResourceError(
            f"tracking.uri: must be the address of an MLflow server or of a database, got "
            f"{without_credentials(uri)}: {cause(error)}"
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
    return f"{storage.rstrip('/')}/mlartifacts" if folder is None else str(folder / "mlartifacts")


def is_database(uri: str) -> bool:
    """Whether MLflow works on a database without a server in between."""
    return urlparse(uri).scheme.split("+")[0] in {"sqlite", "postgresql", "mysql", "mssql"}


def connect(uri: str) -> MlflowClient:
    """A client whose database, if it works on one, opens. Whatever the database raises."""
    _silence_mlflow()
    if is_database(uri):
        _open_database(uri)
    return MlflowClient(uri)


def _open_database(uri: str) -> None:
    # MLflow itself tries ten times, for minutes, before it says that a database does not open.
    url = sqlalchemy.make_url(uri)
    waits = url.get_backend_name() in {"postgresql", "mysql"}
    if url.get_backend_name() == "sqlite" and url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
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
            _FROM_ENVIRONMENT: uri,
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
            "MLFLOW_UV_AUTO_DETECT": "false",  # puts the lock file of any project into the model
        }
    )


@contextmanager
def refusing(uri: str) -> Iterator[None]:
    """Turn whatever MLflow, its database or its network raises into one line on `tracking.uri`."""
    try:
        yield
    except (MlflowException, sqlalchemy.exc.SQLAlchemyError, OSError, ImportError) as error:
        given = os.environ.get(_FROM_ENVIRONMENT) == uri
        origin = f" (from {_FROM_ENVIRONMENT})" if given else ""
        raise ResourceError(
            f"tracking.uri: MLflow at {without_credentials(uri)}{origin} does not serve: "
            f"{cause(error)}"
        ) from error


def without_credentials(text: str) -> str:
    """A URI, or a text with URIs, without user names, passwords and query strings."""
    without_user = re.sub(r"://[^\s'\"/:@]*(:[^\s'\"@]*)?@", "://", text)
    return re.sub(r"(?<=\S)\?[^\s'\"]*=[^\s'\"]*", "", without_user)


def cause(error: BaseException) -> str:
    """The first sentence of the reason, without credentials: that of the network or the disk if
    one is behind the error."""
    reason: BaseException | None = error
    while reason is not None:
        if isinstance(reason, OSError):
            error = reason
        reason = reason.__cause__ or reason.__context__
    first = re.split(r"\.\s|\n", str(error).strip())[0]
    return without_credentials(first or type(error).__name__)[:300]
