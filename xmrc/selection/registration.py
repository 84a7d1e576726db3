"""The winner becomes a version. In: a study's folder, a tracker. Out: a `Registration`.

All that is needed lies in the folder, so it can be done, once, at any server and at any time.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import xmrc
from xmrc.errors import ResourceError
from xmrc.learning.checkpoints import MODEL
from xmrc.scoring.evaluation_files import read_scores
from xmrc.seals import check_intact
from xmrc.search.folder import CHAMPION, SELECT, VERDICT, VERSION, StudyFolder
from xmrc.search.reading import SCORES_FILE
from xmrc.selection.champion import Winner, read_shown
from xmrc.selection.contenders import Contender
from xmrc.selection.promotion import Verdict, decide_promotion, send_promotion, verdict_on
from xmrc.settings import Study
from xmrc.tracking.registry import register, version_made_by
from xmrc.tracking.tracker import Tracker

_PLUGINS = "xmrc.plugins"  # a tag of the version
_PACKAGE = Path(xmrc.__file__).parent
_REQUIRED = ("torch", "transformers", "pyarrow", "pydantic", "ruamel.yaml", "filelock", "pandas")


@dataclass(frozen=True)
class Registration:
    """The version that a study's winner became."""

    model: str  # models:/NAME@champion, or @challenger
    version: str
    verdict: Verdict


def register_winner(
    folder: StudyFolder, study: Study, tracker: Tracker, winner: Winner, found: Sequence[Contender]
) -> Registration:
    """Decide on the winner and register it, unless this server has a version of the study already.

    `found`: the contenders of a confirmation, the winner first. Errors: ResourceError if MLflow
    does not answer or the reader is gone, DataError if it was damaged.
    """
    name = study.tracking.register_as
    known = version_made_by(tracker, name)
    if known is None:
        send_promotion(folder, tracker, found)
        verdict = decide_promotion(folder, study, tracker, found)
        version = _register(folder, study, tracker, winner, verdict)
    else:
        verdict, version = verdict_on(known), known.number
    folder.remember(**{VERSION: version, VERDICT: asdict(verdict)})
    return Registration(f"models:/{name}@{verdict.alias}", version, verdict)


def _register(
    folder: StudyFolder, study: Study, tracker: Tracker, winner: Winner, verdict: Verdict
) -> str:
    shown = read_shown(folder.path / CHAMPION)
    text = description(study, winner, folder.state()[SELECT])
    return register(
        tracker,
        _reader(folder, winner),
        name=study.tracking.register_as,
        code=_PACKAGE / "tracking" / "pyfunc_model.py",
        code_paths=[_PACKAGE],
        requirements=[f"{name}=={metadata.version(name)}" for name in _REQUIRED],
        scores=read_scores(folder.path / CHAMPION / SCORES_FILE).metrics,
        example={"question": shown.question, "context": shown.context},
        description=f"{text} {verdict.reason}",
        trial=winner.reader.id,
        alias=verdict.alias,
        tags={**verdict.on_version, **_plugin_tags(study)},
    )


def _reader(folder: StudyFolder, winner: Winner) -> Path:
    """The checkpoint of the reader that stands for the winner."""
    reader = folder.path / (winner.reader.checkpoint or "") / MODEL
    if not reader.is_dir():
        raise ResourceError(f"{reader}: must be there, to register the winner")
    check_intact(reader)
    return reader


def description(study: Study, winner: Winner, select: str) -> str:
    """What the registry says of the version."""
    trial, reader = winner.trial, winner.reader
    values = ", ".join(f"{key} = {value}" for key, value in trial.values.items())
    return (
        f"Trial {trial.number} of study {study.name}: {study.search.metric} {reader.best:.2f} "
        f"on {select}. {winner.note}{f' {values}.' if values else ''}{_made_with(study)}"
    )


def _made_with(study: Study) -> str:
    """Which plugins had a part in it; the reader itself needs none of them."""
    names = ", ".join(Path(plugin).name for plugin in study.plugins)
    return f" Trained with the plugins {names}." if names else ""


def _plugin_tags(study: Study) -> dict[str, str]:
    return {_PLUGINS: json.dumps(list(study.plugins))} if study.plugins else {}
