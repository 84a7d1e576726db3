"""What all commands share. In: a command's `main`. Out: an exit code, and one line for a mistake.

Exit codes: 0 done, 2 a mistake that the user can mend, 130 interrupted by Ctrl-C, 143 by SIGTERM.
Anything else that goes wrong is a defect of ours and keeps its traceback.
"""

import argparse
import gc
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.progress import Progress

from xmrc.credentials import hide_arguments, shown_argument, without_secrets
from xmrc.errors import SettingsError, XmrcError
from xmrc.tracking.interrupts import (
    StudyInterruptedError,
    heed_sigterm,
    interrupted_by,
    undisturbed,
)


def run(main: Callable[[], None]) -> None:
    """Run a command and leave the process with its exit code."""
    hide_arguments()
    heed_sigterm()
    gc.freeze()  # a million objects of libraries stay; to look through them again takes seconds
    try:
        main()
    except XmrcError as error:
        print(f"error: {without_secrets(str(error))}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as interrupt:
        with undisturbed():
            sys.exit(_interrupted(interrupt))
    finally:
        gc.freeze()  # nor what was imported since


def _interrupted(interrupt: KeyboardInterrupt) -> int:
    """Say so, and as the last line what goes on with it, where something does; the exit code."""
    number = interrupted_by()
    word = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}[number]
    print(
        f"{word}; this goes on with it:\n{interrupt}" if str(interrupt) else word, file=sys.stderr
    )
    return 128 + number


@contextmanager
def resumable(parser: argparse.ArgumentParser, options: argparse.Namespace) -> Iterator[None]:
    """Give an interrupt of the block the command that resumes the study, where one has begun.

    `options` are those of a `study_parser`, as they were typed.
    """
    try:
        yield
    except KeyboardInterrupt as interrupt:
        folder = _interrupted_in(interrupt)
        if folder is None:
            raise
        run = folder.name if isinstance(options.resume, bool) else options.resume
        words = ["--space", str(options.space), *_repeated(options), "--resume", run]
        line = shlex.join([*parser.prog.split(), *map(shown_argument, words)])
        raise KeyboardInterrupt(line) from interrupt


def _repeated(options: argparse.Namespace) -> Iterator[str]:
    for override in options.overrides:
        yield from ("--set", override)
    if getattr(options, "rehearse", False):
        yield "--rehearse"


def _interrupted_in(error: BaseException | None) -> Path | None:
    """The run that can go on; a second interrupt may have come before the first was at its end."""
    while error is not None:
        if isinstance(error, StudyInterruptedError):
            return error.folder
        error = error.__cause__ or error.__context__
    return None


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


def resume_option(parser: argparse.ArgumentParser) -> None:
    """The option of the commands that can go on with what was interrupted."""
    parser.add_argument(
        "--resume",
        nargs="?",
        const=True,
        default=False,
        metavar="RUN",
        help="go on with the last run of this study, or with RUN: DATE-TIME, or its folder",
    )


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
