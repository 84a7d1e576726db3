"""A reader that was opened from a folder: its answers, and how it cuts long contexts."""

from pathlib import Path

import pytest
from checkpoints import tiny_checkpoint
from marker_reader import MARKER, marker_reader
from slow_reading import slow_answers
from transformers import AutoModelForQuestionAnswering, AutoTokenizer, BertConfig, XLMRobertaConfig

from xmrc.data.cache import Cache
from xmrc.data.examples import Answer, Example
from xmrc.data.features import WindowSize
from xmrc.errors import DataError
from xmrc.learning.reader import CARD, Reader, read_size, size_within, write_card

QUESTIONS = ["Who wrote the book?", "谁建造了桥？"]
CONTEXTS = ["The keeper Maria Olsen wrote her first book in 1987. " * 12, "这座城市最古老的桥"]


@pytest.mark.parametrize("kind", ["wordpiece", "unigram"])
def test_answers_are_those_of_every_span_scored(kind: str, tmp_path: Path) -> None:
    folder = tiny_checkpoint(kind, tmp_path)
    write_card(folder, WindowSize(max_length=48, max_question_tokens=20, stride=9))
    model = AutoModelForQuestionAnswering.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    reader = Reader(str(folder))
    found = reader.answer(QUESTIONS, CONTEXTS)
    for question, context, prediction in zip(QUESTIONS, CONTEXTS, found, strict=True):
        slow = slow_answers(model, tokenizer, question, context, reader.size, 20)
        # in float32 the last bits depend on the batch, so close spans may change places
        assert [span.score for span in prediction.nbest] == pytest.approx(
            [span.score for span in slow], abs=1e-5
        )
        shares = {(span.start, span.end): span.score for span in slow}
        for span in prediction.nbest[:10]:
            assert shares[span.start, span.end] == pytest.approx(span.score, abs=1e-5)
            assert context[span.start : span.end] == span.text


def test_the_whole_of_a_long_context_is_read(tmp_path: Path) -> None:
    reader = Reader(str(marker_reader(tmp_path, positions=32)))
    words = ["the river crosses the city"] * 200
    for place in (0, 57, 123, 199):
        context = " ".join([*words[:place], MARKER, *words[place:]])
        (prediction,) = reader.answer(["When?"], [context], n_best=3)
        assert (prediction.answer, prediction.start) == (MARKER, context.index(MARKER))
        assert prediction.windows is not None
        assert prediction.windows > 40


def test_examples_come_back_in_their_order_with_ids_and_languages(tmp_path: Path) -> None:
    reader = Reader(str(marker_reader(tmp_path)))
    contexts = [f"{'book ' * (30 - number)}{MARKER}" for number in range(30)]
    examples = [
        Example(f"q{number}", "When?", context, (Answer(MARKER, 0),), "de", "en")
        for number, context in enumerate(contexts)
    ]
    predictions = reader.read(examples, Cache(tmp_path / "cache"))
    assert [one.id for one in predictions] == [one.id for one in examples]
    assert [one.start for one in predictions] == [context.index(MARKER) for context in contexts]
    assert {(one.question_language, one.context_language) for one in predictions} == {("de", "en")}


def test_no_question_has_no_answer(tmp_path: Path) -> None:
    assert Reader(str(marker_reader(tmp_path))).answer([], []) == []


def test_a_reader_remembers_its_windows(tmp_path: Path) -> None:
    size = WindowSize(max_length=50, max_question_tokens=10, stride=11)
    write_card(tmp_path, size)
    assert read_size(str(tmp_path)) == size


def test_a_checkpoint_of_others_gets_windows_within_its_positions(tmp_path: Path) -> None:
    BertConfig(max_position_embeddings=512).save_pretrained(tmp_path)
    assert read_size(str(tmp_path)) == WindowSize(384, 64, 128)
    short = size_within(XLMRobertaConfig(max_position_embeddings=130, pad_token_id=1))
    assert short.max_length == 128  # two positions of XLM-R's are reserved
    assert short.stride < short.max_length - short.max_question_tokens - 4


@pytest.mark.parametrize("text", ["[]", "{", '{"max_length": 9, "colour": 1}'])
def test_a_broken_card_is_one_line_naming_it(text: str, tmp_path: Path) -> None:
    (tmp_path / CARD).write_text(text)
    with pytest.raises(DataError, match=r"xmrc\.json: must be a JSON object of max_") as caught:
        read_size(str(tmp_path))
    assert "\n" not in str(caught.value)
