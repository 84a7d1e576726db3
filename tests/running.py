"""Commands as users run them. In: arguments. Out: exit code, standard output, standard error.

`run_here` calls the command in this process, which spares the seconds of its imports.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from xmrc import command

BLOCKED = """
import runpy, sys
for name in {blocked!r}:
    sys.modules[name] = None
sys.argv = {argv!r}
runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
"""


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def run_process(
    module: str,
    *arguments: object,
    cwd: Path,
    blocked: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run `python -m module`, as if the `blocked` libraries were not installed."""
    argv = [module, *map(str, arguments)]
    script = BLOCKED.format(blocked=blocked, argv=argv, module=module)
    start = ["-c", script] if blocked else ["-m", *argv]
    done = subprocess.run(
        [sys.executable, *start],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "HF_HUB_OFFLINE": "1", **(environment or {})},
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def run_here(
    main: Callable[[], None],
    *arguments: object,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Ended:
    """Run a command's `main` with these arguments, from the argument list to the exit code."""
    monkeypatch.setattr(sys, "argv", ["xmrc", *map(str, arguments)])
    capsys.readouterr()
    code = 0
    try:
        command.run(main)
    except SystemExit as ended:
        code = int(ended.code or 0)
    return Ended(code, *capsys.readouterr())


def everything_in(folder: Path) -> dict[Path, bytes]:
    """The files below a folder, to see that nothing was left behind."""
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
