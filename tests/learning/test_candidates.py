"""Mining Z: the spans against a ranking written out, and each window mined once, whoever asks."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import SENTENCES
from tiny_training import SIZE, make_folder, tiny_reader, tiny_windows
from transformers import AutoTokenizer, PreTrainedModel

from xmrc.data.cache import Cache
from xmrc.data.examples import Answer, Example
from xmrc.data.features import Windows, WindowSize, make_windows, tokenize_texts
from xmrc.learning.candidates import (
    CandidateStore,
    CandidateWindows,
    mine_spans,
    window_codes,
)

LONGEST = 30  # tokens of an answer
LANGUAGES = ["en", "es", "de"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("candidates"))


@pytest.fixture(scope="module")
def windows(folder: Path) -> Windows:
    return tiny_windows(folder, 9)


@pytest.fixture(scope="module")
def reader() -> PreTrainedModel:
    return tiny_reader().eval()


def ranked_plainly(reader: PreTrainedModel, windows: Windows, row: int) -> list[tuple[int, int]]:
    """Every span of a window, read alone and without padding, best first."""
    batch = windows.batch(np.array([row]))
    with torch.no_grad():
        output = reader(input_ids=batch.input_ids_BL, token_type_ids=batch.token_type_ids_BL)
    starts, ends = output.start_logits[0].tolist(), output.end_logits[0].tolist()
    context = [at for at, held in enumerate(batch.context_mask_BL[0].tolist()) if held]
    spans = [(s, e) for s in context for e in context if s <= e < s + LONGEST]
    return sorted(spans, key=lambda span: (-(starts[span[0]] + ends[span[1]]), span))


def pairs(texts: Sequence[tuple[str, str]]) -> list[Example]:
    """Examples that ask for the first word."""
    answer = [Answer(context.split()[0], 0) for _, context in texts]
    return [
        Example(str(number), question, context, (answer[number],), "en", "en")
        for number, (question, context) in enumerate(texts)
    ]


def cut(folder: Path, examples: Sequence[Example], size: WindowSize = SIZE) -> Windows:
    """Windows over the tokens of all sentences, as those of one corpus."""
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    texts = tokenize_texts(SENTENCES, tokenizer, Cache(folder / "cache"))
    return make_windows(examples, texts, tokenizer, size)


class Miner:
    """Mines numbers that tell rows apart, and remembers what it was asked for."""

    def __init__(self, codes: np.ndarray, size: int) -> None:
        self.codes, self.size = codes, size
        self.asked: list[np.ndarray] = []

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        self.asked.append(self.codes[rows])
        first_NK = self.codes[rows][:, None] + np.arange(self.size)
        return np.stack([first_NK, first_NK + 1], axis=2).astype(np.int32)


def mine(store: CandidateStore, codes: list[int], size: int) -> list[list[int]]:
    """Ask for codes; gives those that were mined for it, part by part."""
    miner = Miner(np.array(codes), size)
    store.add(np.array(codes), size, miner)
    return [asked.tolist() for asked in miner.asked]


# What is mined


@pytest.mark.parametrize("size", [1, 5, 20])
def test_the_spans_are_the_best_of_all(
    reader: PreTrainedModel, windows: Windows, size: int
) -> None:
    found = mine_spans(reader, windows, size, "fp32")
    assert found.dtype == np.int32
    for row in range(len(windows)):
        expected = ranked_plainly(reader, windows, row)[:size]
        assert [tuple(span) for span in found[row].tolist()] == expected


def test_a_window_with_fewer_spans_has_absent_ones(reader: PreTrainedModel, folder: Path) -> None:
    examples = pairs([(SENTENCES[1], "Maria"), (SENTENCES[1], "old harbour")])
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    texts = [text for each in examples for text in (each.question, each.context)]
    tokens = tokenize_texts(texts, tokenizer, Cache(folder / "cache"))
    few = make_windows(examples, tokens, tokenizer, SIZE)
    found = mine_spans(reader, few, 500, "fp32")
    for row in range(len(few)):
        expected = ranked_plainly(reader, few, row)
        assert 1 <= len(expected) < 500
        assert [tuple(span) for span in found[row, : len(expected)].tolist()] == expected
        assert (found[row, len(expected) :] == -1).all()


def test_a_smaller_z_is_the_beginning_of_a_larger_one(
    reader: PreTrainedModel, windows: Windows
) -> None:
    large = mine_spans(reader, windows, 30, "fp32")
    assert np.array_equal(mine_spans(reader, windows, 7, "fp32"), large[:, :7])


# Which window is which


def test_a_code_is_that_of_a_question_a_context_and_a_place(folder: Path) -> None:
    long = SENTENCES[0]
    texts = [(SENTENCES[1], long), (SENTENCES[2], long), (long, SENTENCES[1])]
    small = WindowSize(24, 6, 5)
    all_codes = window_codes(cut(folder, pairs(texts), small))
    assert len(set(all_codes.tolist())) == len(all_codes) > 3
    again = window_codes(cut(folder, pairs(texts[::-1]), small))
    assert sorted(again.tolist()) == sorted(all_codes.tolist())
    second = window_codes(cut(folder, pairs(texts[1:2]), small))
    assert set(second.tolist()) < set(all_codes.tolist())


def test_windows_of_the_same_texts_are_one_whatever_their_answers(folder: Path) -> None:
    first, other = pairs([(SENTENCES[1], SENTENCES[0])] * 2)
    word = Answer("Maria", SENTENCES[0].index("Maria"))
    other = Example("other", other.question, other.context, (word,), "en", "de")
    codes = window_codes(cut(folder, [first, other]))
    assert codes[0] == codes[len(codes) // 2]
    store = CandidateStore(Cache(folder / "same"), "base")
    assert len(store.missing(codes, 5)) == len(set(codes.tolist()))


# The store


@pytest.fixture
def store(tmp_path: Path) -> CandidateStore:
    return CandidateStore(Cache(tmp_path), "base")


def test_each_window_is_mined_once(store: CandidateStore) -> None:
    assert mine(store, [5, 3, 8, 3], 4) == [[3, 5, 8]]
    files = {path: path.stat().st_mtime_ns for path in store.cache.root.rglob("*.npy")}
    assert mine(store, [8, 3], 4) == []
    assert mine(store, [8, 5, 3], 2) == []  # a smaller Z
    again = CandidateStore(Cache(store.cache.root), "base")
    assert mine(again, [8, 5], 3) == []
    assert {path: path.stat().st_mtime_ns for path in store.cache.root.rglob("*.npy")} == files


def test_only_what_is_missing_is_mined(store: CandidateStore) -> None:
    mine(store, [5, 3, 8], 4)
    assert mine(store, [9, 5, 1, 8], 3) == [[1, 9]]  # another seed's pairs
    assert mine(store, [9, 5], 4) == [[9]]  # 9 was mined with too few
    assert mine(store, [3, 9], 6) == [[3, 9]]
    assert mine(store, [3, 5, 8, 1, 9], 3) == []


def test_another_base_or_corpus_is_another_store(store: CandidateStore) -> None:
    mine(store, [1, 2], 3)
    assert mine(CandidateStore(store.cache, "other"), [1, 2], 3) == [[1, 2]]


def test_what_was_mined_is_found_in_any_order_and_sliced(store: CandidateStore) -> None:
    mine(store, [50, 30, 80], 6)
    mine(store, [10, 90, 50], 4)
    codes = np.array([90, 30, 10, 80, 50, 30])
    candidates = store.open(codes, 3)
    assert all(isinstance(part, np.memmap) for part in candidates.parts)
    rows = np.array([5, 0, 2, 3, 4])
    expected = [[[code + k, code + k + 1] for k in range(3)] for code in codes[rows].tolist()]
    assert candidates.of(rows).tolist() == expected
    assert candidates.of(np.array([], np.int64)).tolist() == [[[-1, -1]] * 3]


def test_a_builder_that_fails_leaves_nothing(store: CandidateStore) -> None:
    def fail(rows: np.ndarray) -> np.ndarray:
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        store.add(np.array([1, 2]), 3, fail)
    assert mine(store, [1, 2], 3) == [[1, 2]]


# In a batch


def test_batches_bring_their_candidates_along(
    reader: PreTrainedModel, windows: Windows, tmp_path: Path
) -> None:
    store, codes = CandidateStore(Cache(tmp_path), "base"), window_codes(windows)
    mined = mine_spans(reader, windows, 8, "fp32")
    store.add(codes, 8, lambda rows: mined[rows])
    with_z = CandidateWindows(windows, store.open(codes, 5))
    assert len(with_z) == len(windows)
    assert with_z.lengths is windows.lengths
    rows = np.array([4, 0, 7])
    batch, plain = with_z.batch(rows), windows.batch(rows)
    assert batch.candidates_BK2 is not None
    assert batch.candidates_BK2.dtype == torch.int64
    assert batch.candidates_BK2.tolist() == mined[rows, :5].tolist()
    assert torch.equal(batch.input_ids_BL, plain.input_ids_BL)
    assert plain.candidates_BK2 is None
    filler = with_z.batch(rows[:0])
    assert filler.candidates_BK2 is not None
    assert filler.candidates_BK2.tolist() == [[[-1, -1]] * 5]
    assert filler.weights_B.tolist() == [0]
    assert batch.to("meta").candidates_BK2.device.type == "meta"


def test_the_share_of_questions_whose_gold_the_base_found(windows: Windows, tmp_path: Path) -> None:
    """Five questions; 0 is found in one of its two windows, 3 too low for a small Z."""
    asked = replace(
        windows,
        example=np.array([0, 0, 1, 2, 2, 3, 4, 4, 4]),
        has_answer=np.array([1, 1, 1, 0, 0, 1, 1, 1, 0], bool),
        start_target=np.array([7, 9, 7, 0, 0, 8, 7, 7, 0]),
        end_target=np.array([8, 9, 8, 0, 0, 9, 7, 9, 0]),
    )
    spans_NK2 = np.full((9, 4, 2), -1)
    spans_NK2[1, 1] = 9, 9  # question 0
    spans_NK2[2, 0] = 7, 9  # question 1: one boundary right
    spans_NK2[3, 0] = 0, 0  # question 2 has no window with its answer, and does not count
    spans_NK2[5, 3] = 8, 9  # question 3
    spans_NK2[6, 0], spans_NK2[7, 0] = (7, 9), (7, 7)  # question 4: each is the other window's
    store, codes = CandidateStore(Cache(tmp_path), "base"), window_codes(asked)
    store.add(codes, 4, lambda rows: spans_NK2[rows])
    for size, share in ((1, 0.0), (2, 1 / 4), (3, 1 / 4), (4, 2 / 4)):
        found = CandidateWindows(asked, store.open(codes, size)).metrics
        assert found == {"gold_in_z": share}
