"""A study, tried out in a minute. In: a checked study. Out: the same on the embedded corpus.

Encoder, corpora and lengths become the demo's, at most three trials train for one epoch on a few
questions; everything else (objective, space, search, promotion) stays as the file says. A key that
is searched and that the demo fixes (the size of windows, the languages) is not searched here. What
is watched are questions of the demo.
"""

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from xmrc.data.demo.corpus import DEMO_LANGUAGES
from xmrc.search.corpora import study_corpora
from xmrc.search.space import trial_count
from xmrc.settings import (
    ConfirmSettings,
    FinalSettings,
    RunSettings,
    SearchSettings,
    Space,
    Study,
    TrackingSettings,
    with_values,
)

_Entry = TypeVar("_Entry")

_TRIALS = 3
_QUESTIONS = 12  # aligned ids to train and to select on
_BASE_QUESTIONS = 300
_FINAL = FinalSettings(corpus="demo/test")
_CONFIRM = ConfirmSettings(top=2, seeds=2)

_SHORT: dict[str, Any] = {
    "encoder": "demo",
    "encoder_config": None,
    "base": {
        "corpus": "demo/train",
        "languages": ["en"],
        "limit": _BASE_QUESTIONS,
        "epochs": 1,
        "batch_size": 32,
        "learning_rate": 2e-3,
    },
    "data": {
        "train": "demo/train",
        "select": "demo/dev",
        "limit": _QUESTIONS,
        "scored_limit": None,
        "max_length": 128,
        "max_question_tokens": 32,
        "stride": 16,
    },
    "training": {"epochs": 1, "batch_size": 32},
}


def rehearsal(study: Study) -> Study:
    """The study to run in place of `study`; nothing of its name is registered.

    Errors: SettingsError if the file's objective does not suit the demo's settings.
    """
    fixed = _demo_values(study.settings)
    study = study.model_copy(update={"space": _left_of(study.space, fixed)})
    short = study.model_copy(
        update={
            "name": f"{study.name}-rehearsal",
            "settings": with_values(study.settings, fixed),
            "search": _short_search(study, fixed),
            "promotion": study.promotion.model_copy(update={"on": None}),
            "tracking": TrackingSettings(),
        }
    )
    return short.model_copy(update={"tracking": _short_tracking(study.tracking, short)})


def _demo_values(settings: RunSettings) -> dict[str, Any]:
    """The demo's encoder, corpora and lengths, by dotted key, in place of the file's."""
    values = {
        f"{section}.{key}": value
        for section, part in _SHORT.items()
        if section in ("data", "training")
        for key, value in part.items()
    }
    languages = [one for one in settings.data.languages if one in DEMO_LANGUAGES]
    source = settings.data.source_language
    if source not in languages or len(languages) < 2:
        languages, source = ["en", "es", "de"], "en"
    values |= {"data.languages": languages, "data.source_language": source}
    values |= {key: _SHORT[key] for key in ("encoder", "encoder_config")}
    if settings.base is not None:
        values["base"] = _SHORT["base"]
    return values


def _left_of(space: Space, fixed: Collection[str]) -> Space:
    """The space without the keys that are fixed, and without conditions on them."""
    return {
        key: domain.model_copy(update={"when": _without(domain.when, fixed)})
        for key, domain in _without(space, fixed).items()
    }


def _short_search(study: Study, fixed: Collection[str]) -> SearchSettings:
    """A few trials; one final set and a small confirmation, where the file has any."""
    search = study.search
    return search.model_copy(
        update={
            "trials": min(_TRIALS, trial_count(study)),
            "final": (_FINAL,) if search.final else (),
            "confirm": search.confirm and _CONFIRM,
            "start_from": tuple(_without(point, fixed) for point in search.start_from),
        }
    )


def _short_tracking(tracking: TrackingSettings, short: Study) -> TrackingSettings:
    """Another name in the registry, and as many watched questions of the demo as of the file."""
    ids: dict[str, None] = {}
    if tracking.watch:
        ids = dict.fromkeys(one.id for one in study_corpora(short).select.examples)
    watch = tuple(ids)[: len(tracking.watch)]
    name = f"{tracking.register_as}-rehearsal"
    return tracking.model_copy(update={"register_as": name, "watch": watch})


def _without(entries: Mapping[str, _Entry], keys: Collection[str]) -> dict[str, _Entry]:
    return {key: entry for key, entry in entries.items() if key not in keys}
