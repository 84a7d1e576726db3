"""A study over storage that a failing disk has damaged since the study before it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command_runs import Done, Storage, module, run
from ray_here import CPUS, a_home

from xmrc.seals import damage_of

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

YAML = f"""
name: tiny
storage: {{storage}}
settings:
  encoder: demo
  base: {{{{corpus: demo/train, languages: [en], epochs: 1, limit: 16}}}}
  data: {{{{train: demo/train, select: demo/dev, languages: [en, es], ntl: 1, limit: 8,
          max_length: 128, max_question_tokens: 32, stride: 16}}}}
  objective: {{{{span: mml, candidates: {{{{size: 4}}}}}}}}
  training: {{{{epochs: 1, batch_size: 8, learning_rate: 2e-3, dropout: 0.0}}}}
search: {{{{trials: 1, scheduler: none, evaluate_every: 1.0, final: [demo/test]}}}}
resources: {{{{cpus_per_worker: {CPUS}}}}}
"""
CACHED = ("base/*/model.safetensors", "corpora/*/examples.parquet", "tokens/*/tokens.arrow",
          "candidates/*/*/spans.npy")  # fmt: skip
KEPT = ("final/demo/test/base/scores.json", "final/demo/test/champion/examples.parquet",
        "pairs.csv", "champion/examples.parquet")  # fmt: skip
RULE = "must be as it was written, and its checksum says it is not"


def flip(path: Path) -> None:
    """Other bytes in the middle, 4 KB of them where there are as many."""
    content = bytearray(path.read_bytes())
    middle = slice(len(content) // 2, len(content) // 2 + 4096)
    content[middle] = bytes(byte ^ 0xFF for byte in content[middle])
    path.write_bytes(content)


def cut(path: Path) -> None:
    """Half of it."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def numbers(path: Path) -> tuple[list[Any], dict[str, bytes]]:
    """What a study has found: its trials' histories, and the files of all scores."""
    trials = Storage(path.parents[1]).trials("tiny")
    files = sorted([*path.glob("*.csv"), *path.rglob("scores.json"), *path.rglob("*.parquet")])
    kept = {file.relative_to(path).as_posix(): file.read_bytes() for file in files}
    return [(one["values"], one["history"]) for one in trials], kept


@dataclass
class Story:
    """A study; the same once the cache is damaged; and resumed, its own folder damaged."""

    dones: list[Done]
    found: list[tuple[list[Any], dict[str, bytes]]]
    damaged: list[list[Path]]
    left: list[str]  # what is damaged in the cache once it was used again


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    with a_home() as home:
        yield told(home)


def told(home: Path) -> Story:
    storage, study = Storage(home / "runs"), home / "tiny.yaml"
    study.write_text(YAML.format(storage=storage.root))
    command = module("tune", "--space", str(study))
    story = Story([run(command, home)], [numbers(storage.folder("tiny"))], [], [])
    (cache,) = storage.root.rglob("cache")
    story.damaged.append(spoil(cache, CACHED))
    story.dones.append(run(command, home))
    story.found.append(numbers(storage.folder("tiny")))
    story.left = [damage_of(file.parent) for file in story.damaged[0]]
    story.damaged.append(spoil(storage.folder("tiny"), KEPT))
    story.dones.append(run([*command, "--resume"], home))
    story.found.append(numbers(storage.folder("tiny")))
    return story


def spoil(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    """Flip or cut one file of each pattern, in turn."""
    files = [min(folder.glob(pattern)) for pattern in patterns]
    for number, file in enumerate(files):
        (flip, cut)[number % 2](file)
    return files


def test_every_study_ends_well(story: Story) -> None:
    assert [done.code for done in story.dones] == [0, 0, 0], story.dones
    assert story.dones[0].err == ""


def test_what_is_damaged_in_the_cache_is_named_and_made_again(story: Story) -> None:
    """But for tokens, which trials make again themselves: what they say is in Ray's logs."""
    said = story.dones[1].err.splitlines()
    for file in story.damaged[0]:
        line = f"note: {file}: {RULE}; it is made again"
        assert said.count(line) == 1 or "/tokens/" in line, said
    assert len(said) <= len(story.damaged[0])
    assert story.left == [""] * len(CACHED)
    for begin in ("base: trained in", "candidates: mined in"):
        assert all(done.line(begin) for done in story.dones[:2])


def test_the_scores_are_those_of_the_undamaged(story: Story) -> None:
    assert story.found[1] == story.found[0]


def test_what_is_damaged_in_a_study_is_named_and_as_it_was_once_it_is_resumed(story: Story) -> None:
    resumed = story.dones[2]
    said = resumed.err + resumed.out
    for file in story.damaged[1][:3]:  # the champion is read again anyway
        assert said.count(f"{file}: ") == 1, said
    assert "Traceback" not in said
    assert story.found[2] == story.found[1]
