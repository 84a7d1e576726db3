"""The encoder for machines without weights: it opens, reads every script, and is built once."""

from pathlib import Path

import pytest
import torch
from checkpoints import SENTENCES
from transformers import AutoModel, AutoModelForQuestionAnswering, AutoTokenizer

from xmrc.data.cache import Cache
from xmrc.learning.model import load_model, load_tokenizer, position_limit
from xmrc.learning.scratch import scratch_encoder
from xmrc.settings import EncoderConfig

SIZES = EncoderConfig(
    vocab_size=500,
    hidden_size=16,
    layers=1,
    heads=2,
    intermediate_size=24,
    max_position_embeddings=48,
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def encoder(cache: Cache) -> Path:
    return scratch_encoder(SENTENCES, SIZES, 0, cache)


def test_it_opens_with_the_auto_classes_at_its_sizes(encoder: Path) -> None:
    config = AutoModel.from_pretrained(encoder).config
    assert config.model_type == "bert"
    assert config.hidden_size == 16
    assert config.num_hidden_layers == 1
    assert config.num_attention_heads == 2
    assert config.intermediate_size == 24
    assert position_limit(config) == 48
    assert config.vocab_size == len(AutoTokenizer.from_pretrained(encoder)) <= 500
    assert AutoModelForQuestionAnswering.from_pretrained(encoder).config.num_labels == 2


def test_it_becomes_a_reader(encoder: Path) -> None:
    model, tokenizer = load_model(str(encoder), seed=0), load_tokenizer(str(encoder))
    inputs = tokenizer(SENTENCES[1], SENTENCES[0], return_tensors="pt", truncation=True)
    with torch.no_grad():
        output = model(**{name: ids[:, :48] for name, ids in inputs.items()})
    assert output.start_logits.isfinite().all()


def test_its_tokenizer_knows_every_letter_of_its_texts(encoder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    for sentence in SENTENCES:
        encoding = tokenizer(sentence, return_offsets_mapping=True, add_special_tokens=False)
        assert tokenizer.unk_token_id not in encoding["input_ids"]
        covered = "".join(sentence[start:stop] for start, stop in encoding["offset_mapping"])
        assert covered == "".join(sentence.split())  # offsets are those of the text as it is


def test_its_tokenizer_joins_pairs_as_berts_does(encoder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    pair = tokenizer("book", "first book")
    specials = ["[CLS]", "[SEP]", "[SEP]"]
    tokens = tokenizer.convert_ids_to_tokens(pair["input_ids"])
    assert [token for token in tokens if token.startswith("[")] == specials
    first_separator = tokens.index("[SEP]")
    expected_types = [0] * (first_separator + 1) + [1] * (len(tokens) - first_separator - 1)
    assert pair["token_type_ids"] == expected_types
    assert tokenizer.pad_token_id == 0 == AutoModel.from_pretrained(encoder).config.pad_token_id


def test_case_and_accents_are_kept(encoder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    for one, other in (("Who", "who"), ("río", "rio"), ("größten", "grossten")):
        assert tokenizer(one)["input_ids"] != tokenizer(other)["input_ids"]


def test_it_is_found_again_and_another_one_is_built(encoder: Path, cache: Cache) -> None:
    before = {path: path.stat().st_mtime_ns for path in encoder.iterdir()}
    assert scratch_encoder(list(SENTENCES), SIZES.model_copy(), 0, cache) == encoder
    assert {path: path.stat().st_mtime_ns for path in encoder.iterdir()} == before
    others = {
        scratch_encoder(SENTENCES[:-1], SIZES, 0, cache),
        scratch_encoder(SENTENCES, SIZES.model_copy(update={"layers": 2}), 0, cache),
        scratch_encoder(SENTENCES, SIZES, 1, cache),
    }
    assert len(others | {encoder}) == 4


def test_it_is_the_same_wherever_it_is_built(encoder: Path, tmp_path: Path) -> None:
    torch.manual_seed(77)
    for number in range(3):  # the library's trainer draws anew each time it is run
        again = scratch_encoder(SENTENCES, SIZES, 0, Cache(tmp_path / str(number)))
        for name in ("tokenizer.json", "model.safetensors"):
            assert (again / name).read_bytes() == (encoder / name).read_bytes()


def test_its_weights_follow_from_the_seed(encoder: Path, cache: Cache) -> None:
    other = scratch_encoder(SENTENCES, SIZES, 1, cache)
    name = "encoder.layer.0.attention.self.query.weight"
    first, second = (
        AutoModel.from_pretrained(folder).state_dict()[name] for folder in (encoder, other)
    )
    assert not torch.equal(first, second)


def test_building_leaves_the_callers_random_numbers_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    scratch_encoder(SENTENCES[:3], SIZES, 0, Cache(tmp_path))
    assert torch.equal(torch.rand(3), expected)
