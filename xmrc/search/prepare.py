"""What every trial of a study shares. In: corpora. Out: stored corpora, encoder, jobs to train.

Nothing here trains or needs a cluster: it checks, builds and writes into the cache.
"""

import os
from dataclasses import replace
from pathlib import Path

from huggingface_hub import try_to_load_from_cache
from transformers import PretrainedConfig

from xmrc.data.cache import Cache, content_hash
from xmrc.data.demo.corpus import DEMO_ENCODER
from xmrc.data.features import WindowSize, check_window_size, distinct_texts, pair_template
from xmrc.errors import DataError
from xmrc.learning.candidates import CandidateSource
from xmrc.learning.job import TrainingJob
from xmrc.learning.model import check_positions, load_config, load_model, load_tokenizer
from xmrc.learning.scratch import scratch_architecture, scratch_encoder
from xmrc.seals import SEAL
from xmrc.search.corpora import StudyData, study_corpora
from xmrc.settings import EncoderConfig, ObjectiveSettings, RunSettings, Study, reach
from xmrc.tracking.readers import check_answers

_RECIPE = 1  # raised when training changes, so that no base of an older recipe is reused


def check_study(study: Study) -> StudyData:
    """Refuse what cannot be trained, before anything is written; the corpora, read.

    Errors: DataError and SettingsError, as in `study_corpora` and `_check_checkpoint`.
    """
    corpora = study_corpora(study)
    check_given_encoder(study)
    check_given_base(study)
    return corpora


def prepare(settings: RunSettings, corpora: StudyData, cache: Cache) -> StudyData:
    """Store the corpora; find, or build, the encoder."""
    encoder = find_encoder(settings, corpora, cache)
    return replace(corpora.stored(cache, settings.data), encoder=encoder)


def find_encoder(settings: RunSettings, corpora: StudyData, cache: Cache) -> str:
    """The folder or hub id of `encoder`; `scratch` is built here."""
    given = _given_encoder(settings)
    if given is not None:
        return given
    corpus = [*corpora.train.examples, *(corpora.base.examples if corpora.base else ())]
    sizes = settings.encoder_config or EncoderConfig()
    seed = settings.training.seed
    return str(scratch_encoder(distinct_texts(corpus), sizes, seed, cache))


def reader_architecture(settings: RunSettings) -> PretrainedConfig:
    """Of the reader that trials train, nothing built or trained yet.

    Errors: DataError if it cannot be opened.
    """
    base, encoder = settings.base, _given_encoder(settings)
    if base is not None and base.model is not None and settings.start_from_base:
        return load_config(given_base(base.model))
    if encoder is not None:
        return load_config(encoder)
    sizes = settings.encoder_config or EncoderConfig()
    return scratch_architecture(sizes, sizes.vocab_size)


def _given_encoder(settings: RunSettings) -> str | None:
    """Resolve `demo`, a folder, or a hub id as it is; None for `scratch`."""
    if settings.encoder == "demo":
        return str(DEMO_ENCODER)
    if settings.encoder == "scratch":
        return None
    folder = Path(os.path.expanduser(settings.encoder))
    return str(folder.absolute()) if folder.is_dir() else settings.encoder


def check_given_encoder(study: Study) -> None:
    """Refuse, before anything is written, an encoder that no reader of the study can be made of.

    Errors: as in `_check_checkpoint`.
    """
    encoder = _given_encoder(study.settings)
    if encoder is not None:  # else it is made to fit
        _check_checkpoint(encoder, study)


def check_given_base(study: Study) -> None:
    """Refuse, before anything is written, a `base.model` that is no reader.

    Errors: DataError if it is not there or cannot answer, else as in `_check_checkpoint`.
    """
    base = study.settings.base
    if base is not None and base.model is not None:
        folder = given_base(base.model)
        check_answers(Path(folder))
        _check_checkpoint(folder, study)


def given_base(model: str) -> str:
    """The folder of a base that was trained before (DataError: it is none)."""
    folder = Path(os.path.expanduser(model))
    if not (folder / "config.json").is_file():
        raise DataError(f"settings.base.model: must be the folder of a checkpoint, got {model}")
    return str(folder.absolute())


def _check_checkpoint(source: str, study: Study) -> None:
    """Refuse a checkpoint that cannot be opened, or that the study's windows do not fit into.

    Errors: DataError, SettingsError. The weights of a hub id are opened once the study begins.
    """
    check_window_size(WindowSize.of(study.settings.data), pair_template(load_tokenizer(source)))
    longest = max(reach(study, "data.max_length"))
    check_positions(load_config(source), source, longest)
    if Path(source).is_dir():
        load_model(source, seed=0)


def base_job(settings: RunSettings, prepared: StudyData, threads: int) -> TrainingJob:
    """Training of the base: plain cross-entropy on its corpus, as it is."""
    assert prepared.base is not None
    return TrainingJob(
        start=prepared.encoder,
        train=prepared.base.path,
        select=None,
        settings=_base_settings(settings),
        evaluate_every=1.0,
        metric=None,
        cache=prepared.cache,
        threads=threads,
    )


def trial_job(
    study: Study,
    prepared: StudyData,
    start: str,
    threads: int,
    candidates: CandidateSource | None = None,
) -> TrainingJob:
    """Training of a trial with the file's own values, on sampled language pairs.

    `start`: the base, or the encoder.
    """
    return TrainingJob(
        start=start,
        train=prepared.train.path,
        select=prepared.select.path,
        settings=study.settings,
        evaluate_every=study.search.evaluate_every,
        metric=study.search.metric,
        cache=prepared.cache,
        threads=threads,
        candidates=candidates,
        watch=study.tracking.watch,
    )


def _base_settings(settings: RunSettings) -> RunSettings:
    """Those of the base's training, in the places of a trial's."""
    base = settings.base
    assert base is not None
    names = ("epochs", "batch_size", "learning_rate", "weight_decay", "warmup", "seed")
    own = {name: getattr(base, name) for name in names}
    return settings.model_copy(
        update={
            "data": settings.data.model_copy(update={"sampling": "none"}),
            "objective": ObjectiveSettings(),
            "training": settings.training.model_copy(update=own),
        }
    )


def base_key(job: TrainingJob) -> str:
    """The hash of everything that the weights of a base depend on."""
    size = job.data.size
    return content_hash(
        _RECIPE,
        checkpoint_hash(job.start),
        job.train.parent.name,
        [size.max_length, size.max_question_tokens, size.stride],
        job.settings.training.model_dump(),
    )


def checkpoint_hash(source: str) -> str:
    """The content of a folder, or the name of a hub id and its commit there."""
    folder = Path(source)
    if not folder.is_dir():
        return content_hash(source, _hub_commit(source))
    files = sorted(one for one in folder.iterdir() if one.is_file() and one.name != SEAL)
    return content_hash(*((part) for path in files for part in (path.name, path.read_bytes())))


def _hub_commit(source: str) -> str | None:
    """The commit of a hub id that was opened on this machine; None of one that was not."""
    found = try_to_load_from_cache(source, "config.json")
    return Path(found).parent.name if isinstance(found, str) else None
