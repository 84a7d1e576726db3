"""A study's folder, sent to MLflow. In: what its run has kept. Out: runs, files, a version.

What is there already is not written twice, so it can be sent at any time, again, and to any server.
"""

from collections.abc import Sequence
from pathlib import Path

from xmrc.errors import DataError
from xmrc.scoring.evaluation_files import read_scores
from xmrc.search.folder import CHAMPION, REPORT, RUN_ID, START, TAGS, StudyFolder
from xmrc.search.ledger import Ledger
from xmrc.search.observed import publish_tables
from xmrc.search.phases import CONFIRMATION, SEARCH
from xmrc.search.progress import trials_frame
from xmrc.search.reading import SCORES_FILE, publish_files
from xmrc.search.recorder import replay
from xmrc.selection.champion import choose_winner
from xmrc.selection.confirmation import send_contenders
from xmrc.selection.contenders import Contender, read_confirmation
from xmrc.selection.final_sets import send_finals
from xmrc.selection.promotion import send_promotion
from xmrc.selection.registration import Registration, register_winner
from xmrc.settings import Study, flat, to_yaml
from xmrc.tables import Table
from xmrc.tracking.tracker import Tracker


def send_study(folder: StudyFolder, study: Study, tracker: Tracker) -> Registration | None:
    """Everything that the folder has; None where no winner was read yet, so none is registered.

    What MLflow does not take then, `tracker.close` tells. Errors: DataError if the study has never
    begun; as in `register_winner`.
    """
    state = folder.state()
    if RUN_ID not in state:
        raise DataError(f"{folder.path}: must be of a study that has begun to train")
    tracker.start_study(study.name, flat(study.settings), state[TAGS], state[RUN_ID])
    ledger, found = _send_trials(folder.path, study, tracker)
    read = (folder.path / CHAMPION / SCORES_FILE).exists()
    winner = choose_winner(ledger, found) if read else None
    registered = register_winner(folder, study, tracker, winner, found) if winner else None
    send_results(folder, study, tracker, found)
    tracker.end_study("finished" if registered else "stopped")
    return registered


def send_results(
    folder: StudyFolder, study: Study, tracker: Tracker, found: Sequence[Contender]
) -> None:
    """What followed the search: scores, tables, pictures and the page, as far as they are there."""
    path, metric = folder.path, study.search.metric
    for reader, prefix in ((START, "base"), (CHAMPION, CHAMPION)):
        if (path / reader / SCORES_FILE).exists():
            scores = read_scores(path / reader / SCORES_FILE)
            tracker.log_metrics({f"{prefix}_{name}": one for name, one in scores.metrics.items()})
    ledger = Ledger.open(path / SEARCH.ledger, metric)
    tracker.log_table(Table(trials_frame(ledger.table, metric)), "trials.csv")
    publish_files(tracker, path / CHAMPION, CHAMPION)
    if found:
        send_contenders(tracker, found, metric)
        send_promotion(folder, tracker, found)
    send_finals(path, tracker)
    if (path / REPORT).is_dir():
        tracker.log_artifact(path / REPORT)


def _send_trials(
    folder: Path, study: Study, tracker: Tracker
) -> tuple[Ledger, Sequence[Contender]]:
    """Every training that is over; the search's, and the contenders of a confirmation."""
    tracker.log_text(to_yaml(study), "study.yaml")
    for phase in (SEARCH, CONFIRMATION):
        if (folder / phase.ledger).exists():
            publish_tables(tracker, folder, phase.tables)
            for record in Ledger.open(folder / phase.ledger, study.search.metric).ended:
                replay(tracker, record, phase)
    ledger = Ledger.open(folder / SEARCH.ledger, study.search.metric)
    confirmation = read_confirmation(folder, study, ledger)
    return ledger, confirmation.contenders if confirmation and confirmation.over else ()
