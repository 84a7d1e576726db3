"""Opening, calling and saving readers of four architectures, and refusing what is none."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
import transformers
from checkpoints import KINDS, tiny_checkpoint
from span_batches import LookupReader, make_batch, random_logits
from transformers import AutoConfig, AutoModelForQuestionAnswering, AutoTokenizer, ByT5Tokenizer

from xmrc.data.cache import Cache
from xmrc.data.examples import Example
from xmrc.data.features import Batch, WindowSize, make_windows, tokenize_texts
from xmrc.errors import DataError, SettingsError
from xmrc.learning.model import (
    MASKED,
    OFFSET_POSITIONS,
    SpanLogits,
    autocast,
    check_positions,
    load_config,
    load_model,
    load_tokenizer,
    position_limit,
    save_checkpoint,
    span_logits,
)

ARCHITECTURES = {
    "wordpiece": "BertForQuestionAnswering",
    "unigram": "XLMRobertaForQuestionAnswering",
    "deberta": "DebertaV2ForQuestionAnswering",
    "bpe": "ModernBertForQuestionAnswering",
}
POSITIONS = {"wordpiece": 400, "unigram": 398, "deberta": 400, "bpe": 400}  # XLM-R's offset is 2
TEXTS = [
    ("Who wrote the book?", "The lighthouse keeper Maria Olsen wrote her first book in 1987."),
    ("Quién construyó el puente", "El río atraviesa la ciudad."),
    ("什么", "灯塔看守人于1987年在旧港口附近写了他的第一本书。谁建造了这座城市最古老的桥？"),
]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: tiny_checkpoint(kind, tmp_path_factory.mktemp(kind)) for kind in KINDS}


@pytest.fixture(scope="module", params=sorted(ARCHITECTURES))
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def bert(checkpoints: dict[str, Path], tmp_path: Path) -> Path:
    """A checkpoint to spoil."""
    return Path(shutil.copytree(checkpoints["wordpiece"], tmp_path / "bert"))


def text_batch(folder: Path, cache: Path) -> Batch:
    tokenizer = load_tokenizer(str(folder))
    examples = [Example(str(i), *texts, (), "en", "en") for i, texts in enumerate(TEXTS)]
    texts = tokenize_texts([text for pair in TEXTS for text in pair], tokenizer, Cache(cache))
    windows = make_windows(examples, texts, tokenizer, WindowSize(90, 20, 10))
    return windows.batch(torch.arange(len(TEXTS)).numpy())


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def one_line_error(act: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        act()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Opening


def test_each_architecture_reads_with_padding_masked(
    kind: str, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    model = load_model(str(checkpoints[kind]), seed=0).eval()
    assert type(model).__name__ == ARCHITECTURES[kind]
    batch = text_batch(checkpoints[kind], tmp_path)
    padding_BL = batch.attention_mask_BL == 0
    assert bool(padding_BL.any())
    with torch.no_grad():
        logits = span_logits(model, batch)
    for each in logits:
        assert each.shape == batch.input_ids_BL.shape
        assert each.dtype == torch.float32
        assert bool((each[padding_BL] == MASKED).all())
        assert bool((each[~padding_BL].abs() < 100).all())


def test_padding_changes_no_logit(kind: str, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    model = load_model(str(checkpoints[kind]), seed=0).double().eval()
    batch = text_batch(checkpoints[kind], tmp_path)
    tokenizer = load_tokenizer(str(checkpoints[kind]))
    with torch.no_grad():
        logits = span_logits(model, batch)
        for row, length in enumerate(batch.attention_mask_BL.sum(dim=1).tolist()):
            inputs = {"input_ids": batch.input_ids_BL[row : row + 1, :length]}
            if "token_type_ids" in tokenizer.model_input_names:
                inputs["token_type_ids"] = batch.token_type_ids_BL[row : row + 1, :length]
            alone = model(**inputs)
            for found, expected in zip(logits, (alone.start_logits, alone.end_logits), strict=True):
                torch.testing.assert_close(found[row, :length], expected[0], rtol=0, atol=1e-9)


def test_every_weight_is_trained(kind: str, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    """Workers that join their gradients would wait for one that never comes."""
    model = load_model(str(checkpoints[kind]), seed=0).train()
    logits = span_logits(model, text_batch(checkpoints[kind], tmp_path))
    (logits.start_BL[:, 0].sum() + logits.end_BL[:, 1].square().sum()).backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None] == []


def test_dropout_reaches_every_architecture(
    kind: str, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    batch = text_batch(checkpoints[kind], tmp_path)

    def trained_and_read(dropout: float | None) -> list[torch.Tensor]:
        model = load_model(str(checkpoints[kind]), seed=0, dropout=dropout)
        torch.manual_seed(1)
        trained = [span_logits(model.train(), batch).start_BL for _ in range(2)]
        return [*trained, span_logits(model.eval(), batch).start_BL]

    first, second, read = trained_and_read(0.0)
    assert torch.equal(first, second)
    torch.testing.assert_close(first, read, rtol=0, atol=1e-6)
    noisy, noisier, same_read = trained_and_read(0.6)
    assert not torch.allclose(noisy, noisier, atol=1e-3)
    assert torch.equal(same_read, read)  # reading knows no dropout


def test_dropout_is_the_checkpoints_own_unless_it_is_set(checkpoints: dict[str, Path]) -> None:
    source = str(checkpoints["wordpiece"])
    for dropout, expected in ((None, 0.1), (0.0, 0.0), (0.3, 0.3)):
        config = load_model(source, seed=0, dropout=dropout).config
        assert config.hidden_dropout_prob == expected
        assert config.attention_probs_dropout_prob == expected
        assert config.classifier_dropout is None


@pytest.fixture(params=["wordpiece", "bpe"])
def headless(
    request: pytest.FixtureRequest, checkpoints: dict[str, Path], tmp_path: Path
) -> tuple[Path, str]:
    """An encoder without a span head, and what the names of its weights begin with in a reader."""
    reader = AutoModelForQuestionAnswering.from_pretrained(checkpoints[request.param])
    reader.base_model.save_pretrained(tmp_path)
    return tmp_path, f"{reader.base_model_prefix}."


def test_a_head_that_the_checkpoint_lacks_follows_from_the_seed(
    headless: tuple[Path, str],
) -> None:
    folder, encoder = headless
    torch.manual_seed(1000)  # what is drawn before each of these does not matter
    first, again, other = (load_model(str(folder), seed=seed).state_dict() for seed in (1, 1, 2))
    drawn = [name for name in first if not name.startswith(encoder) and first[name].ndim > 1]
    assert drawn
    for name, tensor in first.items():
        assert torch.equal(tensor, again[name])
        assert torch.equal(tensor, other[name]) == (name not in drawn)


def test_opening_leaves_the_callers_random_numbers_alone(headless: tuple[Path, str]) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_model(str(headless[0]), seed=0)
    assert torch.equal(torch.rand(3), expected)


def test_a_classifiers_checkpoint_gets_a_span_head(bert: Path, tmp_path: Path) -> None:
    """Nine classes in its configuration are no reason for nine logits a token."""
    edit_config(bert, id2label={str(n): f"class {n}" for n in range(9)})
    model = load_model(str(bert), seed=0)
    assert span_logits(model, text_batch(bert, tmp_path)).start_BL.ndim == 2


def test_half_precision_weights_are_opened_as_float32(bert: Path) -> None:
    model = AutoModelForQuestionAnswering.from_pretrained(bert, dtype=torch.bfloat16)
    model.save_pretrained(bert)
    assert {weight.dtype for weight in load_model(str(bert), seed=0).parameters()} == {
        torch.float32
    }


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_logits_of_half_precision_become_float32_others_stay(
    dtype: torch.dtype, expected: torch.dtype
) -> None:
    batch = make_batch([3, 5], [(0, 0), (1, 2)])
    reader = LookupReader(SpanLogits(*(each.to(dtype) for each in random_logits(batch, 0))))
    for each in span_logits(reader, batch):
        assert each.dtype == expected
        assert each[0, 3:].tolist() == [MASKED] * 2


def test_bf16_reads_nearly_the_same(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    model = load_model(str(checkpoints["wordpiece"]), seed=0).eval()
    batch, cpu = text_batch(checkpoints["wordpiece"], tmp_path), torch.device("cpu")

    def read(precision: str) -> torch.Tensor:
        with torch.no_grad(), autocast(cpu, precision):
            return span_logits(model, batch).start_BL

    plain = read("fp32")
    assert torch.equal(read("auto"), plain)  # the CPU has no bf16 worth having
    assert not torch.equal(read("bf16"), plain)
    torch.testing.assert_close(read("bf16"), plain, rtol=0.05, atol=0.05)


# Saving


def test_a_saved_checkpoint_opens_with_the_auto_classes(
    kind: str, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    model = load_model(str(checkpoints[kind]), seed=0, dropout=0.0)
    tokenizer = load_tokenizer(str(checkpoints[kind]))
    save_checkpoint(model, tokenizer, tmp_path)
    assert [path.name for path in tmp_path.glob("*.safetensors")] == ["model.safetensors"]
    opened = AutoModelForQuestionAnswering.from_pretrained(tmp_path)
    for name, tensor in model.state_dict().items():
        assert torch.equal(opened.state_dict()[name], tensor)
    question, context = TEXTS[0]
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again(question, context) == tokenizer(question, context)


def test_opening_and_saving_says_nothing_and_leaves_the_librarys_voice_as_it_was(
    checkpoints: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    transformers.logging.set_verbosity_info()
    try:
        AutoModelForQuestionAnswering.from_pretrained(
            checkpoints["wordpiece"]
        ).base_model.save_pretrained(tmp_path)
        capfd.readouterr()
        model = load_model(str(tmp_path), seed=0)
        save_checkpoint(model, load_tokenizer(str(checkpoints["wordpiece"])), tmp_path)
        assert capfd.readouterr() == ("", "")
        assert transformers.logging.get_verbosity() == transformers.logging.INFO
    finally:
        transformers.logging.set_verbosity_warning()


# Positions


def test_the_position_limit_is_the_longest_window_that_can_be_read(
    kind: str, checkpoints: dict[str, Path]
) -> None:
    model = load_model(str(checkpoints[kind]), seed=0).eval()
    limit = position_limit(model.config)
    assert limit == POSITIONS[kind]
    read_tokens(model, limit)
    if kind != "bpe":  # ModernBERT rotates: it goes on, untrained, where its positions end
        with pytest.raises((IndexError, RuntimeError)):
            read_tokens(model, limit + 1)


@pytest.mark.parametrize("model_type", sorted(OFFSET_POSITIONS - {"longformer"}))
def test_positions_behind_the_paddings_are_counted(model_type: str) -> None:
    config = AutoConfig.for_model(
        model_type,
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=24,
        entity_vocab_size=4,  # LUKE's alone
    )
    model = AutoModelForQuestionAnswering.from_config(config).eval()
    limit = position_limit(config)
    read_tokens(model, limit)
    with pytest.raises((IndexError, RuntimeError)):
        read_tokens(model, limit + 1)


def read_tokens(model: transformers.PreTrainedModel, count: int) -> None:
    ids_BL = torch.full((1, count), 5)
    with torch.no_grad():
        model(input_ids=ids_BL, attention_mask=torch.ones_like(ids_BL))


def test_relative_positions_have_no_limit() -> None:
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = AutoConfig.for_model(
        "deberta-v2",
        vocab_size=20,
        intermediate_size=8,
        max_position_embeddings=12,
        relative_attention=True,
        position_biased_input=False,
        pos_att_type=["p2c", "c2p"],
        **sizes,
    )
    assert position_limit(config) is None
    read_tokens(AutoModelForQuestionAnswering.from_config(config).eval(), 40)


def test_windows_longer_than_the_positions_are_refused(checkpoints: dict[str, Path]) -> None:
    config = load_config(str(checkpoints["unigram"]))
    check_positions(config, "mine", 398)
    with pytest.raises(SettingsError, match=r"settings\.data\.max_length .*398.* mine, got 399"):
        check_positions(config, "mine", 399)


# What is no checkpoint


@pytest.mark.parametrize("opened", [load_tokenizer, load_config, partial(load_model, seed=0)])
def test_an_empty_or_missing_folder_is_refused_in_one_line(
    opened: Callable[[str], object], tmp_path: Path
) -> None:
    for source in (tmp_path, tmp_path / "nowhere"):
        assert str(source) in one_line_error(partial(opened, str(source)))


def test_a_folder_without_weights_is_refused(bert: Path) -> None:
    (bert / "model.safetensors").unlink()
    assert "model.safetensors" in one_line_error(lambda: load_model(str(bert), seed=0))


def test_weights_that_are_cut_off_are_refused(bert: Path) -> None:
    whole = (bert / "model.safetensors").read_bytes()
    for part in (whole[:5], whole[:-20]):
        (bert / "model.safetensors").write_bytes(part)
        assert "the model of this folder" in one_line_error(lambda: load_model(str(bert), seed=0))


@pytest.mark.parametrize(
    "changes",
    [
        {"model_type": "vit"},  # no span head
        {"model_type": "nothing"},
        {"hidden_size": "wide"},
        {"num_attention_heads": 5},  # do not divide the hidden size
        {"hidden_act": "nothing"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_configuration_of_no_reader_is_refused(bert: Path, changes: dict[str, object]) -> None:
    edit_config(bert, **changes)
    assert str(bert) in one_line_error(lambda: load_model(str(bert), seed=0))


def test_a_configuration_that_is_no_json_is_refused(bert: Path) -> None:
    (bert / "config.json").write_text("{")
    assert "configuration" in one_line_error(lambda: load_config(str(bert)))


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({"num_hidden_layers": 3}, "bert.encoder.layer.2."),
        ({"hidden_size": 64}, "bert."),
        ({"vocab_size": 10}, "bert.embeddings.word_embeddings.weight"),
    ],
)
def test_an_encoder_is_never_drawn_at_random(
    bert: Path, changes: dict[str, object], first: str
) -> None:
    """Weights that the checkpoint lacks would train to a poor reader without a word."""
    edit_config(bert, **changes)
    message = one_line_error(lambda: load_model(str(bert), seed=0))
    assert "every weight of the encoder" in message
    assert f"first {first}" in message


def test_a_tokenizer_without_offsets_is_refused(tmp_path: Path) -> None:
    ByT5Tokenizer().save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "t5"}))
    message = one_line_error(lambda: load_tokenizer(str(tmp_path)))
    assert "must be a fast one" in message
    assert "ByT5Tokenizer" in message


@pytest.mark.parametrize("bare", ["wordpiece", "unigram", "deberta"])
def test_a_folder_without_its_tokenizer_is_refused(
    bare: str, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    """The library would make one up that knows no word."""
    shutil.copy(checkpoints[bare] / "config.json", tmp_path)
    assert "must have a vocabulary" in one_line_error(lambda: load_tokenizer(str(tmp_path)))


@pytest.mark.parametrize("content", ["{", "{}"])
def test_a_broken_tokenizer_is_refused(bert: Path, content: str) -> None:
    (bert / "tokenizer.json").write_text(content)
    assert "the tokenizer of this folder" in one_line_error(lambda: load_tokenizer(str(bert)))
