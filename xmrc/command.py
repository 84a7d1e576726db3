"""What all commands share. In: a command's `main`. Out: an exit code, and one line for a mistake.

Exit codes: 0 done, 2 a mistake that the user can mend, 130 interrupted. Anything else that goes
wrong is a defect of ours and keeps its traceback.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from xmrc.errors import XmrcError


def run(main: Callable[[], None]) -> None:
    """Run a command and leave the process with its exit code."""
    try:
        main()
    except XmrcError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def study_parser(command: str, description: str) -> argparse.ArgumentParser:
    """A parser with the options of the commands that read a study file."""
    parser = argparse.ArgumentParser(prog=f"python -m xmrc.{command}", description=description)
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
