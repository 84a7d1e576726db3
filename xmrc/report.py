"""`python -m xmrc.report`: show a study, or send it. In: what its run has kept. Out: a page with
pictures, the study in MLflow.
"""

import argparse
from pathlib import Path

from rich.console import Console

from xmrc import command
from xmrc.errors import ResourceError
from xmrc.files import check_writable
from xmrc.search.folder import StudyFolder, storage_path
from xmrc.search.lock import locked
from xmrc.search.progress import say
from xmrc.settings import load_study


def main() -> None:
    """Parse, call, print."""
    options = _parser().parse_args()
    # Drawing takes seconds to import.
    from xmrc.pages.findings import find_run
    from xmrc.pages.page import write_report

    storage, console = storage_path(options.storage), Console()
    folder = find_run(storage, options.upload or options.study)
    if options.upload:
        _upload(folder, storage, options.tracking_uri, console)
        return
    if options.out is not None:
        check_writable(options.out)
    page = write_report(folder, options.out)
    say(console, f"written to {page}, with its pictures as PNG files")


def _upload(folder: Path, storage: Path, uri: str | None, console: Console) -> None:
    """Send the study to its server, or to that of `uri`."""
    from xmrc.pages.page import write_report
    from xmrc.search.run import experiment_of
    from xmrc.selection.upload import send_study
    from xmrc.tracking.tracker import Tracker

    study = load_study(StudyFolder(folder).settings())
    tracker = Tracker.open(uri or study.tracking.uri, str(storage), experiment_of(study))
    with locked(folder):
        registered = send_study(StudyFolder(folder), study, tracker)
        if registered is not None:  # which the page did not know
            tracker.log_artifact(write_report(folder).parent)
        unwritten = tracker.close()
    if unwritten:
        raise ResourceError(f"MLflow at {tracker.uri} did not take all: {unwritten[0]}")
    say(console, f"sent to MLflow at {tracker.uri}: {folder}")
    if registered is not None:
        say(console, f"registered: {registered.model} is version {registered.version}")
        say(console, f"promotion: {registered.verdict.reason}")
    say(console, f"  {tracker.view}")


def _parser() -> argparse.ArgumentParser:
    parser = command.Parser(prog="python -m xmrc.report", description="Show a study on one page.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--study",
        metavar="NAME",
        help="one page of the last run of this study (NAME/DATE-TIME: of that one)",
    )
    what.add_argument(
        "--upload",
        metavar="NAME",
        help="send this study to MLflow: what a lost server lacks, or all of it to another one",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for the page [report, in the run's folder]"
    )
    parser.add_argument(
        "--storage", default="runs", metavar="DIR", help="where studies keep their runs [runs]"
    )
    parser.add_argument(
        "--tracking-uri",
        metavar="URI",
        help="where to send it [the study's own, else MLFLOW_TRACKING_URI, else SQLite]",
    )
    return parser


if __name__ == "__main__":
    command.run(main)
