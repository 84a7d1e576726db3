"""The base reader. In: settings and prepared corpora. Out: the checkpoint that trials start from.

Trained once per content hash and kept in the cache, for every trial and every later study.
"""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from xmrc.data.cache import Cache
from xmrc.errors import DataError
from xmrc.learning.worker import WorkerResources
from xmrc.search.corpora import StudyData
from xmrc.search.folder import StudyFolder
from xmrc.search.prepare import base_job, base_key, check_checkpoint
from xmrc.search.progress import clock
from xmrc.search.tuner import train_once
from xmrc.settings import RunSettings, Study
from xmrc.tracking.readers import check_answers

_MAX_FAILURES = 1  # restarts of the base's training after a lost worker


def find_start(
    settings: RunSettings,
    prepared: StudyData,
    resources: WorkerResources,
    folder: StudyFolder,
    say: Callable[[str], None],
) -> str:
    """The checkpoint that trials start from: the base, or the encoder itself."""
    if settings.base is None or not settings.start_from_base:
        return prepared.encoder
    return find_base(settings, prepared, resources, folder, say)


def find_base(
    settings: RunSettings,
    prepared: StudyData,
    resources: WorkerResources,
    folder: StudyFolder,
    say: Callable[[str], None],
) -> str:
    """The checkpoint of the base, found or trained now.

    Errors: TrialFailedError if the base cannot be trained, DataError if its model is not there.
    """
    base = settings.base
    assert base is not None
    if base.model is not None:
        return _given(base.model)
    job = base_job(settings, prepared, resources.threads)
    key = base_key(job)
    cache = Cache(prepared.cache)
    began = time.time()

    def train(target: Path) -> None:
        say(f"base: training on {base.corpus} ({base.epochs} epochs)")
        trained = train_once(job, resources, folder.path, "base", _MAX_FAILURES)
        shutil.copytree(trained, target, dirs_exist_ok=True)

    known = (cache.root / "base" / key).exists()
    found = cache.build("base", key, train)
    say(f"base: found in {found}" if known else f"base: trained in {clock(time.time() - began)}")
    return str(found)


def check_given_base(study: Study) -> None:
    """Refuse, before anything is written, a `base.model` that is no reader.

    Errors: DataError if it is not there or cannot answer, else as in `check_checkpoint`.
    """
    base = study.settings.base
    if base is not None and base.model is not None:
        folder = _given(base.model)
        check_answers(Path(folder))
        check_checkpoint(folder, study)


def _given(model: str) -> str:
    folder = Path(os.path.expanduser(model))
    if not (folder / "config.json").is_file():
        raise DataError(f"settings.base.model: must be the folder of a checkpoint, got {model}")
    return str(folder.absolute())
