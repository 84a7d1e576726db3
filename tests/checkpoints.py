"""Small real checkpoints of the usual kinds. In: a kind. Out: a tokenizer, or a folder to load.

The tokenizers are trained here in a second, on a few sentences in many scripts; the models are tiny
and random. Both are saved and read again in Hugging Face's format, as a user's encoder is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import (
    AutoModelForQuestionAnswering,
    AutoTokenizer,
    BertConfig,
    BertTokenizer,
    DebertaV2Config,
    DebertaV2Tokenizer,
    ModernBertConfig,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    XLMRobertaConfig,
    XLMRobertaTokenizer,
)

SENTENCES = [
    "The lighthouse keeper Maria Olsen wrote her first book in 1987, near the old harbour.",
    "Who wrote the book, and when? What is the name of the river that crosses the city?",
    "El río atraviesa la ciudad; ¿quién construyó el puente más antiguo en mil novecientos dos?",
    "Die Brücke wurde im Jahr 1902 gebaut und gehört seit jeher der größten Stadt an der Küste.",
    "كتب حارس المنارة كتابه الأول عام ١٩٨٧ قرب الميناء القديم. من بنى الجسر ومتى؟",
    "लेखक ने अपनी पहली किताब पुराने बंदरगाह के पास लिखी। पुल किसने और कब बनाया?",
    "Người gác hải đăng viết cuốn sách đầu tiên năm 1987. Ai đã xây cây cầu cũ nhất?",
    "灯塔看守人于1987年在旧港口附近写了他的第一本书。谁建造了这座城市最古老的桥？",
    "ผู้ดูแลประภาคารเขียนหนังสือเล่มแรกในปี 1987 ใกล้ท่าเรือเก่า ใครสร้างสะพานนี้",
    "등대지기는 1987년 오래된 항구 근처에서 첫 책을 썼다. 누가 다리를 지었는가?",
    "Смотритель маяка написал свою первую книгу в 1987 году. Кто построил мост?",
]
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 400,
}
MODERNBERT_IDS = {"cls_token_id": 0, "bos_token_id": 0, "sep_token_id": 1, "eos_token_id": 1}


@dataclass(frozen=True)
class Kind:
    """A family of encoders: how its tokenizer is made, and the configuration of its model."""

    tokenizer: Callable[[], PreTrainedTokenizerBase]
    config: Callable[[PreTrainedTokenizerBase], PreTrainedConfig]


def tiny_tokenizer(kind: str, folder: Path) -> PreTrainedTokenizerBase:
    """Train the tokenizer of a kind, save it, and give what AutoTokenizer reads."""
    KINDS[kind].tokenizer().save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def tiny_checkpoint(kind: str, folder: Path, seed: int = 0) -> Path:
    """Save a random question-answering model of a kind with its tokenizer; gives the folder."""
    tokenizer = tiny_tokenizer(kind, folder)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForQuestionAnswering.from_config(KINDS[kind].config(tokenizer))
    model.save_pretrained(folder)
    return folder


def _wordpiece() -> PreTrainedTokenizerBase:
    """BERT: token types, one separator."""
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trained = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    trained.normalizer = normalizers.BertNormalizer(lowercase=False)
    trained.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=600, special_tokens=specials, show_progress=False
    )
    trained.train_from_iterator(SENTENCES, trainer)
    return BertTokenizer(vocab=trained.get_vocab(), do_lower_case=False)


def _unigram() -> PreTrainedTokenizerBase:
    """XLM-R: two separators between question and context, no token types."""
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    return XLMRobertaTokenizer(vocab=[*_pieces(specials, "<unk>"), ("<mask>", 0.0)])


def _deberta() -> PreTrainedTokenizerBase:
    """DeBERTa-v2: token types, offsets that take in the space before a word."""
    specials = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    return DebertaV2Tokenizer(vocab=[*_pieces(specials, "[UNK]"), ("[MASK]", 0.0)], unk_id=3)


def _pieces(specials: list[str], unknown: str) -> list[tuple[str, float]]:
    trained = Tokenizer(models.Unigram())
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=500, special_tokens=specials, unk_token=unknown, show_progress=False
    )
    trained.train_from_iterator(SENTENCES, trainer)
    vocabulary = trained.get_vocab()
    scores = {piece: -float(rank) / 50 for piece, rank in vocabulary.items()}
    return sorted(scores.items(), key=lambda item: vocabulary[item[0]])


def _bpe() -> PreTrainedTokenizerBase:
    """ModernBERT: byte-level BPE; the bytes of one character are several tokens."""
    specials = ["[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]"]
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.NFC()
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    trained.train_from_iterator(SENTENCES, trainer)
    trained.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, trained.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=trained,
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        unk_token="[UNK]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "attention_mask"],
    )


def _config(family: type[PreTrainedConfig], **more: object) -> Callable[..., PreTrainedConfig]:
    def config(tokenizer: PreTrainedTokenizerBase) -> PreTrainedConfig:
        ids = {"pad_token_id": tokenizer.pad_token_id, "vocab_size": len(tokenizer)}
        return family(**SIZES, **ids, **more)

    return config


KINDS = {
    "wordpiece": Kind(_wordpiece, _config(BertConfig)),
    "unigram": Kind(_unigram, _config(XLMRobertaConfig, type_vocab_size=1)),
    "bpe": Kind(_bpe, _config(ModernBertConfig, **MODERNBERT_IDS)),
    "deberta": Kind(
        _deberta,
        _config(DebertaV2Config, relative_attention=True, pos_att_type=["p2c", "c2p"]),
    ),
}
