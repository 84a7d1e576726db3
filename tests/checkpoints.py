"""Small real checkpoints of the usual kinds. In: a kind. Out: a tokenizer, or a folder to load.

The tokenizers have the pieces of a few sentences in many scripts; the models are tiny and random.
Both are saved and read again in Hugging Face's format, as a user's encoder is.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Any

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
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 400,
}
MODERNBERT_IDS: dict[str, Any] = {
    "cls_token_id": 0,
    "bos_token_id": 0,
    "sep_token_id": 1,
    "eos_token_id": 1,
}


@dataclass(frozen=True)
class Kind:
    """A family of encoders: how its tokenizer is made, and the configuration of its model."""

    tokenizer: Callable[[], PreTrainedTokenizerBase]
    config: Callable[[PreTrainedTokenizerBase], PreTrainedConfig]


def tiny_tokenizer(kind: str, folder: Path) -> PreTrainedTokenizerBase:
    """Save the tokenizer of a kind; gives what AutoTokenizer reads, the same in every process."""
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
    words = [word for sentence in SENTENCES for word in sentence.split()]
    starts = _frequent(word[:end] for word in words for end in range(1, 6))
    rests = _frequent(word[at:end] for word in words for at, end in _inner(word))
    letters = dict.fromkeys(letter for word in words for letter in word)
    pieces = [*specials, *letters, *starts, *(f"##{piece}" for piece in (*letters, *rests))]
    vocabulary = {piece: rank for rank, piece in enumerate(dict.fromkeys(pieces))}
    return BertTokenizer(vocab=vocabulary, do_lower_case=False)


def _unigram() -> PreTrainedTokenizerBase:
    """XLM-R: two separators between question and context, no token types."""
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    return XLMRobertaTokenizer(vocab=[*_pieces(specials), ("<mask>", 0.0)])


def _deberta() -> PreTrainedTokenizerBase:
    """DeBERTa-v2: token types, offsets that take in the space before a word."""
    specials = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    return DebertaV2Tokenizer(vocab=[*_pieces(specials), ("[MASK]", 0.0)], unk_id=3)


def _pieces(specials: list[str]) -> list[tuple[str, float]]:
    """A Unigram vocabulary: every letter, frequent parts of words, the logarithm of their share."""
    words = [f"▁{word}" for sentence in SENTENCES for word in sentence.split()]
    parts = _frequent(word[at:end] for word in words for at, end in [*_inner(word), (0, 4), (0, 6)])
    letters = Counter(letter for word in words for letter in word)
    counts = {**letters, **parts}
    total = sum(counts.values())
    scores = [(piece, log(count / total)) for piece, count in counts.items()]
    return [*((special, 0.0) for special in specials), *scores]


def _inner(word: str) -> list[tuple[int, int]]:
    return [(at, at + size) for size in (1, 2, 3) for at in range(1, len(word) - size + 1)]


def _frequent(parts: Iterable[str], most: int = 200) -> dict[str, int]:
    """The commonest parts; the library's own trainers choose others in every process."""
    counts = Counter(parts)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most])


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


def _config(family: type[PreTrainedConfig], **more: Any) -> Callable[..., PreTrainedConfig]:
    def config(tokenizer: PreTrainedTokenizerBase) -> PreTrainedConfig:
        ids: dict[str, Any] = {"pad_token_id": tokenizer.pad_token_id, "vocab_size": len(tokenizer)}
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
