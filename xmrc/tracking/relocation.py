"""A storage that was moved or copied. In: its SQLite database. Out: the same, at home where it is.

MLflow keeps absolute paths of all files. Those of a storage lie beside its database, and what the
database says of them is rewritten when it is opened at another place than it was made at.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

ARTIFACTS = "mlartifacts"  # the folder beside the database
BESIDE = {"xmrc.artifacts": "beside the database"}  # tag of experiments that keep their files there
FOLDER_TAG = "xmrc.folder"  # of a study's run
_SECONDS = 60.0  # to wait for whoever else writes
_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
_EXPERIMENTS = """
    SELECT DISTINCT artifact_location, EXISTS (
        SELECT 1 FROM experiment_tags
        WHERE experiment_tags.experiment_id = experiments.experiment_id AND key = ? AND value = ?)
    FROM experiments WHERE artifact_location LIKE '/%/' || ?
"""


def bring_home(database: Path) -> None:
    """Have the paths of a database's own files begin where it lies now; others stay as they are.

    Whatever sqlite3 raises. Where several open it at once, one does it.
    """
    if not database.is_file():
        return
    home = database.absolute().parent
    with closing(sqlite3.connect(database, timeout=_SECONDS, isolation_level=None)) as connection:
        if not _former_homes(connection, home):
            return
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            for former in _former_homes(connection, home):
                _rewrite(connection, former, home)
            connection.execute("COMMIT")


def _former_homes(connection: sqlite3.Connection, home: Path) -> list[Path]:
    """The folders at which the database was opened before. An experiment without the tag, of an
    earlier version, counts if its files are at their old place no more."""
    try:
        found = connection.execute(_EXPERIMENTS, (*next(iter(BESIDE.items())), ARTIFACTS))
    except sqlite3.OperationalError:  # MLflow has not made its tables yet
        return []
    rows = [(Path(location), bool(tagged)) for location, tagged in found]
    return [
        artifacts.parent
        for artifacts, tagged in rows
        if (tagged and not _same(artifacts.parent, home)) or not artifacts.parent.exists()
    ]


def _same(one: Path, other: Path) -> bool:
    return one == other or (one.exists() and one.samefile(other))


def _rewrite(connection: sqlite3.Connection, former: Path, home: Path) -> None:
    old, new = str(former / ARTIFACTS), str(home / ARTIFACTS)
    for table, column in _COLUMNS:
        connection.execute(_replace(table, column), {"old": old, "new": new})
    condition = f" AND key = '{FOLDER_TAG}'"
    paths = {"old": str(former), "new": str(home)}
    connection.execute(_replace("tags", "value") + condition, paths)


def _replace(table: str, column: str) -> str:
    return (
        f"UPDATE {table} SET {column} = :new || substr({column}, length(:old) + 1) "
        f"WHERE ({column} = :old OR substr({column}, 1, length(:old) + 1) = :old || '/')"
    )
