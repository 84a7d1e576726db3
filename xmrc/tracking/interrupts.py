"""Ctrl-C and SIGTERM at a bad moment. In: a block. Out: the interrupt, after it or not at all.

SIGTERM is what clusters, batch systems and `kill` send; a command has it take the same way as
Ctrl-C, as a KeyboardInterrupt. A database whose statement is interrupted stays locked for as long
as the interrupt is on its way up, so that nobody could write down that the study was interrupted.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

_NUMBERS = (signal.SIGINT, signal.SIGTERM)
_terminated = threading.Event()


class StudyInterruptedError(KeyboardInterrupt):
    """A study was interrupted that can go on in `folder`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder} can go on")
        self.folder = folder


@contextmanager
def study_in(folder: Path) -> Iterator[None]:
    """A block whose interrupt is a StudyInterruptedError, however many signals come.

    The second one may be raised at any place of what handles the first, so it is dropped from here
    on; where it was quicker than that, it takes the place of the first.
    """
    try:
        try:
            yield
        except KeyboardInterrupt as interrupt:
            with undisturbed():
                raise StudyInterruptedError(folder) from interrupt
    except StudyInterruptedError:
        raise
    except KeyboardInterrupt as second:
        raise StudyInterruptedError(folder) from second


def heed_sigterm() -> None:
    """Have SIGTERM raise KeyboardInterrupt in the main thread from now on."""
    _terminated.clear()
    signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, frame: FrameType | None) -> None:
    _terminated.set()
    raise KeyboardInterrupt


def interrupted_by() -> signal.Signals:
    """What is behind a KeyboardInterrupt; Ray raises one of its own, which does not say."""
    return signal.SIGTERM if _terminated.is_set() else signal.SIGINT


def interrupt_main_thread() -> None:
    """Have the main thread leave what it does, as by one of the signals."""
    heard = [number for number in _NUMBERS if callable(signal.getsignal(number))]
    main = threading.main_thread().ident
    if heard and main is not None:
        signal.pthread_kill(main, heard[0])


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let the signals wait until the block has ended."""
    came: list[int] = []
    try:
        with _handled(lambda number, _: came.append(number)):
            yield
    finally:
        if came:
            signal.raise_signal(came[0])


@contextmanager
def undisturbed() -> Iterator[None]:
    """Drop the signals: the block ends what one of them has interrupted."""
    with _handled(lambda number, _: None):
        yield


@contextmanager
def own_handler() -> Iterator[None]:
    """Keep the handler of SIGTERM in a block that, as Ray does, puts in one that exits."""
    exits = False
    with _handled():
        try:
            yield
        except SystemExit as leaving:
            if leaving.code != signal.SIGTERM:
                raise
            exits = True
    if exits:
        signal.raise_signal(signal.SIGTERM)


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], object] | None = None) -> Iterator[None]:
    """Have another handler in a block, and afterwards the usual ones again."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread alone
        return
    usual = {number: signal.getsignal(number) for number in _NUMBERS}
    try:
        for number in _NUMBERS if handler else ():
            signal.signal(number, handler)
        yield
    finally:
        for number, before in usual.items():
            if before is not None:
                signal.signal(number, before)
