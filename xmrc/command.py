"""What all commands share. In: a command's `main`. Out: an exit code, and one line for a mistake.

Exit codes: 0 done, 2 a mistake that the user can mend, 130 interrupted. Anything else that goes
wrong is a defect of ours and keeps its traceback.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.progress import Progress

from xmrc.credentials import hide_arguments, without_secrets
from xmrc.errors import SettingsError, XmrcError


def run(main: Callable[[], None]) -> None:
    """Run a command and leave the process with its exit code."""
    hide_arguments()
    try:
        main()
    except XmrcError as error:
        print(f"error: {without_secrets(str(error))}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as interrupt:
        print(f"interrupted{f': {interrupt}' if str(interrupt) else ''}", file=sys.stderr)
        sys.exit(130)


class Parser(argparse.ArgumentParser):
    """A parser whose refusals are one line, as all of ours are; `--help` has the usage."""

    def error(self, message: str) -> NoReturn:
        """What the user typed breaks a rule."""
        raise SettingsError(f"{message} ({self.prog} --help)")


def study_parser(command: str, description: str) -> argparse.ArgumentParser:
    """A parser with the options of the commands that read a study file."""
    parser = Parser(prog=f"python -m xmrc.{command}", description=description)
    parser.add_argument("--space", type=Path, required=True, metavar="FILE", help="study file")
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="replace a value of the file, by its dotted key from the top; may be repeated",
    )
    return parser


def reader_parser(command: str, description: str) -> argparse.ArgumentParser:
    """A parser with the options of the commands that use a trained reader."""
    parser = Parser(prog=f"python -m xmrc.{command}", description=description)
    parser.add_argument(
        "--model",
        required=True,
        metavar="MODEL",
        help="folder of a checkpoint, models:/NAME@ALIAS or models:/NAME/VERSION",
    )
    parser.add_argument(
        "--storage",
        default="runs",
        metavar="DIR",
        help="where studies keep their models and tokens [runs]",
    )
    parser.add_argument(
        "--tracking-uri",
        metavar="URI",
        help="MLflow server of models:/ [MLFLOW_TRACKING_URI, else SQLite in the storage]",
    )
    return parser


def count(text: str) -> int:
    """The value of an option that counts something: a whole number, at least 1."""
    if not (text.isdecimal() and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"must be a whole number, at least 1, got {text!r}")
    return int(text)


def word_list(text: str) -> list[str]:
    """The value of an option that lists words, separated by commas."""
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise argparse.ArgumentTypeError(f"must be words separated by commas, got {text!r}")
    return parts


@contextmanager
def progress_line(label: str) -> Iterator[Callable[[int, int], None]]:
    """A line on standard error that says how much is done and how long the rest will take.

    Gives a function to call with what is done, and all there is. Only on a terminal.
    """
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
