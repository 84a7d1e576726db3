import json
import os
import time

import pytest

from xmrc.files import seal
from xmrc.search.checkpoints import TrialFolders


@pytest.fixture
def folders(tmp_path):
    return TrialFolders(tmp_path, "search")


def put(folders, trial, name, *scores, workers=False, age=0, text=None):
    """A checkpoint that was made after as many evaluations as there are scores."""
    path = (folders.workers if workers else folders.folder / folders.name) / trial / name
    (path / "model").mkdir(parents=True)
    history = [{"evaluation": i, "gxlt_f1": s} for i, s in enumerate(scores, 1)]
    (path / "history.json").write_text(json.dumps(history) if text is None else text)
    for written in (path / "history.json", path):
        os.utime(written, (time.time() - age,) * 2)
    return path


def left(folders, trial):
    """The names of the checkpoints that a trial still has."""
    return sorted(path.name[-1] for path in folders.folder.glob(f"search*/{trial}/checkpoint_*"))


def test_the_best_evaluation_wins(folders):
    put(folders, "a", "checkpoint_000000", 40.0)
    best = put(folders, "a", "checkpoint_000001", 40.0, 60.0)
    put(folders, "a", "checkpoint_000002", 40.0, 60.0, 50.0)
    put(folders, "b", "checkpoint_000000", 99.0)
    assert folders.best("a", "gxlt_f1") == best


def test_of_equals_the_later_and_without_a_metric_the_last(folders):
    put(folders, "a", "checkpoint_000000", 60.0)
    later = put(folders, "a", "checkpoint_000001", 60.0, 60.0)
    last = put(folders, "a", "checkpoint_000002", 60.0, 60.0, 10.0)
    assert folders.best("a", "gxlt_f1") == later
    assert folders.best("a", None) == last


def test_a_group_of_workers_keeps_its_own(folders):
    best = put(folders, "a", "checkpoint_2030-01-01_00-00-01", 40.0, 60.0, workers=True)
    put(folders, "a", "checkpoint_2030-01-01_00-00-00", 40.0, workers=True)
    assert folders.best("a", "gxlt_f1") == best


@pytest.mark.parametrize("text", ["", '[{"evaluation": 1, "gxlt', "[]", "{}"])
def test_what_a_kill_cut_short_is_passed_over(folders, text):
    whole = put(folders, "a", "checkpoint_000000", 40.0)
    put(folders, "a", "checkpoint_000001", text=text)
    (folders.folder / "search" / "a" / "checkpoint_000002").mkdir()
    assert folders.best("a", "gxlt_f1") == whole


def test_an_evaluation_that_was_done_again_wins_over_its_half_copy(folders):
    put(folders, "a", "checkpoint_2030-01-01_00-00-00", 40.0, workers=True, age=60)
    again = put(folders, "a", "checkpoint_2030-01-01_00-01-00", 40.0, workers=True)
    assert folders.best("a", "gxlt_f1") == again


def test_a_trial_without_any(folders):
    assert folders.best("a", "gxlt_f1") is None
    folders.discard("a")


def test_discarding_leaves_everything_else(folders):
    put(folders, "a", "checkpoint_000000", 40.0)
    put(folders, "a", "checkpoint_2030-01-01_00-00-00", 50.0, workers=True)
    other = put(folders, "b", "checkpoint_000000", 1.0)
    note = folders.folder / "search" / "a" / "params.json"
    note.write_text("{}")
    folders.discard("a")
    assert folders.best("a", "gxlt_f1") is None
    assert folders.best("b", "gxlt_f1") == other
    assert note.exists()


def test_the_best_the_last_and_the_young_stay(folders):
    put(folders, "a", "checkpoint_000000", 40.0, age=500)
    put(folders, "a", "checkpoint_000001", 40.0, 60.0, age=400)
    put(folders, "a", "checkpoint_000002", 40.0, 60.0, 10.0, age=300)
    put(folders, "a", "checkpoint_000003", 40.0, 60.0, 10.0, 20.0, age=5)
    put(folders, "a", "checkpoint_000004", 40.0, 60.0, 10.0, 20.0, 30.0)
    put(folders, "b", "checkpoint_000005", 1.0, age=500)
    folders.thin("a", "gxlt_f1", seconds=60)
    assert left(folders, "a") == ["1", "3", "4"]
    folders.thin("a", "gxlt_f1", seconds=0)
    assert left(folders, "a") == ["1", "4"]
    folders.thin("a", None, seconds=0)
    assert left(folders, "a") == ["4"]
    assert left(folders, "b") == ["5"]


def test_the_last_is_what_was_written_last(folders):
    """A resumed trial counts on from where Ray had it, behind which a kill may have left more."""
    put(folders, "a", "checkpoint_000000", 50.0, age=400)
    put(folders, "a", "checkpoint_000001", 50.0, 20.0, age=200)
    put(folders, "a", "checkpoint_000002", 50.0, 20.0, 10.0, age=300)
    folders.thin("a", "gxlt_f1", seconds=60)
    assert left(folders, "a") == ["0", "1"]


def test_what_is_half_written_and_what_workers_have_is_left_alone(folders):
    put(folders, "a", "checkpoint_000000", 50.0, age=400)
    put(folders, "a", "checkpoint_000001", age=300, text="")
    put(folders, "a", "checkpoint_000002", 10.0, age=300, workers=True)
    put(folders, "a", "checkpoint_000003", 20.0, age=200, workers=True)
    folders.thin("a", "gxlt_f1", seconds=0)
    assert left(folders, "a") == ["0", "1", "2", "3"]
    folders.thin("nobody", "gxlt_f1", seconds=0)


def test_the_newest_is_the_furthest_that_is_whole(folders):
    """Not the one with the highest number, and not one that was copied in part."""
    assert folders.newest("a") is None
    put(folders, "a", "checkpoint_000000", 50.0, age=400)  # never sealed
    first = put(folders, "a", "checkpoint_000001", 50.0, 20.0, age=50)
    further = put(folders, "a", "checkpoint_000002", 50.0, 20.0, 10.0, age=300)
    cut = put(folders, "a", "checkpoint_000003", 50.0, 20.0, 10.0, 30.0)
    elsewhere = put(folders, "a", "checkpoint_000009", *[1.0] * 9, workers=True)
    for path in (first, further, cut, elsewhere):
        (path / "state.pt").write_bytes(b"state")
        seal(path)
    assert folders.newest("a") == cut
    (cut / "state.pt").write_bytes(b"sta")
    assert folders.newest("a") == further
    (further / "model" / "more").touch()
    assert folders.newest("a") == first
