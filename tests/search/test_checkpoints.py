import json
import os
import time
from dataclasses import replace

import pytest

from xmrc.files import seal
from xmrc.search.checkpoints import TrialFiles
from xmrc.search.phases import SEARCH


@pytest.fixture
def files(tmp_path):
    return TrialFiles(tmp_path, SEARCH, "gxlt_f1")


def put(files, trial, name, *scores, workers=False, age=0, text=None):
    """A checkpoint that was made after as many evaluations as there are scores."""
    path = (files.workers if workers else files.folder / SEARCH.name) / trial / name
    (path / "model").mkdir(parents=True)
    history = [{"evaluation": i, "gxlt_f1": s} for i, s in enumerate(scores, 1)]
    (path / "history.json").write_text(json.dumps(history) if text is None else text)
    for written in (path / "history.json", path):
        os.utime(written, (time.time() - age,) * 2)
    return path


def left(files, trial):
    """The names of the checkpoints that a trial still has."""
    return sorted(path.name[-1] for path in files.folder.glob(f"search*/{trial}/checkpoint_*"))


def test_the_best_evaluation_wins(files):
    put(files, "a", "checkpoint_000000", 40.0)
    best = put(files, "a", "checkpoint_000001", 40.0, 60.0)
    put(files, "a", "checkpoint_000002", 40.0, 60.0, 50.0)
    put(files, "b", "checkpoint_000000", 99.0)
    assert files.best("a") == best


def test_of_equals_the_later_and_without_a_metric_the_last(files):
    put(files, "a", "checkpoint_000000", 60.0)
    later = put(files, "a", "checkpoint_000001", 60.0, 60.0)
    last = put(files, "a", "checkpoint_000002", 60.0, 60.0, 10.0)
    assert files.best("a") == later
    assert replace(files, metric=None).best("a") == last


def test_a_group_of_workers_keeps_its_own(files):
    best = put(files, "a", "checkpoint_2030-01-01_00-00-01", 40.0, 60.0, workers=True)
    put(files, "a", "checkpoint_2030-01-01_00-00-00", 40.0, workers=True)
    assert files.best("a") == best


@pytest.mark.parametrize("text", ["", '[{"evaluation": 1, "gxlt', "[]", "{}"])
def test_what_a_kill_cut_short_is_passed_over(files, text):
    whole = put(files, "a", "checkpoint_000000", 40.0)
    put(files, "a", "checkpoint_000001", text=text)
    (files.folder / "search" / "a" / "checkpoint_000002").mkdir()
    assert files.best("a") == whole


def test_an_evaluation_that_was_done_again_wins_over_its_half_copy(files):
    put(files, "a", "checkpoint_2030-01-01_00-00-00", 40.0, workers=True, age=60)
    again = put(files, "a", "checkpoint_2030-01-01_00-01-00", 40.0, workers=True)
    assert files.best("a") == again


def test_a_trial_without_any(files):
    assert files.best("a") is None
    files.discard("a")


def test_discarding_leaves_everything_else(files):
    put(files, "a", "checkpoint_000000", 40.0)
    put(files, "a", "checkpoint_2030-01-01_00-00-00", 50.0, workers=True)
    other = put(files, "b", "checkpoint_000000", 1.0)
    note = files.folder / "search" / "a" / "params.json"
    note.write_text("{}")
    files.discard("a")
    assert files.best("a") is None
    assert files.best("b") == other
    assert note.exists()


def test_the_best_the_last_and_the_young_stay(files):
    put(files, "a", "checkpoint_000000", 40.0, age=500)
    put(files, "a", "checkpoint_000001", 40.0, 60.0, age=400)
    put(files, "a", "checkpoint_000002", 40.0, 60.0, 10.0, age=300)
    put(files, "a", "checkpoint_000003", 40.0, 60.0, 10.0, 20.0, age=5)
    put(files, "a", "checkpoint_000004", 40.0, 60.0, 10.0, 20.0, 30.0)
    put(files, "b", "checkpoint_000005", 1.0, age=500)
    files.thin("a", seconds=60)
    assert left(files, "a") == ["1", "3", "4"]
    files.thin("a", seconds=0)
    assert left(files, "a") == ["1", "4"]
    replace(files, metric=None).thin("a", seconds=0)
    assert left(files, "a") == ["4"]
    assert left(files, "b") == ["5"]


def test_the_last_is_what_was_written_last(files):
    """A resumed trial counts on from where Ray had it, behind which a kill may have left more."""
    put(files, "a", "checkpoint_000000", 50.0, age=400)
    put(files, "a", "checkpoint_000001", 50.0, 20.0, age=200)
    put(files, "a", "checkpoint_000002", 50.0, 20.0, 10.0, age=300)
    files.thin("a", seconds=60)
    assert left(files, "a") == ["0", "1"]


def test_what_is_half_written_and_what_workers_have_is_left_alone(files):
    put(files, "a", "checkpoint_000000", 50.0, age=400)
    put(files, "a", "checkpoint_000001", age=300, text="")
    put(files, "a", "checkpoint_000002", 10.0, age=300, workers=True)
    put(files, "a", "checkpoint_000003", 20.0, age=200, workers=True)
    files.thin("a", seconds=0)
    assert left(files, "a") == ["0", "1", "2", "3"]
    files.thin("nobody", seconds=0)


def test_the_newest_is_the_furthest_that_is_whole(files):
    """Not the one with the highest number, and not one that was copied in part."""
    assert files.newest("a") is None
    put(files, "a", "checkpoint_000000", 50.0, age=400)  # never sealed
    first = put(files, "a", "checkpoint_000001", 50.0, 20.0, age=50)
    further = put(files, "a", "checkpoint_000002", 50.0, 20.0, 10.0, age=300)
    cut = put(files, "a", "checkpoint_000003", 50.0, 20.0, 10.0, 30.0)
    elsewhere = put(files, "a", "checkpoint_000009", *[1.0] * 9, workers=True)
    for path in (first, further, cut, elsewhere):
        (path / "state.pt").write_bytes(b"state")
        seal(path)
    assert files.newest("a") == cut
    (cut / "state.pt").write_bytes(b"sta")
    assert files.newest("a") == further
    (further / "model" / "more").touch()
    assert files.newest("a") == first
