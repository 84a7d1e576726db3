"""Reading windows: against a reader that scores every span of every window in Python."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import KINDS, SENTENCES, tiny_checkpoint
from slow_reading import slow_answers
from transformers import (
    AutoModelForQuestionAnswering,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from xmrc.data.cache import Cache
from xmrc.data.examples import Example
from xmrc.data.features import Windows, WindowSize, make_windows, tokenize_texts
from xmrc.learning import prediction
from xmrc.learning.prediction import merge, predict, read_windows
from xmrc.scoring.predictions import Prediction

SIZE = WindowSize(max_length=40, max_question_tokens=24, stride=7)
PAIRS = [
    ("Who wrote the book?", " ".join(SENTENCES[:5])),  # many windows
    ("谁建造了桥？", SENTENCES[7]),
    ("मीनार?", SENTENCES[4] + SENTENCES[5]),
    ("When?", "In 1987."),  # few spans: fewer than the n best
    ("When?", " "),  # no token, no span
    ("When?", "1987 1987  1987 🏳️‍🌈 1987"),
    (
        "When?",
        " \n In   1987 ,\u3000 中 \u00a0\n\n  国 \t the   book  ",
    ),  # tokens of white space alone
]
EXAMPLES = [
    Example(f"q{number}", question, context, (), "xx", "yy")
    for number, (question, context) in enumerate(PAIRS)
]

Reading = tuple[PreTrainedModel, PreTrainedTokenizerBase, Windows]
Spans = list[list[tuple[int, int, float]]]


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Reading]:
    """A random reader of a kind, in float64: rounded to float32, its logits are the same however
    windows are batched."""
    made: dict[str, Reading] = {}

    def make(kind: str) -> Reading:
        if kind not in made:
            folder = tiny_checkpoint(kind, tmp_path_factory.mktemp(kind))
            tokenizer = AutoTokenizer.from_pretrained(folder)
            model = AutoModelForQuestionAnswering.from_pretrained(folder, dtype=torch.float64)
            texts = [text for pair in PAIRS for text in pair]
            tokens = tokenize_texts(texts, tokenizer, Cache(folder / "cache"))
            made[kind] = model.eval(), tokenizer, make_windows(EXAMPLES, tokens, tokenizer, SIZE)
        return made[kind]

    return make


def spans(predictions: list[Prediction]) -> Spans:
    return [[(one.start, one.end, one.score) for one in each.nbest] for each in predictions]


@pytest.mark.parametrize("n_best", [1, 20])
@pytest.mark.parametrize("kind", KINDS)
def test_predictions_are_those_of_every_span_scored(
    reading: Callable[[str], Reading], kind: str, n_best: int
) -> None:
    model, tokenizer, windows = reading(kind)
    predictions = predict(model, windows, n_best=n_best)
    assert [each.id for each in predictions] == [each.id for each in EXAMPLES]
    for example, found in zip(EXAMPLES, predictions, strict=True):
        slow = (
            slow_answers(model, tokenizer, example.question, example.context, SIZE, n_best)
            if example.context.strip()
            else []
        )
        assert [(one.start, one.end) for one in found.nbest] == [(s.start, s.end) for s in slow]
        assert [one.score for one in found.nbest] == pytest.approx([one.score for one in slow])
        for one in found.nbest:
            assert one.text == example.context[one.start : one.end]
    assert len(predictions[0].nbest) == n_best
    assert predictions[0].windows is not None
    assert predictions[0].windows > 2
    assert predictions[4].nbest == ()


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_tokens_may_share_characters(reading: Callable[[str], Reading], kind: str) -> None:
    """Else the test above would not show that the n best are told apart by their characters."""
    _, tokenizer, _ = reading(kind)
    offsets = tokenizer(SENTENCES[7], return_offsets_mapping=True, add_special_tokens=False)
    starts = [start for start, _ in offsets["offset_mapping"]]
    assert len(starts) > len(set(starts))


@pytest.mark.parametrize("world_size", [1, 2, 3, 99])
def test_the_shares_of_all_workers_give_the_predictions_of_one(
    reading: Callable[[str], Reading], world_size: int
) -> None:
    model, _, windows = reading("unigram")
    shares = [read_windows(model, windows, rank, world_size) for rank in range(world_size)]
    read = np.concatenate([share.window_N for share in shares])
    assert sorted(read) == list(range(len(windows)))  # each window once
    assert spans(merge(windows, shares)) == spans(predict(model, windows))


def test_how_windows_are_batched_changes_nothing(
    reading: Callable[[str], Reading], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _, windows = reading("wordpiece")
    together = spans(predict(model, windows))
    for tokens in (1, 90):
        monkeypatch.setitem(prediction.TOKENS_AT_ONCE, "cpu", tokens)
        assert spans(predict(model, windows)) == together


def test_progress_counts_this_workers_windows(
    reading: Callable[[str], Reading], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _, windows = reading("wordpiece")
    monkeypatch.setitem(prediction.TOKENS_AT_ONCE, "cpu", 90)
    told: list[tuple[int, int]] = []
    share = read_windows(model, windows, 1, 2, progress=lambda *counts: told.append(counts))
    done, totals = zip(*told, strict=True)
    assert set(totals) == {len(share.window_N)}
    assert list(done) == sorted(set(done))
    assert done[-1] == totals[-1]


def test_dropout_is_off_while_reading(reading: Callable[[str], Reading], tmp_path: Path) -> None:
    model, _, windows = reading("wordpiece")
    model.train()
    assert model.config.hidden_dropout_prob > 0
    assert spans(predict(model, windows)) == spans(predict(model, windows))
