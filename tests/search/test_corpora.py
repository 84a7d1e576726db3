# ruff: noqa: E501  (tables and settings with one fact a line)
"""What a study trains on: the source alone, sampled pairs, or translations by path as they are."""

import json
from collections import Counter

import pytest
from transformers import AutoTokenizer

from xmrc.data.cache import Cache
from xmrc.data.demo.corpus import DEMO_ENCODER
from xmrc.errors import DataError, SettingsError
from xmrc.search.corpora import ntl_values, read_corpora, study_corpora, widest
from xmrc.search.prepare import base_job, base_key, prepare, trial_job
from xmrc.settings import load_study

SETTINGS = """
name: few
settings:
  encoder: demo
  base: null
  start_from_base: false
  data: {train: %s, select: demo/dev, languages: [en, es, de], limit: 6, max_length: 128, max_question_tokens: 32, stride: 16}
  training: {batch_size: 8}
"""


def squad(folder, name, ids):
    """A SQuAD-format file whose questions have these ids."""
    questions = [
        {"id": id, "question": f"who {id}", "answers": [{"text": "Ada", "answer_start": 0}]}
        for id in ids
    ]
    paragraphs = [{"context": f"Ada was here, says {name}", "qas": questions}]
    (folder / name).write_text(json.dumps({"data": [{"title": "t", "paragraphs": paragraphs}]}))


@pytest.fixture
def load(tmp_path):
    def load(train, *overrides):
        path = tmp_path / "few.yaml"
        path.write_text(SETTINGS % json.dumps(str(train)))
        return load_study(path, overrides)

    return load


def trained_pairs(study, tmp_path):
    """How many examples of each language pair one epoch has."""
    settings = widest(study)
    prepared = prepare(settings, read_corpora(settings), Cache(tmp_path / "cache"))
    tokenizer = AutoTokenizer.from_pretrained(DEMO_ENCODER)
    examples = prepared.training(study.settings).windows(tokenizer).examples
    return Counter((one.question_language, one.context_language) for one in examples)


def test_translations_are_trained_on_as_they_are(load, tmp_path):
    # a translation lacks the questions whose answers were lost in it
    squad(tmp_path, "squad.en.json", ["a", "b", "c"])
    squad(tmp_path, "squad.translate.train.en-es.json", ["a", "c"])
    squad(tmp_path, "squad.translate.train.en-de.json", ["b"])
    study = load(tmp_path / "squad*.json", "settings.data.sampling=none")
    expected = {("en", "en"): 3, ("es", "es"): 2, ("de", "de"): 1}
    assert trained_pairs(study, tmp_path) == expected
    sampled = load(tmp_path / "squad*.json", "settings.data.ntl=2")
    with pytest.raises(DataError, match="is not aligned"):
        read_corpora(sampled.settings)


def test_the_source_alone_needs_no_other_language(load, tmp_path):
    squad(tmp_path, "squad.en.json", ["a", "b", "c"])
    study = load(tmp_path / "squad.en.json", "settings.data.ntl=0")
    assert trained_pairs(study, tmp_path) == {("en", "en"): 3}
    assert set(read_corpora(study.settings).select.context_languages) == {"en", "es", "de"}


def test_sampled_pairs(load, tmp_path):
    assert trained_pairs(load("demo/train", "settings.data.ntl=2"), tmp_path) == {
        (asked, told): 6 for asked in ("en", "es", "de") for told in ("en", "es", "de")
    }


@pytest.mark.parametrize(
    ("space", "values"),
    [
        ("{}", {1}),
        ("{data.ntl: {int: [2, 4]}}", {2, 4}),
        ("{data.ntl: {choice: [2], when: {training.seed: 3}}, training.seed: {choice: [3, 4]}}", {1, 2}),
    ],
)  # fmt: skip
def test_the_ntl_that_trials_can_have(load, space, values):
    study = load("demo/train", "settings.data.ntl=1", f"space={space}")
    assert ntl_values(study) == values
    assert widest(study).data.ntl == max(values)


def test_a_corpus_that_some_trials_sample_from_must_be_parallel(load, tmp_path):
    squad(tmp_path, "squad.en.json", ["a", "b", "c"])
    squad(tmp_path, "squad.es.json", ["d"])
    squad(tmp_path, "squad.de.json", ["e"])
    as_they_are = ["settings.data.sampling=none", "settings.data.ntl=1"]
    read_corpora(widest(load(tmp_path / "squad*.json", *as_they_are)))
    study = load(
        tmp_path / "squad*.json", *as_they_are, "space={data.sampling: {choice: [none, pairs]}}"
    )
    with pytest.raises(DataError, match="must be parallel"):
        read_corpora(widest(study))


# Watched questions


def test_trials_watch_what_the_study_says_and_the_base_nothing(load, tmp_path):
    more = ["settings.base={corpus: demo/train, limit: 20}", "settings.data.limit=6"]
    plain = load("demo/train", *more)
    prepared = prepare(plain.settings, study_corpora(plain), Cache(tmp_path / "cache"))
    ids = [one.id for one in study_corpora(plain).select.examples]
    watching = load("demo/train", *more, f"tracking.watch=[{ids[-1]}, {ids[0]}]")
    study_corpora(watching)
    job = trial_job(watching, prepared, str(DEMO_ENCODER), threads=1)
    assert tuple(job.watch) == (ids[-1], ids[0])
    base = base_job(watching.settings, prepared, 1)
    assert tuple(base.watch) == ()
    assert base_key(base) == base_key(base_job(plain.settings, prepared, 1))


def test_only_questions_that_are_selected_on_are_watched(load):
    with pytest.raises(SettingsError, match=r"tracking\.watch: .*demo/dev .*, got 'nowhere'$"):
        study_corpora(load("demo/train", "tracking.watch=[nowhere]"))
    study = load("demo/train", "search.confirm={top: 1, seeds: 1}")
    aside = study_corpora(study).promotion.examples[0].id
    study_corpora(load("demo/train", f"tracking.watch=[{aside}]"))
    watching = f"tracking.watch=[{aside}]"
    with pytest.raises(SettingsError, match="which is kept aside for the promotion"):
        study_corpora(load("demo/train", "search.confirm={top: 1, seeds: 1}", watching))


@pytest.mark.parametrize(
    ("languages", "metric", "words"),
    [("[en]", "gxlt_cross_f1", "two languages"), ("[en]", "gxlt_cross_em", "two languages")],
)
def test_a_metric_that_the_selection_set_has_no_pairs_for(load, languages, metric, words):
    alone = (f"settings.data.languages={languages}", "settings.data.ntl=0")
    study_corpora(load("demo/train", *alone, "search.metric=xlt_f1"))
    with pytest.raises(SettingsError, match=rf"search\.metric: .*{words}, got {metric}"):
        study_corpora(load("demo/train", *alone, f"search.metric={metric}"))


def test_a_selection_set_across_languages_alone_has_no_xlt(load, tmp_path):
    path = tmp_path / "dev-context-de-question-en.json"
    squad(tmp_path, path.name, ["one", "two"])
    select = f"settings.data.select={path}"
    both = "settings.data.languages=[en, de]"
    study_corpora(load("demo/train", select, both, "search.metric=gxlt_cross_f1"))
    with pytest.raises(SettingsError, match=r"search\.metric: .*one language, got xlt_em"):
        study_corpora(load("demo/train", select, both, "search.metric=xlt_em"))


def test_a_copy_of_the_selection_set_is_none_that_the_search_never_sees(load, tmp_path):
    for language in ("en", "de"):
        squad(tmp_path, f"mine.{language}.json", ["one", "two", "three"])
        squad(tmp_path, f"copy.{language}.json", ["zero", "two", "four"])
    select = f"settings.data.select={tmp_path}/mine.*.json"
    languages = "settings.data.languages=[en, de]"
    final = f"search.final=['{tmp_path}/copy.*.json']"
    with pytest.raises(DataError, match=r"search\.final: .*copy.*by which the search selects.*two"):
        study_corpora(load("demo/train", select, languages, final))
    confirm = ("search.confirm={}", f"promotion.on={tmp_path}/copy.*.json")
    with pytest.raises(DataError, match=r"promotion\.on: .*copy.*by which the search selects"):
        study_corpora(load("demo/train", select, languages, *confirm))
    study_corpora(load("demo/train", select, languages, final, "settings.data.allow_overlap=true"))
