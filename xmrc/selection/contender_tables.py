"""What a confirmation has found, as tables. In: contenders, best mean first. Out: scores, 0 to 100.

They are for the terminal, the page of a study and the files beside its run.
"""

from collections.abc import Sequence

import pandas as pd

from xmrc.scoring.reader_tables import difference_columns
from xmrc.search.progress import shown_values
from xmrc.selection.contenders import Contender, differences, spreads, without_seed
from xmrc.tables import Column, Table, frame_of

_COLUMNS = (
    Column("trial", once=True),
    Column("settings", once=True),
    Column("seeds", once=True),
    Column("score"),
    Column("mean", show="{:.2f}"),
    Column("sd", show="{:.2f}"),
    Column("low", "95 % interval", "{:.2f} to {:.2f}", more=("high",)),
)


def contenders_table(found: Sequence[Contender], metric: str) -> Table:
    """The scores of each contender: mean, standard deviation and 95 % interval of the mean."""
    rows = []
    for one in found:
        settings = shown_values(without_seed(one.trial.values))
        for score, over in spreads(one, metric).items():
            low, high = over.interval or (None, None)
            named = {"trial": one.trial.number, "settings": settings, "seeds": over.seeds}
            spread = {"mean": over.mean, "sd": over.deviation, "low": low, "high": high}
            rows.append({**named, "score": score, **spread})
    frame = frame_of(rows)
    title = "confirmation: scores over fresh seeds"
    return Table(frame, _COLUMNS, title, sections=list(frame["trial"]))


def contender_rows(found: Sequence[Contender], metric: str) -> Table:
    """A row for each contender, as a file has it: its settings, and those numbers side by side."""
    rows = []
    for one in found:
        own = without_seed(one.trial.values)
        row = {"trial": one.trial.number, **own, "seeds": len(one.seeds)}
        for score, over in spreads(one, metric).items():
            low, high = over.interval or (None, None)
            row |= {f"{score}_mean": over.mean, f"{score}_sd": over.deviation}
            row |= {f"{score}_low": low, f"{score}_high": high}
        row |= {f"{metric}_median": one.median.best, f"{metric}_search": one.trial.best}
        rows.append(row)
    return Table(frame_of(rows))


def differences_table(found: Sequence[Contender], metric: str) -> Table:
    """Every two contenders by their means of what the search selects by."""
    rows = differences(found)
    names = {"trial": rows["first"].astype(int), "less_trial": rows["second"].astype(int)}
    tests = rows[["difference", "low", "high", "p", "p_holm"]]
    return Table(
        pd.DataFrame({**names, "metric": metric, **tests}),
        [Column("trial"), Column("less_trial", "less trial"), *difference_columns("p")],
        f"confirmation: differences of mean {metric}",
        "Welch's t-test over seeds, two-sided; * significant after Holm's correction",
        strong={"difference": list(rows["significant"])},
    )
