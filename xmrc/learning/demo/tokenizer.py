"""The tokenizer of the demo encoder. In: the embedded corpus. Out: a fast WordPiece tokenizer.

Whole words for what templates say; pieces of one or two letters for names and all other text, so
that a name never seen is cut like those seen in training. The vocabulary is counted, not trained:
it is the same on every run and machine.
"""

import string
import unicodedata
from collections import Counter
from collections.abc import Iterable
from itertools import chain

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from xmrc.data.demo.wording import all_texts, tables

_SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_MIN_PAIR_COUNT = 3  # training names that have a pair of letters before it becomes a piece

_ALPHABET = (  # what users may write beyond the words of the corpus
    f"{string.ascii_lowercase}ßđ{string.digits}{string.punctuation}؟،¿¡。，？！、·’“”–"
    "\u0300\u0301\u0302\u0303\u0306\u0308\u0309\u031b\u0323"  # marks of Latin letters
    f"{''.join(map(chr, (*range(0x621, 0x63B), *range(0x641, 0x656))))}"  # Arabic
    f"{''.join(map(chr, (*range(0x901, 0x94E), 0x964)))}"  # Devanagari
    # the characters in which Chinese mostly writes foreign names
    "阿埃艾爱安昂奥巴白柏鲍贝本比彼宾波伯博布达大戴丹道得德登迪丁东杜敦多恩尔法凡范菲费芬丰夫佛弗福盖戈格古哈海汉赫亨华霍基吉加"
    "贾杰金卡凯康考科克肯库拉莱兰朗劳勒雷里利莉林琳龙卢鲁伦罗洛马玛迈麦曼梅门蒙米明莫姆穆纳娜南内尼妮努诺欧帕潘佩皮普奇齐乔"
    "琼瑞萨塞桑沙山舍圣施史舒斯丝苏索塔泰坦特提蒂廷图托瓦万威韦维卫温文沃乌西希夏肖谢辛休雅亚延耶伊英尤约泽扎詹珍朱兹祖佐"
)


def demo_tokenizer(max_length: int) -> PreTrainedTokenizerFast:
    """Build the tokenizer with BERT's special tokens and pair template.

    It lower-cases and takes letters and their marks apart (NFD), so that a few marks stand for all
    the vowels of Vietnamese.
    """
    tokenizer = Tokenizer(models.WordPiece(vocab={"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.BertNormalizer(
                clean_text=True, handle_chinese_chars=True, strip_accents=False, lowercase=True
            ),
            normalizers.NFD(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    vocabulary = {token: row for row, token in enumerate(_vocabulary(tokenizer))}
    tokenizer.model = models.WordPiece(vocab=vocabulary, unk_token="[UNK]")
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    tokenizer.post_processor = processors.BertProcessing(
        ("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"])
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max_length,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


def _vocabulary(tokenizer: Tokenizer) -> list[str]:
    """Special tokens, characters, pairs of letters, words; each part sorted, each token once."""
    words = set(_words(tokenizer, all_texts()))
    train = chain.from_iterable(tables().names["train"].values())
    names = _words(tokenizer, chain.from_iterable(train))
    characters = set(tokenizer.normalizer.normalize_str(_ALPHABET)) - {" "}
    characters.update(*words, *names)
    first_pairs = Counter(name[:2] for name in names if len(name) > 1)
    later_pairs = Counter(name[at : at + 2] for name in names for at in range(1, len(name) - 1))
    parts = (
        sorted(characters),
        sorted(f"##{one}" for one in characters if not _stands_alone(one)),
        sorted(pair for pair, count in first_pairs.items() if count >= _MIN_PAIR_COUNT),
        sorted(f"##{pair}" for pair, count in later_pairs.items() if count >= _MIN_PAIR_COUNT),
        sorted(words),
    )
    return list(dict.fromkeys([*_SPECIAL_TOKENS, *(token for part in parts for token in part)]))


def _words(tokenizer: Tokenizer, texts: Iterable[str]) -> list[str]:
    """The words and signs of the texts, as the tokenizer's own normaliser cuts them."""
    normal = (tokenizer.normalizer.normalize_str(text) for text in texts)
    return [word for text in normal for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)]


def _stands_alone(character: str) -> bool:
    """Chinese characters and punctuation are words of their own."""
    ideograph = "CJK UNIFIED" in unicodedata.name(character, "")
    return ideograph or unicodedata.category(character)[0] == "P" or character in string.punctuation
