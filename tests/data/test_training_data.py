"""What makes an epoch: pairs sampled over languages, or the examples as they are."""

from dataclasses import replace

import pytest
from checkpoints import tiny_tokenizer
from tiny_jobs import FACTS, LANGUAGES, facts_in
from transformers import PreTrainedTokenizerBase

from xmrc.data.cache import Cache
from xmrc.data.examples import Example
from xmrc.data.store import store_examples
from xmrc.data.training_data import TrainingData
from xmrc.errors import DataError
from xmrc.settings import DataSettings

EXAMPLES = [example for language in LANGUAGES for example in facts_in(language)]
SETTINGS = DataSettings(languages=LANGUAGES, ntl=1, max_length=64, max_question_tokens=24, stride=8)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    return tiny_tokenizer("wordpiece", tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


def data_of(cache: Cache, seed: int = 3, **changes: object) -> TrainingData:
    settings = SETTINGS.model_copy(update=changes)
    return TrainingData(store_examples(EXAMPLES, cache), settings, seed, cache.root)


@pytest.mark.parametrize("ntl", [0, 1, 2, 5])
def test_pairs_are_sampled_over_languages(
    ntl: int, cache: Cache, tokenizer: PreTrainedTokenizerBase
) -> None:
    examples = data_of(cache, ntl=ntl).windows(tokenizer).examples
    languages = 1 + min(ntl, 2)
    assert len(examples) == len(FACTS) * languages**2
    by_id = {example.id: set[str]() for example in examples}
    for example in examples:
        by_id[example.id] |= {example.question_language, example.context_language}
    assert all("en" in drawn and len(drawn) == languages for drawn in by_id.values())


def test_without_sampling_the_examples_are_taken_as_they_are(
    cache: Cache, tokenizer: PreTrainedTokenizerBase
) -> None:
    assert list(data_of(cache, sampling="none").windows(tokenizer).examples) == EXAMPLES


def test_the_seed_draws_the_languages(cache: Cache, tokenizer: PreTrainedTokenizerBase) -> None:
    draws = [list(data_of(cache, seed).windows(tokenizer).examples) for seed in (3, 3, 4)]
    assert draws[0] == draws[1] != draws[2]


def test_what_is_evaluated_is_cut_as_what_is_trained_on(
    cache: Cache, tokenizer: PreTrainedTokenizerBase
) -> None:
    data = data_of(cache, sampling="none", max_length=32, max_question_tokens=12)
    assert data.size.max_length == 32
    windows, again = data.windows(tokenizer), data.cut(EXAMPLES, tokenizer)
    assert len(windows) > len(EXAMPLES)
    assert windows.lengths.max() <= 32
    assert windows.lengths.tolist() == again.lengths.tolist()


def test_pairs_of_a_corpus_that_is_not_aligned_are_refused(
    cache: Cache, tokenizer: PreTrainedTokenizerBase
) -> None:
    lonely: list[Example] = [one for one in EXAMPLES if one.context_language == "en"][:1]
    data = replace(data_of(cache), examples=store_examples([*EXAMPLES[6:], *lonely], cache))
    with pytest.raises(DataError, match="is not aligned"):
        data.windows(tokenizer)
