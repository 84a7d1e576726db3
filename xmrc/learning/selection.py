"""What a training is evaluated on. In: the reader as it stands. Out: scores.

All workers ask together, each reads its share, and all get the same.
"""

from dataclasses import dataclass

from torch import nn

from xmrc.data.features import Windows
from xmrc.learning.prediction import predict
from xmrc.learning.step import Place
from xmrc.scoring.matrix import score
from xmrc.scoring.predictions import Prediction


@dataclass(frozen=True)
class Selection:
    """The windows of the selection set; None where losses alone are reported."""

    windows: Windows | None
    precision: str
    place: Place

    def scores(self, reader: nn.Module) -> dict[str, float]:
        """The metrics of the best answers, 0 to 100; none of those of k answers."""
        if self.windows is None:
            return {}
        predictions = self._predict(reader, self.windows, n_best=1)
        metrics = score(self.windows.examples, predictions).metrics
        return {name: value for name, value in metrics.items() if not name.startswith("topk")}

    def _predict(self, reader: nn.Module, windows: Windows, n_best: int) -> list[Prediction]:
        return predict(
            reader,
            windows,
            n_best=n_best,
            precision=self.precision,
            rank=self.place.rank,
            world_size=self.place.world_size,
        )
