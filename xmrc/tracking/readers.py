"""Trained readers by name. In: a folder, or models:/NAME@ALIAS. Out: the folder of a checkpoint."""

import os
from pathlib import Path

from xmrc.errors import DataError
from xmrc.learning.model import load_config
from xmrc.seals import check_intact

_HEAD = "ForQuestionAnswering"  # in the name of every architecture that can be a reader


def find_reader(model: str, *, storage: Path, tracking_uri: str | None) -> Path:
    """The checkpoint that `model` names, on this machine.

    Errors: ResourceError if there is no such folder, model or tracking server; DataError if it is
    no checkpoint, one of a model that cannot answer, or one that was damaged.
    """
    folder = Path(os.path.expanduser(model))
    if model.startswith("models:") or (folder / "MLmodel").exists() or not folder.is_dir():
        # MLflow takes seconds to import, and most checkpoints need none of it.
        from xmrc.tracking.registry import fetch

        cache = storage / "cache" / "models"
        folder = fetch(model, uri=tracking_uri, storage=str(storage), cache=cache)
    check_intact(folder)
    check_answers(folder)
    return folder


def check_answers(folder: Path) -> None:
    """DataError for an encoder without a span head: with a random one it would answer at random."""
    if not (folder / "config.json").is_file():
        raise DataError(f"{folder}: must be the folder of a checkpoint; it has no config.json")
    named = load_config(str(folder)).architectures or []
    if not any(_HEAD in str(architecture) for architecture in named):
        raise DataError(
            f"{folder / 'config.json'}: architectures must name a reader (...{_HEAD}), "
            f"not {', '.join(map(str, named)) or 'nothing'}"
        )
