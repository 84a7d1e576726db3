"""How a reader reads: with its own windows, as it will wherever it is used."""

from pathlib import Path

from xmrc.data.features import WindowSize
from xmrc.learning.reader import write_card
from xmrc.search.reading import reader_size
from xmrc.settings import DataSettings, RunSettings


def test_a_reader_is_scored_with_the_windows_it_was_trained_with(tmp_path: Path) -> None:
    settings = RunSettings(data=DataSettings(max_length=256, max_question_tokens=32, stride=64))
    assert reader_size(settings, str(tmp_path)) == WindowSize(256, 32, 64)
    drawn = WindowSize(128, 32, 16)  # by a trial, where data.max_length is searched
    write_card(tmp_path, drawn)
    assert reader_size(settings, str(tmp_path)) == drawn
