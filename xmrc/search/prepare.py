"""What every trial of a study shares. In: settings. Out: frozen corpora, encoder, jobs to train.

Nothing here trains or needs a cluster: it reads, checks, tokenises and writes into the cache.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from xmrc.data.alignment import align
from xmrc.data.cache import Cache, content_hash
from xmrc.data.corpora import Corpus, across_languages, load_corpus
from xmrc.data.examples import Example
from xmrc.data.features import WindowSize, check_window_size, pair_template
from xmrc.data.frozen import freeze
from xmrc.data.leakage import ScoredSet, check_leakage, drop_overlap
from xmrc.errors import DataError
from xmrc.learning.job import CrossLingualSampling, TrainingJob, distinct_texts
from xmrc.learning.model import (
    DEMO_ENCODER,
    check_positions,
    load_config,
    load_tokenizer,
)
from xmrc.learning.scratch import scratch_encoder
from xmrc.settings import (
    BaseSettings,
    DataSettings,
    EncoderConfig,
    ObjectiveSettings,
    RunSettings,
    Study,
    TrainingSettings,
    with_values,
)

RECIPE = 1  # raised when training changes, so that no base of an older recipe is reused


@dataclass(frozen=True)
class Corpora:
    """The corpora of a study as they were read; `base` is None where no base is trained.

    `dropped` counts the examples of the base that are scored on too. `label` says how the selection
    set overlaps with training, where it may.
    """

    train: Corpus
    select: Corpus
    base: Corpus | None
    dropped: int
    label: str


@dataclass(frozen=True)
class Prepared:
    """Paths in the cache that a trial opens; small enough to travel with every trial."""

    cache: Path
    encoder: str
    train: Path
    select: Path
    base: Path | None

    @property
    def content(self) -> dict[str, str]:
        """The hash of each corpus, for whoever wants to know what was read."""
        files = {"train": self.train, "select": self.select, "base": self.base}
        return {f"data.{role}": file.parent.name for role, file in files.items() if file}


def read_corpora(settings: RunSettings) -> Corpora:
    """Read and check the corpora.

    Errors: DataError if one is missing or untidy, not aligned though ntl asks for it, blind, or
    trained on and scored on too.
    """
    data, base = settings.data, settings.base
    trained_on = sampled_languages(data)
    train = load_corpus(data.train, root=data.root, languages=trained_on, limit=data.limit)
    select = load_corpus(data.select, root=data.root, languages=data.languages, limit=data.limit)
    from_corpus = None
    if base is not None and base.corpus is not None:
        from_corpus = load_corpus(
            base.corpus, root=data.root, languages=base.languages, limit=base.limit
        )
    for corpus in (train, select, from_corpus):
        if corpus is not None:
            _check_answered(corpus)
    if data.sampling == "pairs":
        align_corpus(train, data)
    select = across_languages(select)
    return without_leakage(Corpora(train, select, from_corpus, 0, ""), data)


def without_leakage(corpora: Corpora, data: DataSettings) -> Corpora:
    """Refuse training on what selects, and take it out of the base.

    Errors: DataError with the count and examples, unless `data.allow_overlap`.
    """
    training = training_examples(corpora.train, data)
    scored = [ScoredSet("settings.data.select", corpora.select.name, corpora.select.examples)]
    allowed = data.allow_overlap
    (label,) = check_leakage(corpora.train.name, training, scored, allow_overlap=allowed)
    if corpora.base is None:
        return replace(corpora, label=label)
    kept, dropped = drop_overlap(corpora.base.examples, scored)
    base = replace(corpora.base, examples=kept)
    return replace(corpora, base=base, dropped=len(dropped), label=label)


def widest(study: Study) -> RunSettings:
    """The settings with the largest ntl of the space: the data that every trial needs."""
    return with_values(study.settings, {"data.ntl": max(ntl_values(study))})


def ntl_values(study: Study) -> set[int]:
    """The ntl that trials can have; the ends, of a range."""
    domain = study.space.get("data.ntl")
    if domain is None:
        return {study.settings.data.ntl}
    return {*domain.values, *([study.settings.data.ntl] if domain.when else [])}


def align_corpus(corpus: Corpus, data: DataSettings) -> int:
    """The number of parallel questions to sample from; every language has each of them."""
    return len(align(corpus.name, training_examples(corpus, data), sampled_languages(data)))


def sampled_languages(data: DataSettings) -> Sequence[str]:
    """The source alone at ntl 0, all languages above it and where nothing is sampled."""
    source_alone = data.sampling == "pairs" and data.ntl == 0
    return [data.source_language] if source_alone else data.languages


def training_examples(corpus: Corpus, data: DataSettings) -> list[Example]:
    """The examples whose question and context are in one of the sampled languages."""
    if data.sampling == "pairs" and data.ntl > 0 and not corpus.parallel:
        raise DataError(
            f"settings.data.train: a corpus must be parallel (the same question ids in every "
            f"language) for data.ntl above 0, got {corpus.name} with ntl {data.ntl}"
        )
    return [one for one in corpus.examples if one.question_language == one.context_language]


def prepare(settings: RunSettings, corpora: Corpora, cache: Cache) -> Prepared:
    """Freeze the corpora; find, or build, and check the encoder."""
    check_given_encoder(settings)
    return Prepared(
        cache=cache.root,
        encoder=find_encoder(settings, corpora, cache),
        train=freeze(training_examples(corpora.train, settings.data), cache),
        select=freeze(corpora.select.examples, cache),
        base=None if corpora.base is None else freeze(corpora.base.examples, cache),
    )


def find_encoder(settings: RunSettings, corpora: Corpora, cache: Cache) -> str:
    """The folder or hub id of `encoder`; `scratch` is built here."""
    given = given_encoder(settings)
    if given is not None:
        return given
    corpus = corpora.train.examples + (corpora.base.examples if corpora.base else [])
    sizes = settings.encoder_config or EncoderConfig()
    seed = settings.training.seed
    return str(scratch_encoder(distinct_texts(corpus), sizes, seed, cache))


def given_encoder(settings: RunSettings) -> str | None:
    """Resolve `demo`, a folder, or a hub id as it is; None for `scratch`."""
    if settings.encoder == "demo":
        return str(DEMO_ENCODER)
    if settings.encoder == "scratch":
        return None
    folder = Path(settings.encoder).expanduser()
    return str(folder.absolute()) if folder.is_dir() else settings.encoder


def check_given_encoder(settings: RunSettings) -> None:
    """Refuse, before anything is written, what no window of the settings' size fits into.

    Errors: DataError if it cannot be opened, SettingsError if the sizes do not fit it.
    """
    encoder, size = given_encoder(settings), window_size(settings)
    if encoder is None:  # made to fit
        return
    check_window_size(size, pair_template(load_tokenizer(encoder)))
    check_positions(load_config(encoder), encoder, size.max_length)


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
        RECIPE,
        checkpoint_hash(job.start),
        job.train.parent.name,
        [job.size.max_length, job.size.max_question_tokens, job.size.stride],
        job.training.model_dump(),
    )


def checkpoint_hash(source: str) -> str:
    """The content of a folder, or the name of a hub id."""
    folder = Path(source)
    if not folder.is_dir():
        return content_hash(source)
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return content_hash(*((part) for path in files for part in (path.name, path.read_bytes())))


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


def _check_answered(corpus: Corpus) -> None:
    if corpus.answered:
        return
    blind = next(example for example in corpus.examples if not example.answers)
    raise DataError(
        f"corpus {corpus.name}: every question must have an answer to train or select on, "
        f"but this is a blind set (first: {blind.id})"
    )
