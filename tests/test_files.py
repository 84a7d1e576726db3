"""What is written is whole, and what was changed since says so."""

import json
import shutil
from pathlib import Path

import pytest

from xmrc.errors import DataError
from xmrc.files import (
    SEAL,
    creating_folder,
    is_intact,
    is_whole,
    read_document,
    remove_abandoned,
    seal,
    write_document,
)


@pytest.mark.parametrize(
    "content", [[], {"b": [1, 0.1], "a": {"2": None}}, "ñ \ud800", [float("nan"), 1e300]]
)
def test_a_document_is_read_as_it_was_written(content: object, tmp_path: Path) -> None:
    write_document(tmp_path / "new" / "one.json", content)
    assert repr(read_document(tmp_path / "new" / "one.json")) == repr(content)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["one.json"]


def test_a_document_is_plain_json_with_its_format_and_checksum(tmp_path: Path) -> None:
    write_document(tmp_path / "one.json", {"key": [1, 2]})
    document = json.loads((tmp_path / "one.json").read_text())
    assert (document["format"], document["content"]) == (1, {"key": [1, 2]})
    assert len(document["sha256"]) == 64


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ('"content"', '"contents"', "must be as it was written"),
        ("0.25", "0.26", "must be as it was written"),
        ('"format": 1', '"format": "1"', 'must be of format 1, .* got "1"'),
        ('"format": 1,', "", "must be of format 1, .* got none"),
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
    path.write_text(text.replace(old, new))
    with pytest.raises(DataError, match=rf"^{path}: {rule}") as refused:
        read_document(path)
    assert "\n" not in str(refused.value)


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


def test_what_was_never_sealed_is_neither(tmp_path: Path) -> None:
    assert not is_whole(tmp_path)
    assert not is_intact(tmp_path)


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
