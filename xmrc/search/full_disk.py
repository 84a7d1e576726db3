"""A storage that is full. In: something to write. Out: it is written, once there is room again.

A search that is left alone overnight waits for somebody to free space rather than end.
"""

import errno
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from xmrc.errors import ResourceError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_SECONDS_BETWEEN_LOOKS = 2.0
_MEGABYTE = 1e6


@dataclass(frozen=True)
class PatientWriter:
    """Writes below `folder`; `needed` bytes must be free there before a search goes on."""

    folder: Path
    needed: int
    say: Callable[[str], None]

    def write(self, act: Callable[[], None]) -> None:
        """Do `act`, again and again while there is no space. Errors: any other of its own."""
        while True:
            try:
                return act()
            except ResourceError as error:
                if not is_full(error.__cause__):
                    raise
            self.wait()

    def wait(self) -> None:
        """Say what to free, and wait until it is."""
        free = shutil.disk_usage(self.folder).free
        self.say(
            f"storage: {self.folder} is full, {free / _MEGABYTE:.0f} MB are free: the search waits "
            f"until {self.needed / _MEGABYTE:.0f} MB are; delete what is not needed there"
        )
        while shutil.disk_usage(self.folder).free < self.needed:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        self.say("storage: there is room again, the search goes on")


def is_full(error: BaseException | None) -> bool:
    """Whether an error of the file system says that there is no space."""
    return isinstance(error, OSError) and error.errno in _FULL
