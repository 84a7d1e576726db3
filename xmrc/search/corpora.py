"""The corpora of a study. In: settings. Out: what is trained on and what is scored, leaks refused.

Nothing here is tokenised or trained; every corpus is read in full, so that what is missing or
blind is known before anything begins.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from xmrc.data.alignment import align
from xmrc.data.cache import Cache
from xmrc.data.corpora import Corpus, across_languages, load_corpus
from xmrc.data.examples import Example
from xmrc.data.leakage import check_leakage, check_unseen, drop_overlap, held_out
from xmrc.data.sampling import sampled_languages
from xmrc.data.scored_set import ScoredSet
from xmrc.data.training_data import TrainingData
from xmrc.errors import DataError, SettingsError
from xmrc.settings import (
    DataSettings,
    FinalSettings,
    PromotionSettings,
    RunSettings,
    Study,
    reach,
    with_values,
)

_Unseen = Literal["promotion", "final"]


@dataclass(frozen=True)
class StudyData:
    """What a study trains and scores on: in memory as it was read, in the cache once it is stored.

    `base` is None where no base is trained; `dropped` counts the examples of it that are scored on
    too. `encoder` and `cache` are empty until the corpora are stored (`prepare`).
    """

    train: Corpus
    select: ScoredSet
    base: Corpus | None
    final: tuple[ScoredSet, ...] = ()
    promotion: ScoredSet | None = None
    dropped: int = 0
    encoder: str = ""  # folder or hub id
    cache: Path = Path()

    @property
    def unseen(self) -> list[ScoredSet]:
        """The sets that the search never sees."""
        return [*self.final, *([self.promotion] if self.promotion else [])]

    @property
    def content(self) -> dict[str, str]:
        """The hash of each corpus, for whoever wants to know what was read."""
        named = {"train": self.train, "select": self.select, "base": self.base}
        named |= {f"final.{one.name}": one for one in self.final}
        named["promotion"] = self.promotion
        return {f"data.{role}": one.content for role, one in named.items() if one is not None}

    @property
    def labels(self) -> dict[str, str]:
        """How the corpora that are scored overlap with training, of those that do."""
        named = {"select": self.select, **{f"final.{one.name}": one for one in self.final}}
        return {f"overlap.{role}": one.label for role, one in named.items() if one.label}

    def training(self, settings: RunSettings) -> TrainingData:
        """What a trial with these settings is trained on, once the corpora are stored."""
        return TrainingData(self.train.path, settings.data, settings.training.seed, self.cache)

    def stored(self, cache: Cache, data: DataSettings) -> "StudyData":
        """The same at rest in the cache: of the training corpus what is trained on."""
        trained_on = replace(self.train, examples=_training_examples(self.train, data))
        return replace(
            self,
            train=trained_on.stored(cache),
            select=self.select.stored(cache),
            base=self.base and self.base.stored(cache),
            final=tuple(one.stored(cache) for one in self.final),
            promotion=self.promotion and self.promotion.stored(cache),
            cache=cache.root,
        )


def study_corpora(study: Study) -> StudyData:
    """All that a study trains and scores on.

    Errors: as in `read_corpora`; SettingsError if a question that is to be watched is not selected
    on.
    """
    promotion = None if study.search.confirm is None else study.promotion
    corpora = read_corpora(widest(study), study.search.final, promotion)
    _check_watched(study.tracking.watch, corpora)
    _check_metric(study.search.metric, corpora.select)
    return corpora


def _check_metric(metric: str, select: Corpus) -> None:
    """SettingsError: the selection set has no language pair that the metric is a mean over."""
    same = {one.question_language == one.context_language for one in select.examples}
    needs = {"gxlt_cross": (False, "two languages"), "xlt": (True, "one language")}
    wanted, words = needs.get(metric.rpartition("_")[0], (None, ""))
    if wanted is not None and wanted not in same:
        raise SettingsError(
            f"search.metric: must be one that settings.data.select has, and {select.name}, in the "
            f"languages of the study, has no question over a context of {words}, got {metric}"
        )


def _check_watched(ids: Sequence[str], corpora: StudyData) -> None:
    """SettingsError: an id that is not in the selection set, so that no evaluation reads it."""
    known = {one.id for one in corpora.select.examples}
    for absent in (id for id in ids if id not in known):
        aside = corpora.promotion.examples if corpora.promotion else []
        kept_aside = any(one.id == absent for one in aside)
        why = ", which is kept aside for the promotion" if kept_aside else ""
        name = corpora.select.name
        raise SettingsError(
            f"tracking.watch: must be question ids of settings.data.select, {name} (with its "
            f"languages and limit), got {absent!r}{why}"
        )


def read_corpora(
    settings: RunSettings,
    final: Sequence[FinalSettings] = (),
    promotion: PromotionSettings | None = None,
) -> StudyData:
    """Read and check the corpora; with `promotion` also a set for that.

    Errors: DataError if one is missing or untidy, not aligned though ntl asks for it, blind, or
    trained on and scored on too.
    """
    data, base = settings.data, settings.base
    trained_on = sampled_languages(data)
    read = partial(load_corpus, root=data.root, strict=data.strict)
    train = read(data.train, languages=trained_on, limit=data.limit)
    select = read(data.select, languages=data.languages, limit=data.ids_scored)
    from_corpus = None
    if base is not None and base.corpus is not None:
        from_corpus = read(base.corpus, languages=base.languages, limit=base.limit)
    for corpus in (train, select, from_corpus):
        if corpus is not None:
            _check_answered(corpus)
    if data.sampling == "pairs":  # refuses a corpus that is not parallel
        align(train.name, _training_examples(train, data), sampled_languages(data))
    corpora = StudyData(
        train,
        ScoredSet.of(across_languages(select), "select"),
        from_corpus,
        final=tuple(_read_unseen(one, "final", data) for one in final),
    )
    if promotion is not None:
        corpora = _with_promotion(corpora, promotion, data)
    return _without_leakage(corpora, data)


def _read_unseen(unseen: FinalSettings, role: _Unseen, data: DataSettings) -> ScoredSet:
    """A corpus that the search never sees, with its answers.

    Errors: DataError that names the setting.
    """
    name, languages = unseen.corpus, unseen.languages or data.languages
    try:
        corpus = load_corpus(
            name, root=data.root, languages=languages, limit=data.ids_scored, strict=data.strict
        )
        _check_answered(corpus)
        return ScoredSet.of(across_languages(corpus), role)
    except DataError as error:
        raise DataError(f"{ScoredSet(name, role=role).setting}: {error}") from error


def _with_promotion(
    corpora: StudyData, settings: PromotionSettings, data: DataSettings
) -> StudyData:
    """The corpora and the promotion set: one of its own, or a part of the selection set."""
    if settings.on is not None:
        other = FinalSettings(corpus=settings.on)
        return replace(corpora, promotion=_read_unseen(other, "promotion", data))
    aside, rest = held_out(corpora.select.examples)
    promotion = replace(corpora.select, examples=aside, role="promotion")
    return replace(corpora, select=replace(corpora.select, examples=rest), promotion=promotion)


def _without_leakage(corpora: StudyData, data: DataSettings) -> StudyData:
    """Refuse training on what is scored, take it out of the base, label what may overlap.

    Errors: DataError with the count and examples, unless `data.allow_overlap`.
    """
    training, scored = _training_examples(corpora.train, data), [corpora.select, *corpora.unseen]
    allowed = data.allow_overlap
    check_unseen(corpora.select, corpora.unseen, allow_overlap=allowed)
    labels = iter(check_leakage(corpora.train.name, training, scored, allow_overlap=allowed))
    corpora = replace(
        corpora,
        select=replace(corpora.select, label=next(labels)),
        final=tuple(replace(one, label=next(labels)) for one in corpora.final),
        promotion=corpora.promotion and replace(corpora.promotion, label=next(labels)),
    )
    if corpora.base is None:
        return corpora
    kept, dropped = drop_overlap(corpora.base.examples, scored)
    base = replace(corpora.base, examples=kept)
    return replace(corpora, base=base, dropped=len(dropped))


def widest(study: Study) -> RunSettings:
    """The settings with the largest ntl of the space: the data that every trial needs."""
    sampled = "pairs" in reach(study, "data.sampling")
    values = {"data.ntl": max(ntl_values(study)), "data.sampling": "pairs" if sampled else "none"}
    return with_values(study.settings, values)


def ntl_values(study: Study) -> set[int]:
    """The ntl that trials can have; the ends, of a range."""
    return set(reach(study, "data.ntl"))


def _training_examples(corpus: Corpus, data: DataSettings) -> list[Example]:
    """The examples whose question and context are in one of the sampled languages."""
    if data.sampling == "pairs" and data.ntl > 0 and not corpus.parallel:
        raise DataError(
            f"settings.data.train: a corpus must be parallel (the same question ids in every "
            f"language) for data.ntl above 0, got {corpus.name} with ntl {data.ntl}"
        )
    return [one for one in corpus.examples if one.question_language == one.context_language]


def _check_answered(corpus: Corpus) -> None:
    """DataError: a blind set, which no reader can be trained or scored on."""
    if corpus.answered:
        return
    blind = next(example for example in corpus.examples if not example.answers)
    raise DataError(
        f"corpus {corpus.name}: every question must have an answer to train or be scored on, "
        f"but this is a blind set (first: {blind.id})"
    )
