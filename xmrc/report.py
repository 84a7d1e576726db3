"""`python -m xmrc.report`: show a study. In: what its run has kept. Out: a page with pictures."""

import argparse
from pathlib import Path

from rich.console import Console

from xmrc import command
from xmrc.files import check_writable
from xmrc.search.folder import storage_path
from xmrc.search.progress import say


def main() -> None:
    """Parse, call, print."""
    options = _parser().parse_args()
    # Drawing takes seconds to import.
    from xmrc.pages.findings import find_run
    from xmrc.pages.page import write_report

    folder = find_run(storage_path(options.storage), options.study)
    if options.out is not None:
        check_writable(options.out)
    page = write_report(folder, options.out)
    say(Console(), f"written to {page}, with its pictures as PNG files")


def _parser() -> argparse.ArgumentParser:
    parser = command.Parser(prog="python -m xmrc.report", description="Show a study on one page.")
    parser.add_argument(
        "--study",
        required=True,
        metavar="NAME",
        help="one page of the last run of this study (NAME/DATE-TIME: of that one)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for the page [report, in the run's folder]"
    )
    parser.add_argument(
        "--storage", default="runs", metavar="DIR", help="where studies keep their runs [runs]"
    )
    return parser


if __name__ == "__main__":
    command.run(main)
