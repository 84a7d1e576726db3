"""What every trial of a study shares. In: corpora. Out: frozen corpora, encoder, jobs to train.

Nothing here trains or needs a cluster: it checks, builds and writes into the cache.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import try_to_load_from_cache

from xmrc.data.cache import Cache, content_hash
from xmrc.data.demo.corpus import DEMO_ENCODER
from xmrc.data.features import WindowSize, check_window_size, pair_template
from xmrc.data.store import store_examples
from xmrc.learning.job import CrossLingualSampling, TrainingJob, distinct_texts
from xmrc.learning.model import check_positions, load_config, load_model, load_tokenizer
from xmrc.learning.scratch import scratch_encoder
from xmrc.search.corpora import Corpora, ScoredCorpus, sampled_languages, training_examples
from xmrc.settings import (
    BaseSettings,
    DataSettings,
    EncoderConfig,
    ObjectiveSettings,
    RunSettings,
    Study,
    TrainingSettings,
    reach,
)

_RECIPE = 1  # raised when training changes, so that no base of an older recipe is reused


@dataclass(frozen=True)
class FrozenCorpus:
    """A corpus that the search never sees, at rest in the cache."""

    name: str
    examples: Path
    label: str


@dataclass(frozen=True)
class Prepared:
    """Paths in the cache that a trial opens; small enough to travel with every trial."""

    cache: Path
    encoder: str
    train: Path
    select: Path
    base: Path | None
    label: str = ""  # how the selection set overlaps with training
    final: tuple[FrozenCorpus, ...] = ()
    promotion: FrozenCorpus | None = None

    @property
    def content(self) -> dict[str, str]:
        """The hash of each corpus, for whoever wants to know what was read."""
        files = {"train": self.train, "select": self.select, "base": self.base}
        files |= {f"final.{one.name}": one.examples for one in self.final}
        if self.promotion is not None:
            files["promotion"] = self.promotion.examples
        return {f"data.{role}": file.parent.name for role, file in files.items() if file}

    @property
    def labels(self) -> dict[str, str]:
        """How the corpora that are scored overlap with training, of those that do."""
        found = {"select": self.label, **{f"final.{one.name}": one.label for one in self.final}}
        return {f"overlap.{role}": label for role, label in found.items() if label}


def prepare(settings: RunSettings, corpora: Corpora, cache: Cache) -> Prepared:
    """Freeze the corpora; find, or build, the encoder."""
    return Prepared(
        cache=cache.root,
        encoder=find_encoder(settings, corpora, cache),
        train=store_examples(training_examples(corpora.train, settings.data), cache),
        select=store_examples(corpora.select.examples, cache),
        base=None if corpora.base is None else store_examples(corpora.base.examples, cache),
        label=corpora.label,
        final=tuple(_freeze_scored(one, cache) for one in corpora.final),
        promotion=_freeze_scored(corpora.promotion, cache) if corpora.promotion else None,
    )


def _freeze_scored(scored: ScoredCorpus, cache: Cache) -> FrozenCorpus:
    """Write a corpus that the search never sees into the cache."""
    corpus = scored.corpus
    return FrozenCorpus(corpus.name, store_examples(corpus.examples, cache), scored.label)


def find_encoder(settings: RunSettings, corpora: Corpora, cache: Cache) -> str:
    """The folder or hub id of `encoder`; `scratch` is built here."""
    given = _given_encoder(settings)
    if given is not None:
        return given
    corpus = corpora.train.examples + (corpora.base.examples if corpora.base else [])
    sizes = settings.encoder_config or EncoderConfig()
    seed = settings.training.seed
    return str(scratch_encoder(distinct_texts(corpus), sizes, seed, cache))


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

    Errors: as in `check_checkpoint`.
    """
    encoder = _given_encoder(study.settings)
    if encoder is not None:  # else it is made to fit
        check_checkpoint(encoder, study)


def check_checkpoint(source: str, study: Study) -> None:
    """Refuse a checkpoint that cannot be opened, or that the study's windows do not fit into.

    Errors: DataError, SettingsError. The weights of a hub id are opened once the study begins.
    """
    check_window_size(window_size(study.settings), pair_template(load_tokenizer(source)))
    longest = max(reach(study, "data.max_length"))
    check_positions(load_config(source), source, longest)
    if Path(source).is_dir():
        load_model(source, seed=0)


def base_job(settings: RunSettings, prepared: Prepared, threads: int) -> TrainingJob:
    """Training of the base: plain cross-entropy on its corpus, as it is."""
    base = settings.base
    assert base is not None
    assert prepared.base is not None
    return TrainingJob(
        start=prepared.encoder,
        train=prepared.base,
        sampling=None,
        select=None,
        size=window_size(settings),
        objective=ObjectiveSettings(),
        training=_base_training(base, settings.training),
        evaluate_every=1.0,
        metric=None,
        cache=prepared.cache,
        threads=threads,
    )


def trial_job(
    settings: RunSettings,
    prepared: Prepared,
    *,
    start: str,
    evaluate_every: float,
    metric: str,
    threads: int,
) -> TrainingJob:
    """Training of one trial, from the base (or the encoder) on sampled language pairs."""
    data = settings.data
    return TrainingJob(
        start=start,
        train=prepared.train,
        sampling=_sampling(data),
        select=prepared.select,
        size=window_size(settings),
        objective=settings.objective,
        training=settings.training,
        evaluate_every=evaluate_every,
        metric=metric,
        cache=prepared.cache,
        threads=threads,
    )


def _sampling(data: DataSettings) -> CrossLingualSampling | None:
    if data.sampling == "none":
        return None
    return CrossLingualSampling(sampled_languages(data), data.source_language, data.ntl)


def base_key(job: TrainingJob) -> str:
    """The hash of everything that the weights of a base depend on."""
    return content_hash(
        _RECIPE,
        checkpoint_hash(job.start),
        job.train.parent.name,
        [job.size.max_length, job.size.max_question_tokens, job.size.stride],
        job.training.model_dump(),
    )


def checkpoint_hash(source: str) -> str:
    """The content of a folder, or the name of a hub id and its commit there."""
    folder = Path(source)
    if not folder.is_dir():
        return content_hash(source, _hub_commit(source))
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return content_hash(*((part) for path in files for part in (path.name, path.read_bytes())))


def _hub_commit(source: str) -> str | None:
    """The commit of a hub id that was opened on this machine; None of one that was not."""
    found = try_to_load_from_cache(source, "config.json")
    return Path(found).parent.name if isinstance(found, str) else None


def window_size(settings: RunSettings) -> WindowSize:
    """How the settings cut questions and contexts."""
    data = settings.data
    return WindowSize(data.max_length, data.max_question_tokens, data.stride)


def _base_training(base: BaseSettings, training: TrainingSettings) -> TrainingSettings:
    own = {
        name: getattr(base, name)
        for name in ("epochs", "batch_size", "learning_rate", "weight_decay", "warmup", "seed")
    }
    return training.model_copy(update=own)
