"""Whom a local search lets in: nobody from elsewhere, and on this machine nobody without its token.

A trial of two workers is running meanwhile, so theirs are among the processes that are looked at.
"""

import contextlib
import ipaddress
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from command_runs import Running, Storage, module, settings
from ray_here import a_home, clean_environment

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

LISTENING = "0A"  # in the kernel's tables
KNOCK = """
import ray
print(ray.init(address={address!r}, log_to_driver=False).dashboard_url)
print(ray.get(ray.remote(num_cpus=0)(lambda: "in").remote()))
"""


@dataclass
class Search:
    """A search on this machine, two workers of which are training."""

    home: Path
    processes: dict[int, str]  # what each was started with
    token: str  # of its workers
    listening: dict[int, set[str]]  # addresses by process
    address: str  # of the cluster


@pytest.fixture(scope="module")
def search() -> Iterator[Search]:
    with a_home() as home:
        long = settings(
            f"storage={home / 'runs'}", "search.trials=1", "search.start_from=[]",
            "search.evaluate_every=0.05", "settings.training.epochs=500", "resources.workers=2",
            "settings.base=null", "settings.start_from_base=false", "settings.data.limit=10",
        )  # fmt: skip
        command = Running(module("tune", "--space", "search_spaces/demo.yaml", *long), home)
        try:
            storage = Storage(home / "runs")
            command.wait_until(lambda: [one for one in storage.trials("demo") if one["history"]])
            yield seen(command, home)
        finally:
            command.kill()


def seen(command: Running, home: Path) -> Search:
    environments = {int(one.name): environment_of(one) for one in Path("/proc").glob("[0-9]*")}
    ours = {pid: its for pid, its in environments.items() if its.get("HOME") == str(home)}
    (token,) = {its["RAY_AUTH_TOKEN"] for its in ours.values() if "RAY_AUTH_TOKEN" in its}
    return Search(
        home,
        {pid: words_of(pid) for pid in ours},
        token,
        {pid: sockets for pid in ours if (sockets := listening(pid))},
        next(word for pid in ours for word in gcs_addresses(pid)),
    )


def environment_of(process: Path) -> dict[str, str]:
    try:
        text = (process / "environ").read_text(errors="replace")
    except OSError:  # it has ended, or is the kernel's
        return {}
    return dict(entry.split("=", 1) for entry in text.split("\0") if "=" in entry)


def gcs_addresses(process: int) -> list[str]:
    """What a raylet is told."""
    words = words_of(process).split()
    return [word.partition("=")[2] for word in words if word.startswith("--gcs-address=")]


def words_of(process: int) -> str:
    """How it was started; empty once it has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def listening(process: int) -> set[str]:
    """The addresses on which a process waits for others, as the kernel lists its sockets."""
    own, found = files_of(process), set()
    for table in ("tcp", "tcp6"):  # of this machine, for all processes
        for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            local, state, inode = (row.split()[column] for column in (1, 3, 9))
            if state == LISTENING and f"socket:[{inode}]" in own:
                found.add(address_of(local.partition(":")[0]))
    return found


def files_of(process: int) -> set[str]:
    """What it has open; nothing once it has ended."""
    found = set()
    with contextlib.suppress(OSError):
        for path in Path(f"/proc/{process}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # it was closed
                found.add(os.readlink(path))
    return found


def address_of(written: str) -> str:
    """The kernel writes words of four bytes, each as this machine has it."""
    words = [bytes.fromhex(written[at : at + 8]) for at in range(0, len(written), 8)]
    ordered = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    return str(ipaddress.ip_address(ordered))


def knock(search: Search, **environment: str) -> subprocess.CompletedProcess[str]:
    """What `ray.init(address)` and a task come to for somebody else on this machine.

    Without the variable Ray would look for a loopback address on the machine's own interface, where
    nobody listens.
    """
    environment["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    with a_home() as home:
        return subprocess.run(
            [sys.executable, "-c", KNOCK.format(address=search.address)],
            env={**clean_environment(home), **environment},
            capture_output=True,
            text=True,
            timeout=100,
        )


def ask_jobs(url: str, token: str | None, job: dict[str, str] | None = None) -> int:
    """The status of asking for the jobs over HTTP, or of submitting one."""
    body = None if job is None else json.dumps(job).encode()
    request = urllib.request.Request(
        f"http://{url}/api/jobs/", body, {"Content-Type": "application/json"}
    )
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        return refused.code


def test_only_the_loopback_interface_is_listened_on(search: Search) -> None:
    assert len(search.processes) > 8
    assert len(search.listening) > 6, "the daemons of Ray, its workers"
    for process, addresses in search.listening.items():
        words = search.processes[process]
        for address in addresses:
            found = ipaddress.ip_address(address)
            assert (getattr(found, "ipv4_mapped", None) or found).is_loopback, (address, words)


def test_nobody_comes_in_without_the_token(search: Search) -> None:
    as_it_comes: dict[str, str] = {}
    without = {"RAY_AUTH_MODE": "disabled"}
    wrong = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "f" * 64}
    with ThreadPoolExecutor() as pool:  # Ray asks for half a minute
        attempts = pool.map(lambda theirs: knock(search, **theirs), (as_it_comes, without, wrong))
        for done in attempts:
            assert done.returncode != 0
            assert "in\n" not in done.stdout
            assert "auth" in done.stderr.lower() or "token" in done.stderr.lower()


def test_the_token_lets_in_and_is_asked_for_by_the_dashboard(search: Search) -> None:
    assert len(search.token) == 64
    ours = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": search.token}
    done = knock(search, **ours)
    assert done.returncode == 0, done.stderr
    url, answer = done.stdout.split()
    assert answer == "in"
    for job in (None, {"entrypoint": "true"}):
        assert ask_jobs(url, None, job) == 401
        assert ask_jobs(url, "f" * 64, job) in (401, 403)
    assert ask_jobs(url, search.token) == 200


def test_nothing_is_left_at_home(search: Search) -> None:
    assert not (search.home / ".ray").exists()
    assert not [path for path in search.home.rglob("auth_token*") if os.path.isfile(path)]
