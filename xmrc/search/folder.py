"""Where a study keeps its things. In: name, storage. Out: a new folder, or the one to go on with.

storage/mlflow.db, mlartifacts/      runs and models, of every study
storage/cache/                       corpora, tokens, bases: computed once, for every study
storage/NAME/DATE-TIME/              one run: study.yaml, trials.json, confirm.json, Ray's files,
    lock.json                        which process is at it
    pairs.csv, c_kl.csv, watched.csv what its trials reported by language pair, of watched questions
    start/, champion/                how what the trials start from, and the best one, read
    promotion/                       the scores of the winner's seeds on the promotion set
    final/CORPUS/champion, base/     how both read what no choice has seen
    report/                          the page and its pictures
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xmrc.errors import DataError, ResourceError, SettingsError
from xmrc.files import check_writable, notice, read_document, write_document, write_text
from xmrc.search.lock import LOCK, Owner, living_owner, locked
from xmrc.search.phases import CONFIRMATION, SEARCH
from xmrc.settings import Study, to_yaml
from xmrc.settings.yaml_text import one_line, parse_yaml
from xmrc.tracking.interrupts import study_in

_SETTINGS, _STATE = "study.yaml", "state.json"
_STUDY = "study"  # key of the state: the text of study.yaml
START, CHAMPION, REPORT, FINAL = "start", "champion", "report", "final"
PROMOTION = "promotion"
VERDICT, VERSION = "verdict", "version"  # keys of the state: of the promotion, of the registry
RUN_ID, TAGS = "run_id", "tags"  # likewise: of the study's run in MLflow
SELECT = "select"  # likewise: the selection set, and how it overlaps with training
_JOB_FOLDERS = "runtime_resources"  # Ray deletes the working folders of its jobs


@dataclass(frozen=True)
class StudyFolder:
    """The folder of one run of a study."""

    path: Path

    @property
    def storage(self) -> Path:
        """Where every study is kept."""
        return self.path.parents[1]

    def state(self) -> dict[str, Any]:
        """What a resumed study must know beside its ledger."""
        file = self.path / _STATE
        try:
            return dict(read_document(file))
        except FileNotFoundError:
            return {}

    def remember(self, **facts: Any) -> None:
        """Add facts to the state."""
        write_document(self.path / _STATE, {**self.state(), **facts})

    def keep(self, study: Study) -> None:
        """Write down the study's settings, for people and once more with a checksum."""
        self.remember(**{_STUDY: to_yaml(study)})
        write_text(self.path / _SETTINGS, to_yaml(study))

    def settings(self) -> Path:
        """The study file as it was written down, and is written anew where it was changed since.

        Errors: ResourceError if it cannot be.
        """
        file, kept = self.path / _SETTINGS, self.state().get(_STUDY)
        if kept is not None and kept.encode() != (file.read_bytes() if file.exists() else b""):
            notice(f"{file}: was changed or damaged since the study began; it is as it was, again")
            write_text(file, kept)
        return file


def storage_path(storage: str) -> Path:
    """The storage as an absolute path; inside a submitted job relative to the home folder.

    Errors: ResourceError for a URI, as tokens and bases are mapped into memory from there.
    """
    if "://" in storage:
        raise ResourceError(f"storage: must be a folder (all nodes must see it), got {storage}")
    root = Path(os.path.expanduser(storage))
    if root.is_absolute():
        return root
    in_job = _JOB_FOLDERS in Path.cwd().parts
    return (Path.home() / "xmrc" if in_job else Path.cwd()) / root


def storage_root(storage: str) -> Path:
    """The storage as an absolute folder that can be written, once it is made.

    Errors: ResourceError if it cannot be written.
    """
    root = storage_path(storage)
    try:
        check_writable(root)
    except ResourceError as error:
        raise ResourceError(f"storage: {error}") from error
    return root


@contextmanager
def _own(path: Path) -> Iterator[StudyFolder]:
    """A run that no other search writes to. StudyInterruptedError: the block was interrupted."""
    with locked(path), study_in(path):
        yield StudyFolder(path)


@contextmanager
def new_folder(root: Path, study: Study) -> Iterator[StudyFolder]:
    """A folder of this run's own, which no other search writes to; earlier runs stay as they are.

    Errors: ResourceError if it cannot be made.
    """
    with _own(_free(root / study.name)) as folder:
        folder.keep(study)
        yield folder


def _free(runs: Path) -> Path:
    stamp = time.strftime("%Y-%m-%d-%H%M%S")
    for suffix in ("", *(f"-{number}" for number in range(2, 100))):
        path = runs / f"{stamp}{suffix}"
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        return path
    raise ResourceError(f"storage: a new folder must be free under {runs}")


@contextmanager
def begun_folder(root: Path, study: Study, run: str = "") -> Iterator[StudyFolder]:
    """A run of the study to go on with, which no other search writes to.

    `run`: DATE-TIME, NAME/DATE-TIME or a path; empty: the last one. Errors: SettingsError if there
    is none, or if its settings were others; ResourceError if a search is at it; as in
    `check_format`.
    """
    found = _named_run(root, study.name, run) if run else _last_run(root, study.name)
    with _own(found) as folder:
        check_format(folder.path)
        _check_same(folder.settings(), study)
        yield folder


def _last_run(root: Path, name: str) -> Path:
    runs = [path for path in (root / name).glob("*") if _is_run(path)]
    if not runs:
        raise SettingsError(f"--resume: a study must have begun under {root / name}")
    return max(runs, key=lambda path: path.name)  # their names are their dates


def _named_run(root: Path, name: str, run: str) -> Path:
    places = (root / name / run, root / run, Path(os.path.expanduser(run)))
    for path in (Path(os.path.abspath(place)) for place in places):
        if _is_run(path) and path.parent.name == name:
            return path
    raise SettingsError(
        f"--resume: must be the DATE-TIME of a run under {root / name}, or its folder, got {run}"
    )


def _is_run(path: Path) -> bool:
    return any((path / name).is_file() for name in (_SETTINGS, _STATE))


def _check_same(file: Path, study: Study) -> None:
    """Refuse other settings than those in `file`, but for another storage or server of MLflow.

    A server must be named: nobody means to leave one for the storage's own. Errors: SettingsError;
    DataError if the file is damaged.
    """
    try:
        then = _leaves(parse_yaml(file.read_text(encoding="utf-8")))
    except ValueError as error:
        raise DataError(f"{file}: must be YAML, and is damaged: {error}") from error
    now = _leaves(parse_yaml(to_yaml(study)))
    moved = {"storage"} if study.tracking.uri is None else {"storage", "tracking.uri"}
    for key in dict.fromkeys((*now, *then)):
        if key not in moved and then.get(key) != now.get(key):
            raise SettingsError(
                f"--resume: {key} must be as it was when the study began, "
                f"{then.get(key, 'absent')} in {file}, got {now.get(key, 'absent')}"
            )


def searches_beside(folder: StudyFolder) -> Iterator[tuple[Path, Owner]]:
    """The other runs of the same study that are being searched now, and by whom."""
    for lock in sorted(folder.path.parent.glob(f"*/{LOCK}")):
        owner = None if lock.parent == folder.path else living_owner(lock.parent)
        if owner is not None:
            yield lock.parent, owner


def check_format(folder: Path) -> None:
    """Refuse a study's folder, or one below it, that another version of xmrc has written.

    Errors: DataError, also where a file that a study keeps is damaged.
    """
    for place in (folder, *folder.absolute().parents):
        if (place / _SETTINGS).exists():
            for name in (_STATE, SEARCH.ledger, CONFIRMATION.ledger):
                if (place / name).exists():
                    read_document(place / name)
            return


def _leaves(tree: Any, above: str = "") -> dict[str, str]:
    """Every value of a study file as it would be written, by its dotted key."""
    if not isinstance(tree, dict) or not tree:
        return {above: one_line(tree)}
    named = ((f"{above}.{key}" if above else str(key), value) for key, value in tree.items())
    return {key: text for name, value in named for key, text in _leaves(value, name).items()}
