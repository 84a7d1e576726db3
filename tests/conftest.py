"""What many tests share: small tokenizers of the usual kinds, and where the real data is."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"  # read at import; no test waits for a hub
if "PYTEST_XDIST_WORKER" in os.environ:  # the others have the other CPUs
    os.environ["OMP_NUM_THREADS"] = "1"

from checkpoints import tiny_tokenizer
from transformers import PreTrainedTokenizerBase


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """A set of tests, whole, uses the CPUs that there are; single files are quicker without.

    0: none; None: as many as there are.
    """
    return None if config.args_source is config.ArgsSource.TESTPATHS else 0


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What trains on a Ray cluster takes as long as a study."""
    for item in items:
        if "cluster" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.studies)


def _tokenizer(kind: str, tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    return tiny_tokenizer(kind, tmp_path_factory.mktemp(kind))


@pytest.fixture(scope="session")
def wordpiece_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    """BERT's kind: token types, one separator."""
    return _tokenizer("wordpiece", tmp_path_factory)


@pytest.fixture(scope="session")
def unigram_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    """XLM-R's kind: two separators, no token types."""
    return _tokenizer("unigram", tmp_path_factory)


@pytest.fixture(scope="session")
def bpe_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    """ModernBERT's kind: byte-level BPE."""
    return _tokenizer("bpe", tmp_path_factory)


@pytest.fixture(scope="session")
def deberta_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    """DeBERTa-v2's kind: token types, Unigram with spaces inside its offsets."""
    return _tokenizer("deberta", tmp_path_factory)


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """One small Ray cluster for all tests of this process: Ray Tune does not survive a second."""
    from ray_here import cluster_here  # Ray is slow to import, and few tests need it

    with cluster_here():
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real corpora, laid out as `settings.data.root` wants it."""
    if "XMRC_DATA" not in os.environ:
        pytest.skip("needs real corpora: set XMRC_DATA to their folder")
    return Path(os.environ["XMRC_DATA"])
