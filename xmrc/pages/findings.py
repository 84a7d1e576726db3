"""What a run of a study has found so far. In: its folder. Out: `Findings`, which a page shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from xmrc.data.scored_set import ScoredSet
from xmrc.errors import DataError, SettingsError
from xmrc.scoring.evaluation_files import EXAMPLES, read_examples
from xmrc.search.folder import (
    CHAMPION,
    SELECT,
    START,
    VERDICT,
    VERSION,
    StudyFolder,
)
from xmrc.search.ledger import Ledger, TrialRecord
from xmrc.search.phases import SEARCH
from xmrc.selection.contenders import SEED, Confirmation, Contender, read_confirmation
from xmrc.selection.final_sets import read_finals
from xmrc.selection.promotion import Verdict
from xmrc.settings import Study, load_study


@dataclass(frozen=True)
class Findings:
    """A study, its trials, and two readings of the selection set, None where there are none."""

    study: Study
    ledger: Ledger
    start: pd.DataFrame | None  # scored examples, by what the trials start from
    champion: pd.DataFrame | None  # by the best of them
    confirmation: Confirmation | None  # None: not begun, or not asked for
    verdict: Verdict | None  # of the promotion, on the winner
    version: str | None  # that the winner became
    finals: Mapping[ScoredSet, Mapping[str, pd.DataFrame]]  # by base and champion
    select: str  # the selection set, and how it overlaps with training where it does

    @property
    def metric(self) -> str:
        """What the search selects by."""
        return self.ledger.metric

    @property
    def ranking(self) -> list[TrialRecord]:
        """The trials that have reported, best first by the search's own scores."""
        return self.ledger.ranking

    @property
    def winner(self) -> Contender | None:
        """The winner of the confirmation, once that is over."""
        return self.confirmation.winner if self.confirmation else None

    @property
    def best(self) -> TrialRecord:
        """The trial that has won: the confirmation where there is one, else the search."""
        return self.winner.trial if self.winner else self.ranking[0]

    @property
    def reader(self) -> TrialRecord:
        """The training that stands for the best: its median seed, else the trial itself."""
        return self.winner.median if self.winner else self.best

    @property
    def reader_name(self) -> str:
        """What `champion` is called in tables and pictures."""
        name = f"trial {self.best.number}"
        return f"{name}, seed {self.reader.values[SEED]}" if self.winner else name

    @property
    def standing(self) -> list[TrialRecord]:
        """The ranking, but for the winner of a confirmation, which comes first."""
        return [self.best, *(record for record in self.ranking if record is not self.best)]


def find_run(root: Path, name: str) -> Path:
    """The folder of a study's last run; of another one for NAME/DATE-TIME.

    Errors: SettingsError where there is none.
    """
    named = root / name
    runs = (
        [named]
        if (named / SEARCH.ledger).exists()
        else [p.parent for p in named.glob(f"*/{SEARCH.ledger}")]
    )
    if not runs or Path(name).is_absolute() or ".." in Path(name).parts:
        studies = sorted({path.parents[1].name for path in root.glob(f"*/*/{SEARCH.ledger}")})
        there = ", ".join(studies) or "none"
        raise SettingsError(
            f"--study: must be a study that has run under {root} (there: {there}), got {name}"
        )
    return max(runs)  # their names are their dates


def read_findings(folder: Path) -> Findings:
    """Read a run's folder. DataError: no trial has reported anything yet."""
    study = load_study(StudyFolder(folder).settings())
    ledger = Ledger.open(folder / SEARCH.ledger, study.search.metric)
    if not ledger.ranking:
        raise DataError(f"{folder / SEARCH.ledger}: no trial has reported a score yet")
    readings = _read(folder / START), _read(folder / CHAMPION)
    confirmation = read_confirmation(folder, study, ledger)
    state = StudyFolder(folder).state()
    return Findings(
        study,
        ledger,
        *readings,
        confirmation,
        Verdict(**state[VERDICT]) if VERDICT in state else None,
        state.get(VERSION),
        read_finals(folder),
        state.get(SELECT, study.settings.data.select),
    )


def _read(folder: Path) -> pd.DataFrame | None:
    file = folder / EXAMPLES
    return read_examples(file) if file.exists() else None
