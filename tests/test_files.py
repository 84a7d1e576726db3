"""What is written is whole, and what was changed since says so."""

import hashlib
import json
import os
import re
import shutil
import tempfile
import uuid
from pathlib import Path

import pytest
from damage import damage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xmrc.errors import DataError, ResourceError
from xmrc.files import (
    check_writable,
    creating_folder,
    read_document,
    remove_abandoned,
    replacing,
    replacing_folder,
    write_document,
)
from xmrc.seals import SEAL, check_intact, is_intact, is_whole, seal


@pytest.mark.parametrize(
    "content", [[], {"b": [1, 0.1], "a": {"2": None}}, "ñ \ud800", [float("nan"), 1e300]]
)
def test_a_document_is_read_as_it_was_written(content: object, tmp_path: Path) -> None:
    write_document(tmp_path / "new" / "one.json", content)
    assert repr(read_document(tmp_path / "new" / "one.json")) == repr(content)
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == [".one.json.copy", "one.json"]


def test_a_document_is_plain_json_with_its_format_and_checksum(tmp_path: Path) -> None:
    write_document(tmp_path / "one.json", {"key": [1, 2]})
    document = json.loads((tmp_path / "one.json").read_text())
    assert (document["format"], document["content"]) == (2, {"key": [1, 2]})
    assert len(document["sha256"]) == 64


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ('"content"', '"contents"', "must be as it was written"),
        ("0.25", "0.26", "must be as it was written"),
        ('"format": 2', '"format": "2"', 'must be of format 2, .* got "2"'),
        ('"format": 2,', "", "must be of format 2, .* got none"),
        ("}", "", "must be JSON, and is damaged"),
    ],
)
def test_a_document_that_was_changed_is_refused_in_one_line(
    old: str, new: str, rule: str, tmp_path: Path
) -> None:
    path = tmp_path / "one.json"
    write_document(path, {"key": 0.25})
    text = path.read_text()
    assert old in text
    for damaged in (path, tmp_path / ".one.json.copy"):
        damaged.write_text(text.replace(old, new))
    with pytest.raises(DataError, match=rf"^{path}: {rule}") as refused:
        read_document(path)
    assert "\n" not in str(refused.value)


@given(data=st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_of_a_damaged_document_the_last_good_copy_is_read(
    data: st.DataObject, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / uuid.uuid4().hex / "one.json"
    write_document(path, {"key": "x" * 200})
    damage(path, data)
    assert read_document(path) == {"key": "x" * 200}
    told = capsys.readouterr().err
    assert told.startswith(f"note: {path}: must be ")
    assert told.endswith("; its last good copy is used\n")
    assert told.count("\n") == 1
    assert read_document(path) == {"key": "x" * 200}
    assert capsys.readouterr().err == ""


def sealed(folder: Path) -> Path:
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "weights").write_bytes(b"12345")
    (folder / "state").write_bytes(b"678")
    seal(folder)
    return folder


def test_a_copy_of_a_sealed_folder_is_whole_and_intact(tmp_path: Path) -> None:
    copy = shutil.copytree(sealed(tmp_path / "one"), tmp_path / "copy")
    assert is_whole(copy)
    assert is_intact(copy)
    assert sorted(path.name for path in copy.iterdir()) == ["model", SEAL, "state"]


@pytest.mark.parametrize(
    ("name", "content", "whole"),
    [
        ("state", b"679", True),  # of the same size: seen by the checksum alone
        ("state", b"67", False),
        ("model/more", b"", False),
        (SEAL, b"", False),
        (SEAL, b"[1]", False),
    ],
)
def test_a_copy_that_differs_is_not(name: str, content: bytes, whole: bool, tmp_path: Path) -> None:
    folder = sealed(tmp_path / "one")
    (folder / name).write_bytes(content)
    assert (is_whole(folder), is_intact(folder)) == (whole, False)


def test_what_was_never_sealed_is_neither_and_is_not_refused(tmp_path: Path) -> None:
    assert not is_whole(tmp_path)
    assert not is_intact(tmp_path)
    check_intact(tmp_path)
    check_intact(tmp_path / "nowhere")


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_a_byte_that_changed_is_refused_with_its_file_in_one_line(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as root:
        folder = sealed(Path(root) / "one")
        name = data.draw(st.sampled_from(["model/weights", "state", SEAL]))
        assert damage(folder / name, data)
        for _ in range(2):  # nobody is let in the second time either
            with pytest.raises(DataError) as refused:
                check_intact(folder)
            assert str(refused.value) == (
                f"{folder / name}: must be as it was written, and its checksum says it is not"
            )
        assert not is_intact(folder)


def test_a_lost_file_is_named_and_one_that_was_added_is_no_matter(tmp_path: Path) -> None:
    folder = sealed(tmp_path / "one")
    (folder / "notes").write_text("mine")
    check_intact(folder)
    (folder / "model" / "weights").unlink()
    with pytest.raises(DataError, match=rf"^{folder}/model/weights: must be as it was written"):
        check_intact(folder)


def test_what_cannot_be_read_is_refused_with_the_reason(tmp_path: Path) -> None:
    folder = sealed(tmp_path / "one")
    (folder / "state").unlink()
    (folder / "state").symlink_to("/proc/self/mem")  # whose first byte nobody can read
    with pytest.raises(DataError, match=rf"^{folder}/state: cannot be read: Input/output error$"):
        check_intact(folder)


def test_a_folder_is_read_once_as_long_as_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, reads = sealed(tmp_path / "one"), []
    digest = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *args: reads.append(1) or digest(*args))
    for _ in range(3):
        check_intact(folder)
    assert len(reads) == 2
    os.utime(folder / "state", (1, 1))
    check_intact(folder)
    assert len(reads) == 4


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with creating_folder(tmp_path / "above" / "new") as partial:
        (partial / "file").write_text("1")
        assert not (tmp_path / "above" / "new").exists()
    assert [path.name for path in (tmp_path / "above").iterdir()] == ["new"]
    with pytest.raises(FileNotFoundError), creating_folder(tmp_path / "other") as partial:
        (partial / "nowhere" / "file").write_text("1")
    assert [path.name for path in tmp_path.iterdir()] == ["above"]


def test_of_two_that_make_a_folder_the_first_one_stays(tmp_path: Path) -> None:
    with creating_folder(tmp_path / "new") as slow:
        (slow / "file").write_text("slow")
        with creating_folder(tmp_path / "new") as quick:
            (quick / "file").write_text("quick")
    assert (tmp_path / "new" / "file").read_text() == "quick"
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_what_the_killed_have_left_beside_can_be_removed(tmp_path: Path) -> None:
    with creating_folder(tmp_path / "new") as partial:
        (partial / "file").write_text("1")
        shutil.copytree(partial, tmp_path / f"{partial.name}0")  # of one that was killed
    with creating_folder(tmp_path / "newer"):
        remove_abandoned(tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "newer"]


@pytest.fixture
def to_disk(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What reached the disk and what was renamed, in turn, by name."""
    done, sync, replace, rename = [], os.fsync, os.replace, Path.rename
    named = re.compile(r"^\.(.+)\.[0-9a-f]{32}$")

    def note(word: str, path: str | Path) -> None:
        name = named.sub("new", Path(path).name)
        done.append(f"{word} {name}")

    def fsync(opened: int) -> None:
        note("sync", os.readlink(f"/proc/self/fd/{opened}"))
        sync(opened)

    def renamed(old: Path, new: Path) -> None:
        note("rename", new)
        (replace if Path(old).is_file() else rename)(old, new)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", renamed)
    monkeypatch.setattr(Path, "rename", renamed)
    return done


def test_a_document_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, to_disk: list[str]
) -> None:
    write_document(tmp_path / "study" / "trials.json", [1])
    assert to_disk[:3] == ["sync new", "rename trials.json", "sync study"]
    assert to_disk[3:] == ["sync new", "rename .trials.json.copy", "sync study"]


def test_a_folder_is_on_the_disk_before_it_has_its_name(tmp_path: Path, to_disk: list[str]) -> None:
    with creating_folder(tmp_path / "above" / "one") as partial:
        (partial / "model").mkdir()
        (partial / "model" / "weights").write_text("1")
        (partial / "state").write_text("2")
    assert sorted(to_disk[:4]) == ["sync model", "sync new", "sync state", "sync weights"]
    assert to_disk[4:] == ["rename one", "sync above"]


def test_the_name_appears_when_the_file_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "file"
    with replacing(target) as partial:
        partial.write_text("half")
        assert not target.exists()
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "out"
    with replacing_folder(target, ["a", "b"]) as partial:
        (partial / "a").write_text("1")
        (partial / "b").write_text("2")
        assert not target.exists()
    assert {path.name: path.read_text() for path in target.iterdir()} == {"a": "1", "b": "2"}
    assert list(target.parent.iterdir()) == [target]


def test_in_a_folder_that_is_there_only_the_named_files_change(tmp_path: Path) -> None:
    for name in ("a", "b", "mine"):
        (tmp_path / name).write_text("old")
    with replacing_folder(tmp_path, ["a", "b"]) as partial:
        (partial / "a").write_text("new")
    # "b" was of the evaluation before, and would be taken for one of this
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "a": "new",
        "mine": "old",
    }


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_that_fails_is_as_before(tmp_path: Path, there: bool) -> None:
    target = tmp_path / "out"
    if there:
        target.mkdir()
        (target / "a").write_text("old")

    def fail() -> None:
        with replacing_folder(target, ["a"]) as partial:
            (partial / "a").write_text("half")
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        fail()
    assert [path.read_text() for path in tmp_path.rglob("*") if path.is_file()] == ["old"] * there
    assert [path.name for path in tmp_path.iterdir()] == ["out"] * there


def test_what_can_be_written_is_known_before_and_nothing_is_left(tmp_path: Path) -> None:
    check_writable(tmp_path)
    check_writable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    for blocked in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("x" * 300)):
        with pytest.raises(ResourceError, match="cannot be written") as caught:
            check_writable(blocked)
        assert str(blocked) in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
