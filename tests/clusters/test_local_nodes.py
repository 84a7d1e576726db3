"""`clusters/local-multi-node.sh`: nodes on this machine, a study as a job on all of them."""

import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from command_runs import REPOSITORY, Done, Storage, run, settings
from ray_here import a_home

pytestmark = [pytest.mark.studies, pytest.mark.timeout(1800)]

NODES = 2
SECONDS_TO_END = 60  # for machines that do other things too
SHORT = settings(
    "search.trials=2",
    "search.scheduler=none",
    "settings.data.limit=10",
    "settings.base=null",
    "settings.start_from_base=false",
    "settings.training.epochs=12",  # so that one still runs when the other begins
    "search.start_from=[]",
)


@dataclass(frozen=True)
class Nodes:
    """What the script printed, and what was there when it had ended."""

    done: Done
    storage: Storage
    left: list[str]  # a while later
    token: bool


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with a_home() as home:
        clone = home / "clone"
        for part in ("xmrc", "search_spaces", "clusters"):
            shutil.copytree(REPOSITORY / part, clone / part)
        words = [str(clone / "clusters" / "local-multi-node.sh"), "python", "-m", "xmrc.tune"]
        words += ["--space", "search_spaces/demo.yaml", *SHORT]
        temporary = home / "t"
        temporary.mkdir()
        done = run(words, home, NODES=str(NODES), TMPDIR=str(temporary))
        yield Nodes(
            done,
            Storage(home / "xmrc" / "runs"),
            [*outliving(home), *map(str, temporary.glob("nodes-*"))],
            (home / ".ray" / "auth_token").exists(),
        )


def outliving(home: Path) -> list[str]:
    """What does not end by itself, as Ray's own helpers do once they see that their parent has."""
    until = time.monotonic() + SECONDS_TO_END
    while living(home) and time.monotonic() < until:
        time.sleep(0.2)
    return living(home)


def living(home: Path) -> list[str]:
    """Processes that were started with this home and still run."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended, or is another user's
            if f"HOME={home}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


def test_the_job_runs_on_all_nodes(nodes: Nodes) -> None:
    printed = nodes.done.out + nodes.done.err
    assert nodes.done.code == 0, printed
    assert f"{NODES} nodes of 1 CPU" in printed
    assert "succeeded" in printed
    first, second = nodes.storage.trials("demo")
    assert {first["state"], second["state"]} == {"finished"}
    assert second["started"] < first["started"] + first["seconds"], "each node has one CPU"


def test_nothing_is_left(nodes: Nodes) -> None:
    assert nodes.left == []
    assert not nodes.token
