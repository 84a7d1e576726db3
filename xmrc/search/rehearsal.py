"""A study, tried out in a minute. In: a checked study. Out: the same on the embedded corpus.

Encoder, corpora and lengths become the demo's, at most three trials train for one epoch on a few
questions; everything else (objective, space, search, promotion) stays as the file says.
"""

from typing import Any

from xmrc.data.demo import LANGUAGES
from xmrc.search.space import trial_count
from xmrc.settings import ConfirmSettings, FinalSettings, RunSettings, Study, with_values

TRIALS = 3
QUESTIONS = 12  # aligned ids to train and to select on
BASE_QUESTIONS = 300
FINAL = FinalSettings(corpus="demo/test")
CONFIRM = ConfirmSettings(top=2, seeds=2)

SHORT: dict[str, Any] = {
    "encoder": "demo",
    "encoder_config": None,
    "base": {
        "corpus": "demo/train",
        "languages": ["en"],
        "limit": BASE_QUESTIONS,
        "epochs": 1,
        "batch_size": 32,
        "learning_rate": 2e-3,
    },
    "data": {
        "train": "demo/train",
        "select": "demo/dev",
        "limit": QUESTIONS,
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
    tracking = study.tracking.model_copy(
        update={"register_as": f"{study.tracking.register_as}-rehearsal"}
    )
    final = (FINAL,) if study.search.final else ()
    trials = min(TRIALS, trial_count(study))
    short = {"trials": trials, "final": final, "confirm": study.search.confirm and CONFIRM}
    search = study.search.model_copy(update=short)
    return study.model_copy(
        update={
            "name": f"{study.name}-rehearsal",
            "settings": short_settings(study.settings),
            "search": search,
            "promotion": study.promotion.model_copy(update={"on": None}),
            "tracking": tracking,
        }
    )


def short_settings(settings: RunSettings) -> RunSettings:
    """The demo's encoder, corpora and lengths in place of the file's."""
    values = {
        f"{section}.{key}": value
        for section, part in SHORT.items()
        if section in ("data", "training")
        for key, value in part.items()
    }
    languages = [one for one in settings.data.languages if one in LANGUAGES]
    source = settings.data.source_language
    if source not in languages or len(languages) < 2:
        languages, source = ["en", "es", "de"], "en"
    values |= {"data.languages": languages, "data.source_language": source}
    values |= {key: SHORT[key] for key in ("encoder", "encoder_config")}
    if settings.base is not None:
        values["base"] = SHORT["base"]
    return with_values(settings, values)
