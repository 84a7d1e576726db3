"""What a failing disk does to a cache or a reader: made again as it was, or refused in one line."""

import shutil
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints import SENTENCES, tiny_checkpoint, tiny_tokenizer
from damage import damage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xmrc.data.cache import Cache
from xmrc.data.examples import Answer, Example
from xmrc.data.features import tokenize_texts
from xmrc.data.store import load_examples, store_examples
from xmrc.errors import DataError
from xmrc.learning.candidates import CandidateStore
from xmrc.learning.model import load_config, load_model, load_tokenizer
from xmrc.learning.reader import Reader, read_size
from xmrc.learning.scratch import scratch_encoder
from xmrc.seals import seal
from xmrc.settings import EncoderConfig

RULE = "must be as it was written, and its checksum says it is not"
EXAMPLES = [
    Example(f"q{number}", text, text, (Answer(text[:3], 0),), "en", "de")
    for number, text in enumerate(SENTENCES)
]
SMALL = EncoderConfig(
    layers=1, hidden_size=16, heads=2, intermediate_size=16, vocab_size=500,
    max_position_embeddings=64,
)  # fmt: skip


def corpora(cache: Cache, _: Path) -> object:
    return load_examples(store_examples(EXAMPLES, cache))


def tokens(cache: Cache, tokenizer: Path) -> object:
    texts = tokenize_texts(SENTENCES, load_tokenizer(str(tokenizer)), cache)
    flat = (texts.flat_ids, texts.flat_starts, texts.flat_ends, texts.offsets)
    return [one.tolist() for one in flat]


def candidates(cache: Cache, _: Path) -> object:
    store, codes = CandidateStore(cache, "key"), np.arange(300)

    def mine(rows: np.ndarray) -> np.ndarray:
        return np.repeat(codes[rows], 8).reshape(-1, 4, 2).astype(np.int32)

    store.add(codes, 4, mine)
    return store.open(codes, 4).of(codes).tolist()


def scratch(cache: Cache, _: Path) -> object:
    folder = scratch_encoder(SENTENCES, SMALL, 1, cache)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module", params=[corpora, tokens, candidates, scratch])
def cached(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Callable[[Cache], object]]:
    """A cache that holds one thing, and how that is found there, or made."""
    folder = tmp_path_factory.mktemp("cached")
    tiny_tokenizer("wordpiece", folder / "tokenizer")

    def find(cache: Cache) -> object:
        return request.param(cache, folder / "tokenizer")

    find(Cache(folder / "cache"))
    return folder / "cache", find


@given(st.data())
@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_what_is_cached_is_made_again_as_it_was(
    cached: tuple[Path, Callable[[Cache], object]], data: st.DataObject
) -> None:
    made, find = cached
    whole = find(Cache(made))
    with tempfile.TemporaryDirectory() as root, redirect_stderr(StringIO()) as said:
        cache = shutil.copytree(made, Path(root) / "cache")
        files = sorted(path for path in cache.rglob("[!.]*") if path.is_file())
        file = data.draw(st.sampled_from(files))
        damage(file, data)
        assert find(Cache(cache)) == whole
        assert said.getvalue() == f"note: {file}: {RULE}; it is made again\n"


def test_who_cannot_make_it_again_is_told_the_file(tmp_path: Path) -> None:
    file = store_examples(EXAMPLES, Cache(tmp_path))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(DataError, match=rf"^{file}: {RULE}$"):
        load_examples(file)


def test_lost_candidates_end_a_training_in_one_line(tmp_path: Path) -> None:
    candidates(Cache(tmp_path), tmp_path)
    (spans,) = tmp_path.rglob("spans.npy")
    spans.write_bytes(spans.read_bytes()[:-7])
    with pytest.raises(DataError, match=r"^.*/candidates/key: must have all candidates"):
        CandidateStore(Cache(tmp_path), "key").open(np.arange(300), 4)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny_checkpoint("wordpiece", tmp_path_factory.mktemp("reader"))
    seal(folder)
    return folder


OPENED: list[Callable[[str], Any]] = [
    Reader,
    read_size,
    load_config,
    load_tokenizer,
    lambda source: load_model(source, seed=0),
]


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_a_damaged_reader_is_opened_by_nobody(reader: Path, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as root:
        folder = shutil.copytree(reader, Path(root) / "model")
        file = data.draw(st.sampled_from(sorted(path for path in folder.iterdir())))
        damage(file, data)
        with pytest.raises(DataError, match=rf"^{file}: {RULE}$"):
            data.draw(st.sampled_from(OPENED))(str(folder))


def test_an_intact_reader_opens_and_so_does_one_without_a_seal(
    reader: Path, tmp_path: Path
) -> None:
    foreign = shutil.copytree(reader, tmp_path / "model", ignore=shutil.ignore_patterns("seal.*"))
    for open_it in OPENED:
        open_it(str(reader))
        open_it(str(foreign))
