"""Where a study keeps its things. In: name, storage. Out: a new folder, or the one to go on with.

storage/mlflow.db, mlartifacts/      runs and models, of every study
storage/cache/                       corpora, tokens, bases: computed once, for every study
storage/NAME/DATE-TIME/              one run: study.yaml, trials.json, champion, Ray's files
"""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xmrc.errors import ResourceError, SettingsError
from xmrc.settings import Study, to_yaml

SETTINGS, STATE, LEDGER = "study.yaml", "state.json", "trials.json"
JOB_FOLDERS = "runtime_resources"  # Ray deletes the working folders of its jobs


@dataclass(frozen=True)
class StudyFolder:
    """The folder of one run of a study."""

    path: Path

    @property
    def ledger(self) -> Path:
        """What has happened to the trials."""
        return self.path / LEDGER

    def state(self) -> dict[str, Any]:
        """What a resumed study must know beside its ledger."""
        file = self.path / STATE
        return dict(json.loads(file.read_text())) if file.exists() else {}

    def remember(self, **facts: Any) -> None:
        """Add facts to the state."""
        write_whole(self.path / STATE, json.dumps({**self.state(), **facts}, indent=1))


def storage_path(storage: str) -> Path:
    """The storage as an absolute path; inside a submitted job relative to the home folder."""
    root = Path(storage).expanduser()
    if root.is_absolute():
        return root
    in_job = JOB_FOLDERS in Path.cwd().parts
    return (Path.home() / "xmrc" if in_job else Path.cwd()) / root


def storage_root(storage: str) -> Path:
    """The storage as an absolute folder that can be written, made if it is not there.

    Errors: ResourceError if it cannot be written.
    """
    root = storage_path(storage)
    try:
        root.mkdir(parents=True, exist_ok=True)
        probe = root / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ResourceError(
            f"storage: the folder must be writable, got {root}: {error.strerror}"
        ) from error
    return root


def new_folder(root: Path, study: Study) -> StudyFolder:
    """A folder of its own for this run of the study; earlier runs stay as they are."""
    stamp = time.strftime("%Y-%m-%d-%H%M%S")
    for suffix in ("", *(f"-{number}" for number in range(2, 100))):
        path = root / study.name / f"{stamp}{suffix}"
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        write_whole(path / SETTINGS, to_yaml(study))
        return StudyFolder(path)
    raise ResourceError(f"storage: a new folder must be free under {root / study.name}")


def latest_folder(root: Path, study: Study) -> StudyFolder:
    """The last run of the study, to go on with.

    Errors: SettingsError if there is none, or if its settings were others.
    """
    runs = sorted(path.parent for path in (root / study.name).glob(f"*/{SETTINGS}"))
    if not runs:
        raise SettingsError(f"--resume: a study must have begun under {root / study.name}")
    kept = (runs[-1] / SETTINGS).read_text().splitlines()
    asked = to_yaml(study).splitlines()
    if kept != asked:
        now, then = next(
            (pair for pair in zip(asked, kept, strict=False) if pair[0] != pair[1]), ("", "")
        )
        raise SettingsError(
            f"--resume: the settings must be those of {runs[-1] / SETTINGS}: "
            f"it has {then.strip()!r}, the study now has {now.strip()!r}"
        )
    return StudyFolder(runs[-1])


def write_whole(path: Path, text: str) -> None:
    """Write beside and rename: a reader sees the old text or the new one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)
