"""What lies on disk of a training: what stays, what is damaged, where to go on."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from study_folders import put_checkpoint

from xmrc.learning import checkpoints as module
from xmrc.learning.checkpoints import Checkpoints


@pytest.fixture
def kept(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "trial-1", "gxlt_f1")


def put(kept: Checkpoints, *scores: float) -> None:
    """A checkpoint after as many evaluations as there are scores."""
    history = [{"evaluation": i, "gxlt_f1": score} for i, score in enumerate(scores, 1)]
    put_checkpoint(kept, history)


def files(kept: Checkpoints) -> list[str]:
    """`2/state`: the last parts of what is there of each checkpoint."""
    return sorted(f"{path.parent.name[-1]}/{path.name}" for path in kept.folder.glob("check*/*/"))


def name(path: Path | None) -> str:
    return "" if path is None else path.name[-1]


@settings(max_examples=30, deadline=None)
@given(scores=st.lists(st.sampled_from([1.0, 2.0, 3.0]), min_size=1, max_size=6))
def test_the_best_keeps_its_reader_and_the_last_all(
    scores: list[float], tmp_path_factory: pytest.TempPathFactory
) -> None:
    kept = Checkpoints(tmp_path_factory.mktemp("kept") / "trial-1", "gxlt_f1")
    for count in range(1, len(scores) + 1):
        put(kept, *scores[:count])
        best = max(range(count), key=lambda i: (scores[i], i)) + 1
        assert (name(kept.best()), name(kept.newest())) == (str(best), str(count))
        assert files(kept) == sorted({f"{best}/model", f"{count}/model", f"{count}/state"})
    assert name(kept.settle()) == str(best)
    assert files(kept) == [f"{best}/model"]
    assert kept.newest() is None
    assert name(kept.best()) == str(best)


def test_without_a_metric_the_last_is_the_best(kept: Checkpoints) -> None:
    for count in (1, 2):
        put(kept, *[50.0, 10.0][:count])
    assert name(kept.best()) == "1"
    assert name(replace(kept, metric=None).best()) == "2"


@pytest.mark.parametrize("file", ["state/tensors", "model/tensors", "state/seal.json"])
@pytest.mark.parametrize("how", ["cut", "flipped", "gone"])
def test_a_damaged_checkpoint_is_passed_over_and_named(
    kept: Checkpoints, file: str, how: str
) -> None:
    put(kept, 50.0)
    put(kept, 50.0, 10.0)
    shutil.copytree(kept.folder / "checkpoint_000002", kept.folder / "checkpoint_000003")
    path = kept.folder / "checkpoint_000003" / file
    content = bytearray(path.read_bytes())
    if how == "gone":
        path.unlink()
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content if how == "flipped" else content[: len(content) // 2])
    assert name(kept.newest()) == "2"
    assert [name(path) for path in kept.damaged()] == ["3"]


def test_of_what_was_reported_there_is_a_copy(kept: Checkpoints) -> None:
    put(kept, 50.0)
    for file in ("history.json", "observed.json"):
        (kept.folder / "checkpoint_000001" / file).write_text("[")
    assert name(kept.newest()) == "1"
    shutil.rmtree(kept.folder / "checkpoint_000001" / "state")
    for file in kept.folder.glob("checkpoint_000001/.history*"):
        file.write_text("[")
    assert kept.best() is None


def test_nothing_to_go_on_from(kept: Checkpoints) -> None:
    assert (kept.newest(), kept.best(), kept.damaged(), kept.settle()) == (None, None, [], None)
    kept.discard()
    put(kept, 5.0)
    shutil.rmtree(kept.folder / "checkpoint_000001" / "state")
    assert kept.newest() is None
    assert [name(path) for path in kept.damaged()] == ["1"]
    put(kept, 6.0)  # the same evaluation, trained again
    assert kept.newest() is not None
    kept.discard()
    assert not kept.folder.exists()


HOLD = """
import sys, time
from pathlib import Path
from xmrc.learning.checkpoints import Checkpoints
with Checkpoints(Path(sys.argv[1]), None).held():
    print("held", flush=True)
    time.sleep(600)
"""


def test_two_processes_do_not_write_together_and_a_killed_one_lets_go(
    kept: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(kept.folder)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        monkeypatch.setattr(module, "_PATIENCE", 0.1)
        with pytest.raises(module.ResourceError, match="must be trained by one process at a time"):
            kept.held().__enter__()
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        with kept.held():
            put(kept, 1.0)
    assert kept.newest() is not None
