"""Windows against what each tokenizer itself makes of the pairs, and gold answers by hand."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import SENTENCES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Encoding, Tokenizer, normalizers, processors
from transformers import (
    AutoTokenizer,
    BertTokenizer,
    ByT5Tokenizer,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from xmrc.data.cache import Cache
from xmrc.data.examples import Answer, Example, read_squad
from xmrc.data.features import Batch, Windows, WindowSize, make_windows, tokenize_texts
from xmrc.errors import DataError, SettingsError

KINDS = ["wordpiece", "unigram", "bpe", "deberta"]
VARIANTS = ["bare", "folding", "trimming"]
SPACES = [
    "",
    " ",
    "  ",
    "\t",
    "\n",
    "\u00a0",
    "\u3000",
    "\u200b",
    "\u200d",
    "\ufeff",
    "\x00",
    "\x7f",
]
SPECIALS = ["[SEP]", "</s>", "[PAD]", "<pad>", "[UNK]", "▁", "##", "Ġ", "�", "\U0010ffff"]
LETTERS_AND_MARKS = [
    "e\u0301",
    "o\u0308\u0323",
    "½",
    "ﷺ",
    "ﬁ",
    "㎏",
    "ß",
    "İ",
    "ǅ",
    "𝔘",
    "क्षि",
    "ใน้ำ",
]
SYMBOLS = [
    "\u1112\u1161\u11ab",
    "👩\u200d👩\u200d👧",
    "🏳️\u200d🌈",
    "🇻🇳",
    "…",
    "''“”",
    "2.5",
    "١٩٨٧",
]
ODD = [*SPACES, *SPECIALS, *LETTERS_AND_MARKS, *SYMBOLS]
WORDS = [word for sentence in SENTENCES for word in sentence.split()]
TEXTS = st.lists(
    st.one_of(st.sampled_from(WORDS), st.sampled_from(ODD), st.text(max_size=3)), max_size=25
).flatmap(lambda parts: st.sampled_from([" ", "", "  "]).map(lambda gap: gap.join(parts)))
MANY_CASES = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(params=KINDS)
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerBase:
    """One of each usual kind."""
    return request.getfixturevalue(f"{request.param}_tokenizer")


@pytest.fixture(params=[*KINDS, *VARIANTS])
def any_tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerBase:
    """The usual kinds, and three that work on the text or the pair in another way."""
    if request.param in KINDS:
        return request.getfixturevalue(f"{request.param}_tokenizer")
    source, change = CHANGES[request.param]
    backend = request.getfixturevalue(f"{source}_tokenizer").backend_tokenizer
    changed = Tokenizer.from_str(backend.to_str())
    change(changed)
    inputs = ["input_ids", "attention_mask", *["token_type_ids"] * (request.param != "folding")]
    return PreTrainedTokenizerFast(
        tokenizer_object=changed, pad_token="<pad>", model_input_names=inputs
    )


def _strip_template(backend: Tokenizer) -> None:
    """No special tokens around the texts at all."""
    backend.post_processor = processors.TemplateProcessing(single="$A", pair="$A $B:1")


def _fold(backend: Tokenizer) -> None:
    """Normalise as SentencePiece models do: one character may become several, marks reorder."""
    backend.normalizer = normalizers.Sequence(
        [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]
    )


def _trim(backend: Tokenizer) -> None:
    """RoBERTa: offsets without the space before a word, a double separator."""
    backend.post_processor = processors.RobertaProcessing(
        ("[SEP]", 1), ("[CLS]", 0), trim_offsets=True, add_prefix_space=False
    )


CHANGES: dict[str, tuple[str, Callable[[Tokenizer], None]]] = {
    "bare": ("bpe", _strip_template),
    "folding": ("unigram", _fold),
    "trimming": ("bpe", _trim),
}


def example(question: str, context: str, *answers: Answer, id: str = "q") -> Example:
    return Example(id, question, context, answers, "en", "en")


def windows_of(
    examples: list[Example], tokenizer: PreTrainedTokenizerBase, size: WindowSize, cache: Cache
) -> Windows:
    texts = [text for each in examples for text in (each.question, each.context)]
    return make_windows(examples, tokenize_texts(texts, tokenizer, cache), tokenizer, size)


def cut_by_library(
    tokenizer: PreTrainedTokenizerBase, question: str, context: str, size: WindowSize
) -> list[Encoding]:
    """The library's own windows of one pair, the question's tokens cut first."""
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    first = backend.encode(question, add_special_tokens=False)
    first.truncate(size.max_question_tokens)
    _edit(first, overflowing=[])  # the library keeps what it cut off, and would make windows of it
    second = backend.encode(context, add_special_tokens=False)
    _edit(second, type_ids=[1] * len(second))  # as in a direct call
    backend.enable_truncation(size.max_length, stride=size.stride, strategy="only_second")
    encoding = backend.post_process(first, second)
    return [encoding, *encoding.overflowing]


def _edit(encoding: Encoding, **changes: object) -> None:
    state = json.loads(encoding.__getstate__())
    encoding.__setstate__(json.dumps({**state, **changes}).encode())


def context_offsets(windows: Windows, batch: Batch, row: int) -> list[tuple[int, int]]:
    """Offsets of the context tokens of a window, by way of the public `characters`."""
    positions = batch.context_mask_BL[row].nonzero().flatten().numpy()
    starts, ends = windows.characters(np.array(row), positions, positions)
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


@st.composite
def sizes(draw: st.DrawFn) -> WindowSize:
    question, stride = draw(st.integers(1, 12)), draw(st.integers(0, 8))
    longest_template = 4
    room = stride + 1 + draw(st.integers(0, 20))
    return WindowSize(question + longest_template + room, question, stride)


@MANY_CASES
@given(pairs=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4), size=sizes())
def test_windows_equal_the_tokenizers_own(
    any_tokenizer: PreTrainedTokenizerBase,
    cache: Cache,
    pairs: list[tuple[str, str]],
    size: WindowSize,
) -> None:
    windows = windows_of([example(*pair) for pair in pairs], any_tokenizer, size, cache)
    batch = windows.batch(np.arange(len(windows)))
    expected = [
        (index, window)
        for index, pair in enumerate(pairs)
        for window in cut_by_library(any_tokenizer, *pair, size)
    ]
    assert windows.example.tolist() == [index for index, _ in expected]
    assert windows.lengths.tolist() == [len(window.ids) for _, window in expected]
    for row, (_, window) in enumerate(expected):
        length = len(window.ids)
        assert batch.input_ids_BL[row, :length].tolist() == window.ids
        assert batch.attention_mask_BL[row].sum() == length
        if batch.token_type_ids_BL is not None:
            assert batch.token_type_ids_BL[row, :length].tolist() == window.type_ids
        on_context = [part == 1 for part in window.sequence_ids]
        assert batch.context_mask_BL[row, :length].tolist() == on_context
        assert not batch.context_mask_BL[row, length:].any()
        other = [
            special == 1 or held
            for special, held in zip(window.special_tokens_mask, on_context, strict=True)
        ]
        assert batch.question_mask_BL[row, :length].tolist() == [not held for held in other]
        assert not batch.question_mask_BL[row, length:].any()


@MANY_CASES
@given(pairs=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4), size=sizes())
def test_a_batch_equals_a_direct_call(
    any_tokenizer: PreTrainedTokenizerBase,
    cache: Cache,
    pairs: list[tuple[str, str]],
    size: WindowSize,
) -> None:
    """Padding, types, masks and offsets too; questions short enough not to be cut."""
    questions, contexts = zip(
        *((question[:5], context) for question, context in pairs), strict=True
    )
    longest = max(map(len, any_tokenizer(list(questions), add_special_tokens=False)["input_ids"]))
    size = WindowSize(size.max_length + longest, longest, size.stride)
    direct = any_tokenizer(
        list(questions),
        list(contexts),
        truncation="only_second",
        max_length=size.max_length,
        stride=size.stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        padding="longest",
        return_tensors="pt",
    )
    pairs = list(zip(questions, contexts, strict=True))
    windows = windows_of([example(*pair) for pair in pairs], any_tokenizer, size, cache)
    batch = windows.batch(np.arange(len(windows)))
    assert windows.example.tolist() == direct["overflow_to_sample_mapping"].tolist()
    assert torch.equal(batch.input_ids_BL, direct["input_ids"])
    assert torch.equal(batch.attention_mask_BL, direct["attention_mask"])
    assert (batch.token_type_ids_BL is None) == ("token_type_ids" not in direct)
    if batch.token_type_ids_BL is not None:
        assert torch.equal(batch.token_type_ids_BL, direct["token_type_ids"])
    for row in range(len(windows)):
        offsets = direct["offset_mapping"][row][batch.context_mask_BL[row]]
        assert context_offsets(windows, batch, row) == [tuple(pair) for pair in offsets.tolist()]


def test_token_types_follow_the_template_in_every_window(
    unigram_tokenizer: PreTrainedTokenizerBase, cache: Cache
) -> None:
    """The library says 1 in later windows of a template of zeros: a type such models lack."""
    backend = unigram_tokenizer.backend_tokenizer
    inputs = ["input_ids", "attention_mask", "token_type_ids"]
    typed = PreTrainedTokenizerFast(tokenizer_object=backend, model_input_names=inputs)
    windows = windows_of([example("who?", SENTENCES[0])], typed, WindowSize(24, 8, 2), cache)
    types = windows.batch(np.arange(len(windows))).token_type_ids_BL
    assert types is not None
    assert len(types) > 1
    assert not types.any()


@MANY_CASES
@given(data=st.data(), question=TEXTS, context=TEXTS.filter(len), size=sizes())
def test_targets_equal_a_search_through_the_offsets(
    any_tokenizer: PreTrainedTokenizerBase,
    cache: Cache,
    data: st.DataObject,
    question: str,
    context: str,
    size: WindowSize,
) -> None:
    start = data.draw(st.integers(0, len(context) - 1))
    stop = data.draw(st.integers(start + 1, len(context)))
    gold = Answer(context[start:stop], start)
    windows = windows_of([example(question, context, gold)], any_tokenizer, size, cache)
    batch = windows.batch(np.arange(len(windows)))
    call = any_tokenizer(context, add_special_tokens=False, return_offsets_mapping=True)
    offsets = call["offset_mapping"]
    behind = [token for token, (_, end) in enumerate(offsets) if end > start]
    before = [token for token, (begin, _) in enumerate(offsets) if begin < stop]
    for row in range(len(windows)):
        tokens = range(windows.context_start[row], windows.context_stop[row])
        whole = bool(behind and before) and behind[0] <= before[-1]
        whole = whole and behind[0] in tokens and before[-1] in tokens
        assert batch.has_answer_B[row] == whole
        targets = [batch.start_targets_B[row].item(), batch.end_targets_B[row].item()]
        if not whole:
            assert targets == [0, 0]
        else:
            positions = batch.context_mask_BL[row].nonzero().flatten()
            golds = [behind[0] - tokens[0], before[-1] - tokens[0]]
            assert targets == positions[golds].tolist()


def test_the_targets_characters_are_those_of_the_answer(
    tokenizer: PreTrainedTokenizerBase, cache: Cache
) -> None:
    """Every word of every sentence, alone and with its neighbour, in all scripts."""
    spans = [
        Answer(sentence[start:stop], start)
        for sentence in SENTENCES
        for start, stop in _spans_of_words(sentence)
    ]
    contexts = [s for s in SENTENCES for _ in _spans_of_words(s)]
    examples = [example("?", context, span) for context, span in zip(contexts, spans, strict=True)]
    windows = windows_of(examples, tokenizer, WindowSize(), cache)
    assert windows.has_answer.all()
    rows = np.arange(len(windows))
    starts, ends = windows.characters(rows, windows.start_target, windows.end_target)
    for context, span, start, end in zip(contexts, spans, starts, ends, strict=True):
        covered = context[start:end]
        assert span.text in covered
        if " " in context:  # a token may begin with the space before its word, never with a letter
            assert covered.strip() in (span.text, f"{span.text}{context[end - 1]}")


def _spans_of_words(sentence: str) -> Iterator[tuple[int, int]]:
    at, ends = 0, []
    for word in sentence.split():
        start = sentence.index(word, at)
        at = start + len(word)
        ends.append(at)
        yield start, at
        if len(ends) > 1:
            yield sentence.rindex(sentence.split()[len(ends) - 2], 0, start), at


LETTER_VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghi?"]
LETTERS = BertTokenizer(vocab={token: id for id, token in enumerate(LETTER_VOCABULARY)})


def test_windows_by_hand(cache: Cache) -> None:
    """Room for 4 context tokens, 1 shared: abcd, defg, ghi. The answer "f g" is in one of them."""
    pair = example("? ? ?", "a b c d e f g h i", Answer("f g", 10))
    windows = windows_of([pair], LETTERS, WindowSize(9, 2, 1), cache)
    batch = windows.batch(np.array([0, 1, 2]))
    assert [LETTERS.decode(ids) for ids in batch.input_ids_BL] == [
        "[CLS]?? [SEP] a b c d [SEP]",
        "[CLS]?? [SEP] d e f g [SEP]",
        "[CLS]?? [SEP] g h i [SEP] [PAD]",
    ]
    assert batch.has_answer_B.tolist() == [False, True, False]
    assert batch.start_targets_B.tolist() == [0, 6, 0]
    assert batch.end_targets_B.tolist() == [0, 7, 0]
    assert batch.weights_B.tolist() == [1, 1, 1]
    assert batch.window_B.tolist() == [0, 1, 2]


def test_an_answer_in_the_overlap_is_in_both_windows(cache: Cache) -> None:
    pair = example("?", "a b c d e f g", Answer("d", 6), Answer("a", 0))
    windows = windows_of([pair], LETTERS, WindowSize(8, 1, 1), cache)
    assert windows.start_target.tolist() == [6, 3]
    assert windows.has_answer.tolist() == [True, True]


@pytest.mark.parametrize("answers", [(), (Answer("", 0),), (Answer("", 3),)])
def test_a_blind_example_has_the_first_token_as_its_target(
    cache: Cache, answers: tuple[Answer, ...]
) -> None:
    windows = windows_of([example("?", "a b c", *answers)], LETTERS, WindowSize(), cache)
    assert not windows.has_answer.any()
    assert (windows.start_target, windows.end_target) == (0, 0)


def test_the_same_question_id_has_the_same_code(cache: Cache) -> None:
    ids = ["x", "y", "x", "z", "y"]
    examples = [example("?", "a b c d e f g h", id=id) for id in ids]
    windows = windows_of(examples, LETTERS, WindowSize(10, 1, 0), cache)
    codes = windows.batch(np.arange(len(windows))).question_B
    of_window = [ids[index] for index in windows.example]
    same = [[one == other for other in of_window] for one in of_window]
    assert (codes[:, None] == codes).tolist() == same


def test_no_rows_make_one_filler_window_that_counts_nothing(
    tokenizer: PreTrainedTokenizerBase, cache: Cache
) -> None:
    pairs = [example("who?", s, Answer(s[:3], 0)) for s in SENTENCES]
    windows = windows_of(pairs, tokenizer, WindowSize(), cache)
    batch = windows.batch(np.array([], np.int64))
    assert len(batch) == 1
    assert batch.input_ids_BL.shape == (1, windows.lengths.min())
    assert batch.attention_mask_BL.all()
    assert (batch.weights_B, batch.has_answer_B) == (0, False)
    assert (batch.question_B, batch.window_B) == (-1, -1)
    assert (batch.start_targets_B, batch.end_targets_B) == (0, 0)
    assert batch.context_mask_BL.any()


def test_batches_of_any_rows_hold_these_rows(
    tokenizer: PreTrainedTokenizerBase, cache: Cache
) -> None:
    pairs = [example("who?", f"{s} {s}", Answer(s[:3], 0)) for s in SENTENCES]
    windows = windows_of(pairs, tokenizer, WindowSize(48, 8, 8), cache)
    everything = windows.batch(np.arange(len(windows)))
    rows = np.array(random.Random(0).sample(range(len(windows)), 9))
    batch = windows.batch(rows)
    width = batch.input_ids_BL.shape[1]
    assert width == windows.lengths[rows].max()
    assert torch.equal(batch.input_ids_BL, everything.input_ids_BL[rows, :width])
    assert torch.equal(batch.context_mask_BL, everything.context_mask_BL[rows, :width])
    assert torch.equal(batch.end_targets_B, everything.end_targets_B[rows])
    again = windows.subset(rows).batch(np.arange(9))
    assert torch.equal(again.input_ids_BL, batch.input_ids_BL)
    assert torch.equal(again.question_B, batch.question_B)


def test_dtypes_and_device(unigram_tokenizer: PreTrainedTokenizerBase, cache: Cache) -> None:
    windows = windows_of([example("?", "a")], unigram_tokenizer, WindowSize(), cache)
    batch = windows.batch(np.array([0], np.int32)).to("meta")
    assert batch.token_type_ids_BL is None
    assert batch.input_ids_BL.device.type == "meta"
    whole = (batch.input_ids_BL, batch.attention_mask_BL, batch.start_targets_B, batch.window_B)
    assert {tensor.dtype for tensor in whole} == {torch.int64}
    assert batch.context_mask_BL.dtype == batch.has_answer_B.dtype == torch.bool
    assert batch.weights_B.dtype == torch.float32


def test_absent_spans_have_absent_characters(cache: Cache) -> None:
    windows = windows_of([example("?", "a b c d e f g")], LETTERS, WindowSize(8, 1, 1), cache)
    starts, ends = windows.characters(
        np.array([[0], [1]]), np.array([[3, -1], [4, 3]]), np.array([[4, -1], [6, 3]])
    )
    assert starts.tolist() == [[0, -1], [8, 6]]
    assert ends.tolist() == [[3, -1], [13, 7]]


def test_texts_are_tokenised_once_whatever_their_order(
    wordpiece_tokenizer: PreTrainedTokenizerBase,
    unigram_tokenizer: PreTrainedTokenizerBase,
    tmp_path: Path,
) -> None:
    once = tokenize_texts(SENTENCES, wordpiece_tokenizer, Cache(tmp_path))
    (file,) = tmp_path.glob("tokens/*/*.arrow")
    written = file.stat().st_mtime_ns
    again = tokenize_texts([*SENTENCES[::-1], *SENTENCES], wordpiece_tokenizer, Cache(tmp_path))
    assert [path.stat().st_mtime_ns for path in tmp_path.glob("tokens/*/*.arrow")] == [written]
    assert len(once) == len(again) == len(SENTENCES)
    for sentence in SENTENCES:
        row = again.row(sentence)
        direct = wordpiece_tokenizer(
            sentence, add_special_tokens=False, return_offsets_mapping=True
        )
        assert again.token_ids(row).tolist() == direct["input_ids"]
        offsets = zip(again.starts(row).tolist(), again.ends(row).tolist(), strict=True)
        assert list(offsets) == direct["offset_mapping"]
    tokenize_texts(SENTENCES, unigram_tokenizer, Cache(tmp_path))
    tokenize_texts(SENTENCES[1:], wordpiece_tokenizer, Cache(tmp_path))
    assert len(list(tmp_path.glob("tokens/*/*.arrow"))) == 3


def test_tokens_are_mapped_and_not_copied(
    wordpiece_tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    texts = tokenize_texts(SENTENCES, wordpiece_tokenizer, Cache(tmp_path))
    (file,) = tmp_path.glob("tokens/*/*.arrow")
    mapped = Path("/proc/self/maps")
    if mapped.exists():
        assert str(file) in mapped.read_text()
    assert not texts.token_ids(0).flags.owndata
    assert not texts.flat_ids.flags.writeable


def test_no_text_at_all(wordpiece_tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    assert len(tokenize_texts([], wordpiece_tokenizer, Cache(tmp_path))) == 0


def test_truncation_and_padding_saved_with_a_tokenizer_change_nothing(
    wordpiece_tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    backend = Tokenizer.from_str(wordpiece_tokenizer.backend_tokenizer.to_str())
    backend.enable_truncation(4)
    backend.enable_padding(length=16)
    wordpiece_tokenizer.save_pretrained(tmp_path / "saved")
    backend.save(str(tmp_path / "saved" / "tokenizer.json"))
    stateful = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert len(stateful.backend_tokenizer.encode(SENTENCES[0]).ids) == 16
    size = WindowSize(40, 8, 8)
    pairs = [example(SENTENCES[1], sentence) for sentence in SENTENCES]
    with_state = windows_of(pairs, stateful, size, Cache(tmp_path / "one"))
    without = windows_of(pairs, wordpiece_tokenizer, size, Cache(tmp_path / "two"))
    rows = np.arange(len(without))
    assert torch.equal(with_state.batch(rows).input_ids_BL, without.batch(rows).input_ids_BL)
    assert stateful.backend_tokenizer.truncation["max_length"] == 4  # left as it was


def test_special_tokens_in_a_text_are_split_if_the_tokenizer_says_so(
    wordpiece_tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    wordpiece_tokenizer.save_pretrained(tmp_path / "saved")
    splitting = AutoTokenizer.from_pretrained(tmp_path / "saved", split_special_tokens=True)
    for tokenizer in (wordpiece_tokenizer, splitting):
        texts = tokenize_texts(["a [SEP] b"], tokenizer, Cache(tmp_path))
        expected = tokenizer("a [SEP] b", add_special_tokens=False)["input_ids"]
        assert texts.token_ids(0).tolist() == expected


def test_a_tokenizer_without_offsets_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"encoder: .* must be a fast one.*ByT5Tokenizer"):
        tokenize_texts(["a"], ByT5Tokenizer(), Cache(tmp_path))


def test_a_text_that_is_not_unicode_is_refused(
    wordpiece_tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"valid Unicode, got 'half \\ud83d'"):
        tokenize_texts(["half \ud83d"], wordpiece_tokenizer, Cache(tmp_path))


def test_a_stride_that_the_library_panics_at_is_refused(
    tokenizer: PreTrainedTokenizerBase, cache: Cache
) -> None:
    special = tokenizer.num_special_tokens_to_add(pair=True)
    pair = example("?" * 9, SENTENCES[0] * 3)
    allowed = WindowSize(max_length=8 + special + 6, max_question_tokens=8, stride=5)
    refused = WindowSize(max_length=8 + special + 6, max_question_tokens=8, stride=6)
    expected = cut_by_library(tokenizer, pair.question, pair.context, allowed)
    assert len(windows_of([pair], tokenizer, allowed, cache)) == len(expected)
    with pytest.raises(BaseException, match="stride"):  # the library's panic is no Exception
        cut_by_library(tokenizer, pair.question, pair.context, refused)
    rule = rf"data\.stride: .*max_question_tokens 8 - {special} special tokens = 6\), got 6"
    with pytest.raises(SettingsError, match=rule):
        windows_of([pair], tokenizer, refused, cache)


def test_no_room_for_the_context_is_refused(
    tokenizer: PreTrainedTokenizerBase, cache: Cache
) -> None:
    special = tokenizer.num_special_tokens_to_add(pair=True)
    rule = rf"data\.max_length: .*max_question_tokens 8 - {special} special tokens = 0"
    with pytest.raises(SettingsError, match=rule):
        windows_of([example("?", "a")], tokenizer, WindowSize(8 + special, 8, 0), cache)


def test_xquad_windows_equal_the_tokenizers_own(
    tokenizer: PreTrainedTokenizerBase, cache: Cache, real_data: Path
) -> None:
    languages = ["en", "ar", "hi", "th", "zh"]
    files = {lang: real_data / "xquad" / f"xquad.{lang}.json" for lang in languages}
    read = {lang: read_squad(file, lang, lang, unique_ids=True) for lang, file in files.items()}
    draw = random.Random(0)
    pairs = [
        example(read[draw.choice(languages)][index].question, each.context, *each.answers)
        for language in languages
        for index, each in draw.sample(list(enumerate(read[language])), 40)
    ]
    size = WindowSize(128, 24, 32)
    windows = windows_of(pairs, tokenizer, size, cache)
    batch = windows.batch(np.arange(len(windows)))
    cuts = [cut_by_library(tokenizer, each.question, each.context, size) for each in pairs]
    expected = [window.ids for cut in cuts for window in cut]
    ids = zip(batch.input_ids_BL.tolist(), windows.lengths, strict=True)
    assert [row[:length] for row, length in ids] == expected
    held = np.flatnonzero(windows.has_answer)
    starts, ends = windows.characters(held, windows.start_target[held], windows.end_target[held])
    for index, start, end in zip(windows.example[held], starts, ends, strict=True):
        assert pairs[index].answers[0].text.strip() in pairs[index].context[start:end]
