"""`encoder: scratch`, for machines without weights. In: texts and sizes. Out: an untrained encoder.

A BERT architecture with a WordPiece tokenizer trained on the texts. Nothing it answers is worth
much; it lets every study run end to end where no checkpoint can be fetched.
"""

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import BertConfig, BertModel, BertTokenizer

from xmrc.data.cache import Cache, content_hash
from xmrc.learning.model import quiet_transformers, seeded
from xmrc.settings import EncoderConfig

_FORMAT = "scratch, 2"  # part of the content hash: count up when what is built changes
_SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def scratch_encoder(texts: Sequence[str], config: EncoderConfig, seed: int, cache: Cache) -> Path:
    """Build the encoder once per texts, sizes and seed, the same anywhere; returns its folder."""
    key = content_hash(_FORMAT, config.model_dump(), seed, *texts)
    return cache.build("scratch", key, lambda folder: _write(texts, config, seed, folder))


def scratch_architecture(config: EncoderConfig, vocab_size: int) -> BertConfig:
    """Of the encoder that is built with these sizes."""
    return BertConfig(
        vocab_size=vocab_size,
        hidden_size=config.hidden_size,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        intermediate_size=config.intermediate_size,
        max_position_embeddings=config.max_position_embeddings,
    )


def _write(texts: Sequence[str], config: EncoderConfig, seed: int, folder: Path) -> None:
    tokenizer = _train_tokenizer(texts, config.vocab_size)
    architecture = scratch_architecture(config, len(tokenizer))
    with seeded(seed):
        model = BertModel(architecture, add_pooling_layer=False)
    with quiet_transformers():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _train_tokenizer(texts: Sequence[str], vocab_size: int) -> BertTokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        # The trainer numbers the letters inside words as a hash map has them, and settles ties by
        # number: as special tokens, which come first, they have the same numbers on every run.
        special_tokens=[*_SPECIAL_TOKENS, *_letters_inside_words(texts, tokenizer)],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer, length=len(texts))
    return BertTokenizer(vocab=tokenizer.get_vocab(), do_lower_case=False, strip_accents=False)


def _letters_inside_words(texts: Sequence[str], tokenizer: Tokenizer) -> list[str]:
    """The pieces of one letter that continue a word, sorted."""
    letters: set[str] = set()
    for text in texts:
        normal = tokenizer.normalizer.normalize_str(text)
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal):
            letters.update(word[1:])
    return [f"##{letter}" for letter in sorted(letters)]
