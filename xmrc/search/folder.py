"""Where a study keeps its things. In: name, storage. Out: a new folder, or the one to go on with.

storage/mlflow.db, mlartifacts/      runs and models, of every study
storage/cache/                       corpora, tokens, bases: computed once, for every study
storage/NAME/DATE-TIME/              one run: study.yaml, trials.json, confirm.json, Ray's files,
    pairs.csv, c_kl.csv, watched.csv what its trials reported by language pair, of watched questions
    start/, champion/                how what the trials start from, and the best one, read
    promotion/                       the scores of the winner's seeds on the promotion set
    final/CORPUS/champion, base/     how both read what no choice has seen
    report/                          the page and its pictures
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xmrc.errors import ResourceError, SettingsError
from xmrc.files import check_writable, read_document, write_document, write_text
from xmrc.search.phases import CONFIRMATION, SEARCH
from xmrc.settings import Study, to_yaml
from xmrc.settings.yaml_text import one_line, parse_yaml

SETTINGS, _STATE = "study.yaml", "state.json"
START, CHAMPION, REPORT, FINAL = "start", "champion", "report", "final"
PROMOTION = "promotion"
VERDICT, VERSION = "verdict", "version"  # keys of the state: of the promotion, of the registry
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
        return dict(read_document(file)) if file.exists() else {}

    def remember(self, **facts: Any) -> None:
        """Add facts to the state."""
        write_document(self.path / _STATE, {**self.state(), **facts})


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


def new_folder(root: Path, study: Study) -> StudyFolder:
    """A folder of its own for this run of the study; earlier runs stay as they are."""
    stamp = time.strftime("%Y-%m-%d-%H%M%S")
    for suffix in ("", *(f"-{number}" for number in range(2, 100))):
        path = root / study.name / f"{stamp}{suffix}"
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        write_text(path / SETTINGS, to_yaml(study))
        return StudyFolder(path)
    raise ResourceError(f"storage: a new folder must be free under {root / study.name}")


def latest_folder(root: Path, study: Study) -> StudyFolder:
    """The last run of the study, to go on with.

    Errors: SettingsError if there is none, or if its settings were others; as in `check_format`.
    """
    runs = sorted(path.parent for path in (root / study.name).glob(f"*/{SETTINGS}"))
    if not runs:
        raise SettingsError(f"--resume: a study must have begun under {root / study.name}")
    check_format(runs[-1])
    file = runs[-1] / SETTINGS
    then, now = (
        _leaves(parse_yaml(file.read_text(encoding="utf-8"))),
        _leaves(parse_yaml(to_yaml(study))),
    )
    for key in (*now, *then):
        if then.get(key) != now.get(key):
            raise SettingsError(
                f"--resume: {key} must be as it was when the study began, "
                f"{then.get(key, 'absent')} in {file}, got {now.get(key, 'absent')}"
            )
    return StudyFolder(runs[-1])


def check_format(folder: Path) -> None:
    """Refuse a study's folder, or one below it, that another version of xmrc has written.

    Errors: DataError, also where a file that a study keeps is damaged.
    """
    for place in (folder, *folder.absolute().parents):
        if (place / SETTINGS).exists():
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
