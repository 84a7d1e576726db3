"""Who may write to a run: real processes that have its lock and are killed."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from xmrc.errors import ResourceError
from xmrc.search import lock
from xmrc.search.lock import LOCK, is_ours, living_owner, locked

HOLDER = """
import sys
from pathlib import Path
from xmrc.errors import ResourceError
from xmrc.search.lock import locked
print("ready", flush=True)
sys.stdin.readline()
try:
    with locked(Path(sys.argv[1])):
        print("mine", flush=True)
        sys.stdin.readline()
except ResourceError as refusal:
    print(refusal, flush=True)
"""


@contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that asks for the lock at its first line of input, and ends at the second."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def ask(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def kill(folder: Path) -> dict[str, object]:
    """Leave the lock of a killed process behind; what it says."""
    with holder(folder) as process:
        ask(process)
        assert answer(process) == "mine"
    return json.loads((folder / LOCK).read_text())


def write_lock(folder: Path, *, age: float = 0.0, **changes: object) -> Path:
    """A lock that another has, `age` seconds after its last heartbeat."""
    path = folder / LOCK
    path.write_text(json.dumps({**vars(lock.Owner.here()), **changes}))
    now = path.stat().st_mtime
    os.utime(path, (now - age, now - age))
    return path


@pytest.fixture
def keyboard() -> Iterator[None]:
    """Ctrl-C as usual: a shell's background job ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_second_is_refused_with_who_has_it(tmp_path: Path) -> None:
    with holder(tmp_path) as first:
        ask(first)
        assert answer(first) == "mine"
        owner = living_owner(tmp_path)
        assert owner is not None
        assert (owner.pid, is_ours(tmp_path)) == (first.pid, False)
        rule = rf"^{tmp_path}: must be written to by one .*, pid {first.pid}, since 20\d\d-"
        with pytest.raises(ResourceError, match=rule) as refused, locked(tmp_path):
            pass
        assert "\n" not in str(refused.value)
        ask(first)
        first.wait()
    assert list(tmp_path.iterdir()) == []


def leave(folder: Path, error: type[BaseException] | None) -> None:
    with locked(folder):
        assert is_ours(folder)
        if error:
            raise error


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_it_is_let_go_of_on_every_way_out(
    tmp_path: Path, error: type[BaseException] | None
) -> None:
    with pytest.raises(error) if error else nullcontext():
        leave(tmp_path, error)
    assert living_owner(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_that_of_a_killed_process_is_taken_over_at_once(tmp_path: Path) -> None:
    kill(tmp_path)
    assert living_owner(tmp_path) is None
    with locked(tmp_path):
        assert is_ours(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [LOCK]


def test_a_killed_process_that_nobody_has_asked_for_is_dead_too(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        ask(process)
        assert answer(process) == "mine"
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # and stays a zombie
        with locked(tmp_path):
            assert is_ours(tmp_path)


def test_another_process_of_the_same_number_is_another(tmp_path: Path) -> None:
    write_lock(tmp_path, born="1")
    with locked(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["born"] != "1"


ELSEWHERE = {"host": "node-7", "machine": "another boot"}


def test_one_elsewhere_lives_as_long_as_its_heart_beats(tmp_path: Path) -> None:
    write_lock(tmp_path, age=30, **ELSEWHERE)
    rule = r"is by node-7, pid \d+, since .*free 60 s after it was last there"
    with pytest.raises(ResourceError, match=rule), locked(tmp_path):
        pass
    write_lock(tmp_path, age=61, **ELSEWHERE)
    with locked(tmp_path):
        assert is_ours(tmp_path)


def test_the_heart_beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_SECONDS_BETWEEN_BEATS", 0.01)
    with locked(tmp_path):
        os.utime(tmp_path / LOCK, (0, 0))
        wait_until(lambda: (tmp_path / LOCK).stat().st_mtime > 0)


def wait_until(true: Callable[[], bool]) -> None:
    tick = threading.Event()
    assert any(true() or tick.wait(0.01) for _ in range(1000))


@pytest.mark.parametrize("text", ["", '{"host": "nod', "[]", "{}"])
def test_one_that_was_killed_while_it_wrote_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / LOCK
    path.write_text(text)
    with pytest.raises(ResourceError, match="is by an unknown host"), locked(tmp_path):
        pass
    os.utime(path, (0, 0))
    with locked(tmp_path):
        assert is_ours(tmp_path)


def test_one_process_alone_takes_over(tmp_path: Path) -> None:
    kill(tmp_path)
    with holder(tmp_path) as a, holder(tmp_path) as b, holder(tmp_path) as c:
        for process in (a, b, c):
            ask(process)
        said = [answer(process) for process in (a, b, c)]
        assert said.count("mine") == 1, said
        assert sum("must be written to by one search" in line for line in said) == 2, said


def test_one_of_many_takes_over_again_and_again(tmp_path: Path) -> None:
    """Threads, which meet more often than processes."""
    rounds, takers = 30, 8
    gate, winners = threading.Barrier(takers, timeout=60), []

    def take() -> None:
        for _ in range(rounds):
            if gate.wait() == 0:
                write_lock(tmp_path, born="1")
            gate.wait()
            try:
                with locked(tmp_path):
                    winners.append(is_ours(tmp_path))
                    gate.wait()
            except ResourceError:
                gate.wait()
            gate.wait()

    with ThreadPoolExecutor(takers) as pool:
        for taker in [pool.submit(take) for _ in range(takers)]:
            taker.result()
    assert winners == [True] * rounds
    assert list(tmp_path.iterdir()) == []


def test_one_that_dies_while_it_takes_over_is_no_obstacle(tmp_path: Path) -> None:
    dead = kill(tmp_path)
    claim = tmp_path / f"{LOCK}.{dead['key']}"
    claim.write_text(json.dumps({**dead, "key": "of the claim"}))
    with locked(tmp_path):
        assert is_ours(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [LOCK]


@pytest.mark.parametrize(
    ("lose", "told"),
    [
        (lambda folder: write_lock(folder, **ELSEWHERE), "was taken over by node-7, pid"),
        (lambda folder: (folder / LOCK).unlink(), "is gone from its place"),
        (lambda folder: folder.rename(folder.with_name("moved")), "is gone from its place"),
    ],
)
def test_who_has_lost_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keyboard: None,
    lose: Callable[[Path], object], told: str,
) -> None:  # fmt: skip
    """It was suspended for longer than others wait, or its folder was moved."""
    monkeypatch.setattr(lock, "_SECONDS_BETWEEN_BEATS", 0.01)
    folder = tmp_path / "run"
    folder.mkdir()
    with pytest.raises(ResourceError, match=f"^{folder}: must .*, and {told}"):
        have_and_lose(folder, lose)
    assert (folder / LOCK).exists() == ("node-7" in told)


def have_and_lose(folder: Path, lose: Callable[[Path], object]) -> None:
    with locked(folder):
        lose(folder)
        threading.Event().wait(30)
