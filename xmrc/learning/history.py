"""What a training has reported so far. In: evaluations. Out: reports and files, always whole.

A report that goes unheard is made up for by the next, as each has everything before it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from xmrc.files import read_document, write_document
from xmrc.learning.loop import Evaluation
from xmrc.learning.validation import Observations
from xmrc.scoring.predictions import PAIR

HISTORY, OBSERVED = "history.json", "observed.json"

_Row = dict[str, str | float]


@dataclass
class History:
    """One row of numbers for each evaluation, and tables of what is no single number.

    `observed` has the rows of each table by its name, each beginning with its evaluation, epoch and
    step; a table without rows is absent. `pairs` and `watched` are as in `Observations`; `c_kl`:
    question_language, context_language, and the coefficient c_kl of this language pair.
    """

    rows: list[dict[str, float]] = field(default_factory=list)
    observed: dict[str, list[_Row]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> "History":
        """What `write` wrote. Errors: DataError if it is damaged, FileNotFoundError."""
        return cls(*(read_document(folder / name) for name in (HISTORY, OBSERVED)))

    def write(self, folder: Path) -> None:
        """Into a checkpoint."""
        for name, content in ((HISTORY, self.rows), (OBSERVED, self.observed)):
            write_document(folder / name, content)

    def add(self, evaluation: Evaluation, observations: Observations) -> None:
        """The next evaluation, and what was observed beside its numbers."""
        place = {
            "evaluation": evaluation.number,
            "epoch": evaluation.epoch,
            "step": evaluation.step,
        }
        self.rows.append({**place, **evaluation.metrics})
        tables: Mapping[str, Iterable[Mapping[str, Any]]] = {
            "pairs": observations.pairs.to_dict("records"),
            "c_kl": (
                {**dict(zip(PAIR, pair, strict=True)), "c_kl": mean}
                for pair, mean in evaluation.coefficient_by_pair.items()
            ),
            "watched": map(asdict, observations.watched),
        }
        for name, rows in tables.items():
            found = [{**place, **row} for row in rows]
            if found:
                self.observed.setdefault(name, []).extend(found)

    def report(self, evaluations: int, metric: str | None) -> dict[str, Any]:
        """The last of `evaluations`, the best value so far, and all until now."""
        summary: dict[str, Any] = {
            **self.rows[-1],
            "history": list(self.rows),
            "observed": {name: list(rows) for name, rows in self.observed.items()},
            "evaluations": evaluations,
        }
        if metric is not None:
            summary["best"] = max(row[metric] for row in self.rows)
        return summary
