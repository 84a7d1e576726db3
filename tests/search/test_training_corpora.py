# ruff: noqa: E501  (tables and settings with one fact a line)
"""What a study trains on: the source alone, sampled pairs, or translations by path as they are."""

import json
from collections import Counter

import pytest
from transformers import AutoTokenizer

from xmrc.data.cache import Cache
from xmrc.errors import DataError
from xmrc.learning.job import training_windows
from xmrc.learning.model import DEMO_ENCODER
from xmrc.search.corpora import ntl_values, read_corpora, widest
from xmrc.search.prepare import prepare, trial_job
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
    job = trial_job(
        study.settings,
        prepared,
        start=str(DEMO_ENCODER),
        evaluate_every=1.0,
        metric="gxlt_f1",
        threads=1,
    )
    examples = training_windows(job, AutoTokenizer.from_pretrained(DEMO_ENCODER)).examples
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
