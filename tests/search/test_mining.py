"""Z before the trials: which windows are mined, with how many spans, and that it happens once."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from checkpoints import tiny_checkpoint
from quiet_runs import prepared_for, run_of, said

from xmrc.data.cache import Cache
from xmrc.data.training_data import TrainingData
from xmrc.errors import DataError
from xmrc.learning.candidates import CandidateSource, CandidateStore, mine_spans, window_codes
from xmrc.learning.model import load_model, load_tokenizer
from xmrc.search.corpora import StudyData
from xmrc.search.mining import (
    largest_size,
    mine_candidates,
    mining_data,
    needs_candidates,
)
from xmrc.settings import Study, load_study, with_values

STUDY = """
name: mined
settings:
  encoder: {base}
  base: {{model: {base}}}
  data:
    train: demo/train
    select: demo/dev
    languages: [en, es, de]
    ntl: 1
    limit: 4
    max_length: 96
    max_question_tokens: 24
    stride: 8
  objective: {{span: hl}}
"""
Load = Callable[..., Study]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint("wordpiece", tmp_path_factory.mktemp("base"))


@pytest.fixture
def load(base: Path, tmp_path: Path) -> Load:
    def load(space: str = "{}", *overrides: str) -> Study:
        path = tmp_path / "study.yaml"
        path.write_text(f"{STUDY.format(base=base)}\nspace: {space}\n")
        return load_study(path, overrides)

    return load


def codes_of(data: TrainingData, study: Study) -> np.ndarray:
    """Of the windows, as the tokenizer of the encoder cuts them."""
    return window_codes(data.windows(load_tokenizer(study.settings.encoder)))


def codes_of_trial(study: Study, prepared: StudyData, values: dict[str, object]) -> np.ndarray:
    return codes_of(prepared.training(with_values(study.settings, values)), study)


# Whether and how much


@pytest.mark.parametrize(
    ("span", "space", "needed"),
    [
        ("ce", "{}", False),
        ("none", "{}", False),
        ("mml", "{}", True),
        ("hard_em", "{}", True),
        ("hl", "{}", True),
        ("ce", "{objective.span: {choice: [ce, mml]}}", True),
        ("hl", "{objective.span: {choice: [ce, none]}}", False),
        (
            "hl",
            "{data.ntl: {int: [0, 1]}, objective.span: {choice: [ce], when: {data.ntl: 1}}}",
            True,
        ),
    ],
)
def test_z_is_mined_where_a_trial_can_use_it(
    load: Load, span: str, space: str, needed: bool
) -> None:
    distil = "settings.objective.distill={coefficient: 1.0}"
    study = load(space, f"settings.objective.span={span}", distil)
    assert needs_candidates(study) == needed


def test_the_largest_z_of_the_space_is_mined(load: Load) -> None:
    assert largest_size(load()) == 20
    assert largest_size(load("{objective.candidates.size: {choice: [5, 50, 10]}}")) == 50
    assert largest_size(load("{objective.candidates.size: {log_int: [2, 30]}}")) == 30


@pytest.mark.parametrize(
    "space",
    [
        "{}",
        "{data.ntl: {int: [0, 2]}}",
        "{data.ntl: {int: [0, 1]}, training.seed: {int: [1, 4]}}",
        "{data.stride: {choice: [8, 16]}, data.max_length: {choice: [64, 96]}}",
        "{data.languages: {choice: [[en, es], [de, en]]}}",
        "{data.source_language: {choice: [en, de]}}",
        "{data.sampling: {choice: [pairs, none]}}",
    ],
)
def test_the_windows_of_every_trial_are_mined(load: Load, space: str, tmp_path: Path) -> None:
    study = load(space)
    prepared = prepared_for(study, tmp_path)
    mined: dict[object, set[int]] = {}
    for data in mining_data(study, prepared):
        mined.setdefault(data.size, set()).update(codes_of(data, study).tolist())
    values = {
        key: range(domain.values[0], domain.values[1] + 1) if domain.int_ else domain.values
        for key, domain in study.space.items()
    }
    for point in product(*values.values()):
        settings = dict(zip(values, point, strict=True))
        trial = with_values(study.settings, settings).data
        codes = codes_of_trial(study, prepared, settings)
        sizes = [size for size in mined if size.max_length == trial.max_length]
        (size,) = [size for size in sizes if size.stride == trial.stride]
        assert set(codes.tolist()) <= mined[size]


def test_no_more_pairs_are_mined_than_the_largest_ntl_draws(load: Load, tmp_path: Path) -> None:
    study = load("{data.ntl: {int: [0, 1]}}")
    prepared = prepared_for(study, tmp_path)
    (data,) = mining_data(study, prepared)
    codes = codes_of(data, study)
    expected = codes_of_trial(study, prepared, {"data.ntl": 1})
    assert sorted(codes.tolist()) == sorted(expected.tolist())


def test_what_is_mined_belongs_to_base_corpus_precision_and_size(
    load: Load, tmp_path: Path
) -> None:
    study = load()
    (data,) = mining_data(study, prepared_for(study, tmp_path))
    source = CandidateSource("base", "corpus", "auto")
    keys = [
        source.key(data.size),
        source.key(replace(data.size, stride=9)),
        replace(source, base="other").key(data.size),
        replace(source, train="other").key(data.size),
        replace(source, precision="fp32").key(data.size),
    ]
    assert len(set(keys)) == 5


# On the cluster


def test_a_second_study_mines_only_what_the_first_has_not(
    cluster: None, load: Load, base: Path, tmp_path: Path
) -> None:
    def mine(study: Study) -> tuple[str, list[str]]:
        run = run_of(study, tmp_path, start=str(base), workers=2)
        source = mine_candidates(run)
        assert source is not None
        return source.key(run.prepared.training(study.settings).size), said(run)

    def codes_in(study: Study) -> set[int]:
        return set(codes_of_trial(study, prepared_for(study, tmp_path), {}).tolist())

    def files() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in tmp_path.rglob("spans.npy")}

    first = load("{objective.candidates.size: {choice: [3, 6]}}")
    key, lines = mine(first)
    assert lines[0] == f"candidates: mining the 6 best spans in {len(codes_in(first))} windows"
    assert "mined in" in lines[1]
    assert "the gold is among those of" in lines[1]
    written = files()
    assert len(written) == 1
    for other in (
        load("{objective.candidates.size: {choice: [2, 5]}}"),
        load("{}", "settings.objective.candidates.size=6", "settings.objective.alpha=0.5"),
        load("{}", "settings.objective.candidates.size=4", "settings.training.epochs=9"),
    ):
        other_key, lines = mine(other)
        assert other_key == key
        assert len(lines) == 1
        assert "found" in lines[0]
        assert files() == written
    wider = load("{}", "settings.data.ntl=2", "settings.objective.candidates.size=6")
    new = len(codes_in(wider) - codes_in(first))
    _, lines = mine(wider)
    assert lines[0] == f"candidates: mining the 6 best spans in {new} windows"
    assert files().items() > written.items()
    _, lines = mine(load("{data.ntl: {int: [1, 2]}}", "settings.objective.candidates.size=3"))
    assert len(lines) == 1
    assert "found" in lines[0]

    (data,) = mining_data(first, prepared_for(first, tmp_path))
    windows = data.windows(load_tokenizer(str(base)))
    found = CandidateStore(Cache(tmp_path), key).open(window_codes(windows), 6)
    expected = mine_spans(load_model(str(base), seed=0), windows, 6, "auto")
    assert found.of(np.arange(len(windows))).tolist() == expected.tolist()


def test_a_study_that_needs_none_mines_none(load: Load, base: Path, tmp_path: Path) -> None:
    study = load("{}", "settings.objective.span=ce")
    assert mine_candidates(run_of(study, tmp_path, start=str(base), workers=2)) is None


def test_a_base_with_other_tokens_than_the_encoder_is_refused(
    load: Load, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tiny_checkpoint("unigram", tmp_path_factory.mktemp("other"))
    study = load("{}", f"settings.encoder={other}", "settings.start_from_base=false")
    run = run_of(study, tmp_path, start=str(other))
    with pytest.raises(DataError, match=r"settings\.base: .* must have the tokenizer .*, got"):
        mine_candidates(run)
