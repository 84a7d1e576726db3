"""What a training has reported so far. In: evaluations. Out: reports and files, always whole.

A report that goes unheard is made up for by the next, as each has everything before it.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xmrc.learning.loop import Evaluation

HISTORY, OBSERVED = "history.json", "observed.json"


@dataclass
class History:
    """One row of numbers for each evaluation, and beside it what is no single number.

    `observed` has for each evaluation a mapping, empty where there is nothing: `c_kl`, of each
    language pair [question language, context language, mean]; `pairs` and `watched`, as
    `Selection` has them.
    """

    rows: list[dict[str, float]] = field(default_factory=list)
    observed: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def read(cls, folder: Path) -> "History":
        """What `write` wrote."""
        return cls(*(json.loads((folder / name).read_text()) for name in (HISTORY, OBSERVED)))

    def write(self, folder: Path) -> None:
        """Into a checkpoint."""
        for name, content in ((HISTORY, self.rows), (OBSERVED, self.observed)):
            (folder / name).write_text(json.dumps(content))

    def add(self, evaluation: Evaluation, pairs: list[list[Any]], watched: list[list[Any]]) -> None:
        """The next evaluation, its scores by language pair, and the answers to what is watched."""
        place = {
            "evaluation": evaluation.number,
            "epoch": evaluation.epoch,
            "step": evaluation.step,
        }
        self.rows.append({**place, **evaluation.metrics})
        c_kl = [[*pair, mean] for pair, mean in evaluation.coefficient_by_pair.items()]
        observed = {"c_kl": c_kl, "pairs": pairs, "watched": watched}
        self.observed.append({name: rows for name, rows in observed.items() if rows})

    def report(self, evaluations: int, metric: str | None) -> dict[str, Any]:
        """The last of `evaluations`, the best value so far, and all until now."""
        summary: dict[str, Any] = {
            **self.rows[-1],
            "history": list(self.rows),
            "observed": list(self.observed),
            "evaluations": evaluations,
        }
        if metric is not None:
            summary["best"] = max(row[metric] for row in self.rows)
        return summary
