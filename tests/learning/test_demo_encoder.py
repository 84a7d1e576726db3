"""The shipped encoder opens, is small and knows its corpus; the command that made it works."""

import json
import subprocess
import sys
import unicodedata
from pathlib import Path
from random import Random

import pytest
import torch
from tokenizers import Tokenizer
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoTokenizer,
    BertForQuestionAnswering,
)

from xmrc.data.demo.corpus import DEMO_ENCODER, DEMO_SIZES, demo_examples, draw_story
from xmrc.data.demo.wording import tables
from xmrc.learning.demo import tasks as demo_tasks
from xmrc.learning.demo.encoder import Recipe, build_model, write_encoder
from xmrc.learning.demo.tasks import IGNORED, StoryPairs
from xmrc.learning.demo.tokenizer import demo_tokenizer

TEXTS = {
    "en": "Where does Zbigniew O'Hara live? In flat 4077!",
    "es": "¿Qué toca Iñigo Muñoz? ¡El arpa!",
    "de": "Was ist Jürgen Weiß von Beruf? Übersetzer.",
    "ar": "أين وُلدت ياسمين الخوري؟ في 1987.",
    "hi": "ऋषभ चौधरी का जन्म किस वर्ष में हुआ?",
    "vi": "Ông Nguyễn Hữu Thạch sống ở thành phố nào?",
    "zh": "玛格丽特·霍夫曼出生于1987年。",
}
TINY = Recipe(steps=2, batch_size=2)


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(DEMO_ENCODER)


def test_it_weighs_less_than_a_megabyte() -> None:
    assert sum(file.stat().st_size for file in DEMO_ENCODER.iterdir()) < 1_000_000
    assert (DEMO_ENCODER / "model.safetensors").is_file()


def test_it_opens_as_a_bert_with_a_span_head(tokenizer) -> None:
    model = AutoModelForQuestionAnswering.from_pretrained(DEMO_ENCODER)
    assert isinstance(model, BertForQuestionAnswering)
    assert model.config.vocab_size == len(tokenizer)
    assert model.config.max_position_embeddings == tokenizer.model_max_length == 128
    assert all(torch.isfinite(weight).all() for weight in model.parameters())
    one = demo_examples("dev", ["hi"], size=1)[0]
    logits = model(**tokenizer(one.question, one.context, return_tensors="pt")).start_logits
    assert logits.shape[1] == len(tokenizer(one.question, one.context).input_ids)


def test_its_weights_are_those_of_a_whole_encoder() -> None:
    _, loading = AutoModel.from_pretrained(
        DEMO_ENCODER, add_pooling_layer=False, output_loading_info=True
    )
    assert not loading["missing_keys"]


def best_words(tokenizer, text: str, count: int) -> list[str]:
    """What the encoder puts in place of [MASK], the likeliest first."""
    inputs = tokenizer(text, return_tensors="pt")
    at = inputs.input_ids[0].tolist().index(tokenizer.mask_token_id)
    logits = AutoModelForMaskedLM.from_pretrained(DEMO_ENCODER)(**inputs).logits[0, at]
    return tokenizer.convert_ids_to_tokens(logits.topk(count).indices)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Clara Silva [MASK] as a lawyer.", "works"),
        ("Clara Silva arbeitet [MASK] Anwältin.", "als"),
        ("克拉拉·席尔瓦写了5[MASK]书。", "本"),
    ],
)
def test_it_knows_the_grammar_of_its_languages(tokenizer, text: str, word: str) -> None:
    assert best_words(tokenizer, text, 1) == [word]


def test_it_knows_what_kind_of_word_answers(tokenizer) -> None:
    jobs = " ".join(row["es"] for row in tables().values["job"])
    guesses = best_words(tokenizer, "Clara Silva trabaja como [MASK].", 3)
    assert all(unicodedata.normalize("NFC", guess) in jobs for guess in guesses)


def test_its_tokenizer_is_the_one_that_the_corpus_gives_today(tokenizer) -> None:
    shipped = json.loads(tokenizer.backend_tokenizer.to_str())
    assert json.loads(demo_tokenizer(128).backend_tokenizer.to_str()) == shipped


@pytest.mark.parametrize("split", DEMO_SIZES)
def test_the_corpus_has_no_unknown_token_and_fits_the_positions(tokenizer, split: str) -> None:
    examples = demo_examples(split, size=min(200, DEMO_SIZES[split]))
    pairs = [(one.question, one.context) for one in examples]
    for ids in tokenizer(pairs).input_ids:
        assert tokenizer.unk_token_id not in ids
        assert len(ids) <= 128


@pytest.mark.parametrize("language", TEXTS)
def test_texts_survive_a_round_trip(tokenizer, language: str) -> None:
    """Names and numbers that the corpus lacks come back whole, but for case and spaces."""

    def plain(text: str) -> str:
        return "".join(unicodedata.normalize("NFC", text).lower().split())

    text = TEXTS[language]
    assert tokenizer.unk_token_id not in tokenizer(text).input_ids
    assert plain(tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids)) == plain(
        text
    )


@pytest.mark.parametrize("language", TEXTS)
def test_offsets_are_the_characters_of_each_token(tokenizer, language: str) -> None:
    text = TEXTS[language]
    encoding = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    tokens = tokenizer.convert_ids_to_tokens(encoding.input_ids)
    covered = set()
    for token, (start, end) in zip(tokens, encoding.offset_mapping, strict=True):
        assert start < end
        piece = unicodedata.normalize("NFD", text[start:end].lower())
        assert token.removeprefix("##") in piece
        covered.update(range(start, end))
    assert covered == {at for at, sign in enumerate(text) if not sign.isspace()}


def test_every_answer_is_cut_out_by_its_tokens(tokenizer) -> None:
    for example in demo_examples("test", size=40):
        (answer,) = example.answers
        encoding = tokenizer(example.context, return_offsets_mapping=True, add_special_tokens=False)
        end = answer.start + len(answer.text)
        held = [
            span for span in encoding.offset_mapping if span[1] > answer.start and span[0] < end
        ]
        assert (held[0][0], held[-1][1]) == (answer.start, end)


def test_a_pair_has_the_special_tokens_and_types_of_bert(tokenizer) -> None:
    pair = tokenizer("who", "she")
    assert tokenizer.convert_ids_to_tokens(pair.input_ids) == [
        *("[CLS]", "w", "##h", "##o", "[SEP]"),
        *("s", "##h", "##e", "[SEP]"),
    ]
    assert pair.token_type_ids == [0] * 5 + [1] * 4


def test_numbers_are_cut_by_digits_and_new_names_by_letters(tokenizer) -> None:
    assert tokenizer.tokenize("1987") == ["1", "##9", "##8", "##7"]
    assert tokenizer.tokenize("Qwxz") == ["q", "##w", "##x", "##z"]


def test_cloze_hides_the_answer_and_knows_its_place() -> None:
    random = Random(0)
    for language in ("en", "zh", "ar"):
        for _ in range(30):
            story = draw_story(random, "train")
            cloze = demo_tasks.cloze_of_story(story, language, random)
            gap, context = cloze.texts
            sentence = context[slice(*cloze.sentence)]
            assert gap.count("[MASK]") == 1
            assert cloze.sentence[0] <= cloze.answer[0] < cloze.answer[1] <= cloze.sentence[1]
            name = story.facts[story.asked].person.name(language)
            assert name in gap
            assert name in sentence
            assert sentence[-1] in ".。"
            assert not context[slice(*cloze.answer)].startswith(" ")


def test_tokens_within_a_span_are_those_of_the_second_text() -> None:
    tokenizer = demo_tokenizer(128)
    texts = ("Clara lives in Rome.", "Clara lives in Rome. Anton lives in Oslo.")
    start = texts[1].index("Oslo")
    pairs = StoryPairs([texts, ("Who?", "Oslo")], tokenizer)
    within_BL = pairs.tokens_within([(start, start + 4), (0, 4)])
    assert [
        tokenizer.convert_ids_to_tokens(ids[held])
        for ids, held in zip(pairs.ids_BL, within_BL, strict=True)
    ] == [["oslo"], ["oslo"]]


def test_words_are_masked_whole_and_only_they_are_labelled() -> None:
    tokenizer = demo_tokenizer(128)
    pairs = StoryPairs(
        [("Ramona Novak lives in Rome.", "Ramona Novak wohnt in Rom.")] * 50, tokenizer
    )
    ids_BL, labels_BL = demo_tasks.mask_words(pairs, tokenizer, Random(0))
    labelled_BL = labels_BL != IGNORED
    assert (labels_BL[labelled_BL] == pairs.ids_BL[labelled_BL]).all()
    assert (ids_BL[~labelled_BL] == pairs.ids_BL[~labelled_BL]).all()
    assert not labelled_BL[pairs.ids_BL == tokenizer.sep_token_id].any()
    for encoding, labelled_L in zip(pairs.encodings, labelled_BL.tolist(), strict=True):
        words: dict[tuple, set[bool]] = {}
        for sequence, word, labelled in zip(
            encoding.sequence_ids, encoding.word_ids, labelled_L, strict=True
        ):
            words.setdefault((sequence, word), set()).add(labelled)
        assert all(len(choices) == 1 for choices in words.values())
    share = labelled_BL[~pairs.second_BL].float().mean()
    assert 0.2 < share < 0.5


def test_keys_start_as_queries_and_positions_as_sinusoids() -> None:
    model = build_model(TINY, vocabulary=50)
    for layer in model.bert.encoder.layer:
        attention = layer.attention.self
        assert torch.equal(attention.query.weight, attention.key.weight)
    positions = model.bert.embeddings.position_embeddings.weight
    assert torch.allclose(positions[0, 0::2], torch.zeros(32))
    assert torch.allclose(positions[0, 1::2], torch.full((32,), 0.1))


def weights_of(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_the_same_recipe_gives_the_same_encoder(tmp_path: Path) -> None:
    for name, recipe in (("a", TINY), ("b", TINY), ("c", Recipe(steps=2, batch_size=2, seed=1))):
        write_encoder(recipe, tmp_path / name)
    assert weights_of(tmp_path / "a") == weights_of(tmp_path / "b") != weights_of(tmp_path / "c")


@pytest.mark.studies
def test_the_command_writes_an_encoder(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "xmrc.learning.demo.encoder", "--out", str(tmp_path / "new")]
    subprocess.run([*command, "--seed", "3", "--steps", "2"], check=True, capture_output=True)
    assert AutoModelForQuestionAnswering.from_pretrained(tmp_path / "new").config.hidden_size == 64
    assert isinstance(AutoTokenizer.from_pretrained(tmp_path / "new").backend_tokenizer, Tokenizer)
