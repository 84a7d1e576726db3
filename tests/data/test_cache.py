"""The cache under several processes, killed writers and storage that cannot be written."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import pytest
from damage import damage
from hypothesis import given, settings
from hypothesis import strategies as st

import xmrc
from xmrc.data.cache import Cache, content_hash
from xmrc.errors import ResourceError
from xmrc.seals import SEAL, seal

REPOSITORY = Path(xmrc.__file__).parents[1]
SLOW_BUILDER = """
import sys, time
from pathlib import Path
from xmrc.data.cache import Cache
root, log = Path(sys.argv[1]), Path(sys.argv[2])
def write(folder):
    with log.open("a") as lines:
        lines.write("written\\n")
    (folder / "half").write_text("1")
    time.sleep(0.5)
    (folder / "whole").write_text("2")
print(sum(1 for _ in Cache(root).build("kind", "key", write).iterdir()))
"""
KILLED_BUILDER = """
import os, signal, sys
from pathlib import Path
from xmrc.data.cache import Cache
def write(folder):
    (folder / "half").write_text("1")
    os.kill(os.getpid(), signal.SIGKILL)
Cache(Path(sys.argv[1])).build("kind", "key", write)
"""
NOBODY_BUILDER = """
import os, sys
from pathlib import Path
from xmrc.data.cache import Cache
from xmrc.errors import DataError, ResourceError
from xmrc.seals import SEAL, seal
if os.getuid() == 0:
    os.setuid(65534)
try:
    Cache(Path(sys.argv[1])).build("kind", "key", lambda folder: None)
except ResourceError as error:
    print(error)
"""


def start(script: str, *arguments: object, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
        stdout=subprocess.PIPE,
        text=True,
    )


def write_greeting(folder: Path) -> None:
    (folder / "greeting").write_text("hello")


def must_not_write(folder: Path) -> None:
    raise AssertionError("built twice")


def test_content_is_written_once_and_found_again(tmp_path: Path) -> None:
    first = Cache(tmp_path).build("kind", "key", write_greeting)
    assert Cache(tmp_path).build("kind", "key", must_not_write) == first
    assert (first / "greeting").read_text() == "hello"
    assert first == tmp_path / "kind" / "key"


def test_builders_in_several_processes_build_once_and_see_it_whole(tmp_path: Path) -> None:
    builders = [start(SLOW_BUILDER, tmp_path / "cache", tmp_path / "log") for _ in range(5)]
    assert [builder.communicate()[0].strip() for builder in builders] == ["3"] * 5  # and the seal
    assert (tmp_path / "log").read_text() == "written\n"


def test_a_killed_writer_leaves_nothing_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    killed = start(KILLED_BUILDER, tmp_path)
    assert killed.wait() == -signal.SIGKILL
    assert not (tmp_path / "kind" / "key").exists()
    folder = Cache(tmp_path).build("kind", "key", write_greeting)
    assert sorted(path.name for path in folder.iterdir()) == ["greeting", SEAL]
    assert [path for path in folder.parent.iterdir() if path.is_dir()] == [folder]


def test_an_error_while_writing_is_passed_on_and_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        write_greeting(folder)
        raise FileNotFoundError(errno.ENOENT, "No such file", "corpus.json")

    with pytest.raises(FileNotFoundError, match=r"corpus\.json"):
        Cache(tmp_path).build("kind", "key", fail)
    assert not [path for path in (tmp_path / "kind").iterdir() if path.is_dir()]
    assert Cache(tmp_path).build("kind", "key", write_greeting).is_dir()


def test_another_machine_that_was_first_wins(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        write_greeting(folder)
        (folder.parent / "key").mkdir()
        (folder.parent / "key" / "theirs").write_text("theirs")
        seal(folder.parent / "key")

    folder = Cache(tmp_path).build("kind", "key", write)
    assert sorted(path.name for path in folder.iterdir()) == [SEAL, "theirs"]
    assert [path for path in folder.parent.iterdir() if path.is_dir()] == [folder]


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_what_was_damaged_is_named_and_made_again(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as root, redirect_stderr(StringIO()) as said:
        cache = Cache(Path(root))
        file = cache.build("kind", "key", write_greeting) / data.draw(
            st.sampled_from(["greeting", SEAL])
        )
        whole = damage(file, data)
        assert cache.build("kind", "key", write_greeting) == file.parent
        assert file.read_bytes() == whole
        cache.build("kind", "key", must_not_write)
        rule = "must be as it was written, and its checksum says it is not"
        assert said.getvalue() == f"note: {file}: {rule}; it is made again\n"
        assert sorted(path.name for path in (Path(root) / "kind").iterdir()) == [".key.lock", "key"]


@pytest.mark.parametrize("name", ["greeting", SEAL])
def test_what_was_lost_is_made_again(name: str, tmp_path: Path) -> None:
    file = Cache(tmp_path).build("kind", "key", write_greeting) / name
    file.unlink()
    Cache(tmp_path).build("kind", "key", write_greeting)
    assert file.exists()


def test_a_damaged_folder_is_built_by_one_of_several_processes(tmp_path: Path) -> None:
    folder = Cache(tmp_path / "cache").build("kind", "key", write_greeting)
    (folder / "greeting").write_text("jello")
    builders = [start(SLOW_BUILDER, tmp_path / "cache", tmp_path / "log") for _ in range(5)]
    assert [builder.communicate()[0].strip() for builder in builders] == ["3"] * 5
    assert (tmp_path / "log").read_text() == "written\n"


def test_of_a_kind_the_intact_folders_are_found(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cache = Cache(tmp_path)
    assert cache.found("kind") == []
    folders = [cache.build("kind", key, write_greeting) for key in ("b", "a", "c")]
    (folders[1] / "greeting").write_text("jello")
    for _ in range(2):
        assert cache.found("kind") == [folders[0], folders[2]]
    assert capfd.readouterr().err.count("\n") == 1


def test_storage_below_a_file_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match=r"must be writable, got .*/file/cache/kind"):
        Cache(tmp_path / "file" / "cache").build("kind", "key", write_greeting)


@pytest.mark.parametrize("existing", [".", "cache/kind"])
def test_storage_without_permission_is_refused_with_its_name(existing: str) -> None:
    with tempfile.TemporaryDirectory() as root:  # whose parents everybody may enter
        Path(root).chmod(0o755)
        locked = Path(root, existing)
        locked.mkdir(parents=True, exist_ok=True)
        locked.chmod(0o555)
        refused = start(NOBODY_BUILDER, f"{root}/cache").communicate()[0].strip()
        locked.chmod(0o755)
    rule = "storage: the folder must be writable"
    assert refused == f"{rule}, got {root}/cache/kind: Permission denied"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_full_disk_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        write_greeting(folder)
        with open("/dev/full", "w") as full:
            full.write("x")

    with pytest.raises(ResourceError, match="No space left on device"):
        Cache(tmp_path).build("kind", "key", write)
    assert not [path for path in (tmp_path / "kind").iterdir() if path.is_dir()]


def test_the_working_directory_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cache = Cache(Path("cache"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    folder = cache.build("kind", "key", write_greeting)
    assert folder == tmp_path / "cache" / "kind" / "key"


def test_the_hash_is_the_same_in_every_process() -> None:
    script = (
        "from xmrc.data.cache import content_hash;"
        "print(content_hash('a', b'b', {'y': [1, 2.5, None], 'x': 'ñ'}))"
    )
    here = content_hash("a", b"b", {"x": "ñ", "y": [1, 2.5, None]})
    runs = [start(script, PYTHONHASHSEED=seed) for seed in ("1", "2")]
    assert [run.communicate()[0].strip() for run in runs] == [here, here]
    assert len(here) == 20
    assert set(here) <= set("0123456789abcdef")


def test_the_hash_stays_the_same_over_versions() -> None:
    assert content_hash("a", b"b", {"x": "ñ", "y": [1, 2.5, None]}) == "93d8dd7e996edb7ee769"


PART = st.one_of(
    st.text(max_size=3),
    st.binary(max_size=3),
    st.lists(st.integers(0, 3), max_size=2),
    st.dictionaries(st.sampled_from("ab"), st.integers(0, 1), max_size=2),
)


@given(st.lists(PART, max_size=3), st.lists(PART, max_size=3))
def test_the_hash_is_equal_exactly_for_equal_parts(one: list[object], other: list[object]) -> None:
    assert (content_hash(*one) == content_hash(*other)) == (one == other)


def test_neighbouring_parts_do_not_run_into_each_other() -> None:
    spellings = [("ab", "c"), ("a", "bc"), ("abc",), (b"abc",), (["abc"],), ("", "abc")]
    assert len({content_hash(*parts) for parts in spellings}) == len(spellings)
