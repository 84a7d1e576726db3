"""What trials share: hashes that change with what they are made from, and early checks."""

import pickle
import shutil
from dataclasses import replace

import huggingface_hub
import pytest
from checkpoints import tiny_checkpoint

from xmrc.data.cache import Cache
from xmrc.data.demo.corpus import DEMO_ENCODER
from xmrc.data.sampling import sampled_languages
from xmrc.data.store import load_examples
from xmrc.errors import DataError, SettingsError
from xmrc.search.corpora import study_corpora
from xmrc.search.prepare import (
    base_job,
    base_key,
    check_given_base,
    check_given_encoder,
    checkpoint_hash,
    find_encoder,
    prepare,
    trial_job,
)
from xmrc.settings import load_study

YAML = """
name: few
settings:
  encoder: demo
  base: {corpus: demo/train, languages: [en], limit: 20, epochs: 1}
  data: {train: demo/train, select: demo/dev, languages: [en, es], ntl: 1, limit: 4,
         max_length: 128, max_question_tokens: 32, stride: 16}
"""


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    path = tmp_path_factory.mktemp("prepare") / "few.yaml"
    path.write_text(YAML)

    def load(*overrides):
        return load_study(path, overrides)

    return load


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def usual_key(load, cache):
    """Of the base of the settings as they are."""
    return key(load(), cache)


def prepared(study, cache):
    return prepare(study.settings, study_corpora(study), cache)


def key(study, cache, threads=1):
    return base_key(base_job(study.settings, prepared(study, cache), threads))


def trial(study, cache):
    return trial_job(study, prepared(study, cache), "somewhere", threads=3)


def test_corpora_are_frozen_once_and_found_again(load, cache):
    study = load()
    first, again = prepared(study, cache), prepared(study, cache)
    assert first == again
    corpora = study_corpora(study)
    assert load_examples(first.select.path) == list(corpora.select.examples)
    assert load_examples(first.base.path) == list(corpora.base.examples)
    assert {(e.question_language, e.context_language) for e in load_examples(first.train.path)} == {
        ("en", "en"),
        ("es", "es"),
    }
    assert first.content == {
        "data.train": first.train.path.parent.name,
        "data.select": first.select.path.parent.name,
        "data.base": first.base.path.parent.name,
    }
    other = prepared(load("settings.data.limit=5"), cache)
    assert other.train != first.train
    assert other.base == first.base


def test_a_job_says_what_the_settings_say_and_travels_light(load, cache):
    study = load("settings.data.ntl=0", "settings.training.epochs=7")
    job = trial(study, cache)
    assert (job.start, job.metric, job.evaluate_every, job.threads) == (
        "somewhere", "gxlt_f1", 0.5, 3
    )  # fmt: skip
    assert job.settings == study.settings
    size = job.data.size
    assert (size.max_length, size.max_question_tokens, size.stride) == (128, 32, 16)
    assert list(sampled_languages(job.data.settings)) == ["en"]
    assert list(sampled_languages(trial(load(), cache).data.settings)) == ["en", "es"]
    drawn = job.with_values({"data.ntl": 1, "training.seed": 9})
    assert (drawn.data.settings.ntl, drawn.data.seed) == (1, 9)
    assert replace(drawn, settings=job.settings) == job
    assert len(pickle.dumps(job)) < 5000


@pytest.mark.parametrize(
    "override",
    [
        "settings.base.limit=21",
        "settings.base.languages=[es]",
        "settings.base.epochs=2",
        "settings.base.batch_size=8",
        "settings.base.learning_rate=1e-3",
        "settings.base.warmup=0.5",
        "settings.base.weight_decay=0.5",
        "settings.base.seed=1",
        "settings.data.max_length=96",
        "settings.data.stride=8",
        "settings.training.dropout=0.5",
        "settings.training.precision=bf16",
        "settings.encoder={encoder}",
    ],
)
def test_another_base_has_another_key(load, cache, usual_key, tmp_path, override):
    if "{encoder}" in override:
        override = f"settings.encoder={tiny_checkpoint('wordpiece', tmp_path / 'encoder')}"
    assert key(load(override), cache) != usual_key


@pytest.mark.parametrize(
    "override",
    [
        "settings.data.ntl=0",
        "settings.data.limit=3",
        "settings.data.languages=[en, es, de]",
        "settings.training.epochs=9",
        "settings.training.learning_rate=1",
        "settings.training.seed=9",
        "settings.objective={distill: {}}",
        "search.trials=3",
        "name=other",
    ],
)
def test_what_only_trials_depend_on_leaves_the_base(load, cache, usual_key, override):
    assert key(load(override), cache) == usual_key


def test_the_base_does_not_depend_on_who_trains_it_or_where(load, usual_key, tmp_path):
    assert key(load(), Cache(tmp_path / "elsewhere"), threads=8) == usual_key


def test_the_base_learns_by_cross_entropy_from_its_own_corpus(load, cache):
    study = load("settings.objective={distill: {}}", "settings.training.dropout=0.25")
    shared = prepared(study, cache)
    job = base_job(study.settings, shared, threads=2)
    assert (job.start, job.train) == (shared.encoder, shared.base.path)
    assert (job.data.settings.sampling, job.select, job.metric) == ("none", None, None)
    assert (job.settings.objective.span, job.settings.objective.distill) == ("ce", None)
    assert (job.settings.training.epochs, job.settings.training.dropout) == (1, 0.25)


def test_a_checkpoint_is_known_by_its_content(tmp_path):
    one = tiny_checkpoint("wordpiece", tmp_path / "one")
    shutil.copytree(one, tmp_path / "two")
    assert checkpoint_hash(str(one)) == checkpoint_hash(str(tmp_path / "two"))
    weights = tmp_path / "two" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\xff")
    assert checkpoint_hash(str(one)) != checkpoint_hash(str(tmp_path / "two"))
    assert checkpoint_hash("hub/one") != checkpoint_hash("hub/two")


def test_a_hub_id_is_known_by_its_commit(tmp_path, monkeypatch):
    """Laid out as the hub's own cache is."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    unopened, repository = checkpoint_hash("hub/one"), tmp_path / "models--hub--one"
    hashes = set()
    for commit in ("a" * 40, "b" * 40):
        snapshot = repository / "snapshots" / commit
        snapshot.mkdir(parents=True)
        (snapshot / "config.json").write_text("{}")
        (repository / "refs").mkdir(exist_ok=True)
        (repository / "refs" / "main").write_text(commit)
        hashes.add(checkpoint_hash("hub/one"))
        assert checkpoint_hash("hub/one") == checkpoint_hash("hub/one")
    assert len(hashes | {unopened}) == 3


def test_which_encoder(load, cache, tmp_path, monkeypatch):
    def encoder(name):
        study = load(f"settings.encoder={name}")
        return find_encoder(study.settings, study_corpora(study), cache)

    folder = tiny_checkpoint("wordpiece", tmp_path / "encoder")
    monkeypatch.chdir(tmp_path)
    assert encoder("encoder") == str(folder)
    assert encoder("some-hub/id") == "some-hub/id"
    assert encoder("scratch") == encoder("scratch")
    check_given_encoder(load(f"settings.encoder={encoder('scratch')}"))
    (tmp_path / "demo").mkdir()  # a folder of this name is not meant
    assert encoder("demo").endswith("assets/demo_encoder")


@pytest.fixture
def checkpoints(tmp_path):
    """Folders: a reader, an encoder without a head, and readers that are broken."""
    reader, _ = tiny_checkpoint("wordpiece", tmp_path / "reader"), (tmp_path / "empty").mkdir()
    for name in ("weightless", "junk", "untokenised"):
        shutil.copytree(reader, tmp_path / name)
    (tmp_path / "weightless" / "model.safetensors").unlink()
    (tmp_path / "junk" / "model.safetensors").write_bytes(b"junk")
    (tmp_path / "untokenised" / "tokenizer.json").write_text("{}")
    return tmp_path


LONG = ("settings.data.max_length=400",)  # more than the demo's encoder can take, not than ours


def test_encoders_that_cannot_be_used(load, checkpoints):
    refused = {
        f"settings.encoder={checkpoints}/empty": (DataError, f"encoder {checkpoints}/empty: "),
        f"settings.encoder={checkpoints}/weightless": (DataError, "the model of this folder"),
        f"settings.encoder={checkpoints}/junk": (DataError, "the model of this folder"),
        f"settings.encoder={checkpoints}/untokenised": (DataError, "the tokenizer of this folder"),
        "settings.encoder=/no/such/folder": (DataError, "encoder /no/such/folder: "),
        "settings.data.max_length=129": (SettingsError, "must be at most 128"),
        "space={data.max_length: {choice: [96, 256]}}": (SettingsError, "at most 128.*got 256"),
    }
    for override, (kind, told) in refused.items():
        with pytest.raises(kind, match=told) as error:
            check_given_encoder(load(override))
        assert "\n" not in str(error.value)
    check_given_encoder(load(f"settings.encoder={checkpoints}/reader", *LONG))


def test_bases_that_cannot_be_used(load, checkpoints):
    refused = {
        f"{checkpoints}/empty": r"^settings\.base\.model: must be the folder of a checkpoint",
        "/no/such/folder": r"^settings\.base\.model: must be the folder of a checkpoint",
        f"{checkpoints}/junk": "the model of this folder",
        f"{checkpoints}/weightless": "the model of this folder",
        f"{checkpoints}/untokenised": "the tokenizer of this folder",
        str(DEMO_ENCODER): "architectures must name a reader",
    }
    for model, told in refused.items():
        with pytest.raises(DataError, match=told) as error:
            check_given_base(load(f"settings.base={{model: {model}}}"))
        assert "\n" not in str(error.value)
    check_given_base(load(f"settings.base={{model: {checkpoints}/reader}}", *LONG))
    with pytest.raises(SettingsError, match="at most"):
        check_given_base(load(f"settings.base={{model: {checkpoints}/reader}}",
                              "settings.data.max_length=5000"))  # fmt: skip


def test_equal_settings_give_equal_jobs(load, cache):
    one, other = trial(load(), cache), trial(load(), cache)
    assert one == other
    assert replace(one, threads=4) != other
