"""What a training is evaluated on. In: the reader as it stands. Out: scores, watched answers.

All workers ask together, each reads its share, and all get the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd
from torch import nn

from xmrc.data.examples import Example
from xmrc.data.features import Windows
from xmrc.learning.prediction import N_BEST, predict
from xmrc.learning.step import Worker
from xmrc.scoring.gxlt import summarise
from xmrc.scoring.metrics import exact_match, f1
from xmrc.scoring.predictions import Prediction, score_examples

_SHOWN = 5  # answers to a watched question


@dataclass(frozen=True, slots=True)
class _WatchedAnswer:
    """One of the first answers to a watched question over one context."""

    id: str
    question_language: str
    context_language: str
    rank: int  # from 1
    answer: str
    probability: float  # 0 to 1: the score of the answer among the n best
    em: float  # 0 to 100
    f1: float  # 0 to 100


@dataclass(frozen=True)
class Observations:
    """What one evaluation has beside its numbers; empty where there is nothing.

    pairs: a row for each language pair, as in `GxltScores`.
    """

    pairs: pd.DataFrame = field(default_factory=pd.DataFrame)
    watched: Sequence[_WatchedAnswer] = ()


@dataclass
class Validation:
    """The selection set (None: only losses are reported), and what of it is watched, if any."""

    windows: Windows | None
    watched: Windows | None
    precision: str
    worker: Worker
    _pairs: pd.DataFrame = field(default_factory=pd.DataFrame)  # of the last `scores`

    def scores(self, reader: nn.Module) -> dict[str, float]:
        """The metrics of the best answers, 0 to 100; none of those of k answers."""
        if self.windows is None:
            return {}
        predictions = self._predict(reader, self.windows, n_best=1)
        scores = summarise(score_examples(self.windows.examples, predictions))
        self._pairs = scores.pairs
        return {
            name: value for name, value in scores.metrics.items() if not name.startswith("topk")
        }

    def observations(self, reader: nn.Module) -> Observations:
        """The last `scores` by language pair, and what this reader answers to what is watched.

        The first answers to each watched question, as Chen et al. 2022 look at one in figure 3.
        """
        if self.watched is None:
            return Observations(self._pairs)
        predictions = self._predict(reader, self.watched, n_best=N_BEST)
        pairs = zip(self.watched.examples, predictions, strict=True)
        answers = [answer for pair in pairs for answer in _first_answers(*pair)]
        return Observations(self._pairs, answers)

    def _predict(self, reader: nn.Module, windows: Windows, n_best: int) -> list[Prediction]:
        return predict(
            reader,
            windows,
            n_best=n_best,
            precision=self.precision,
            rank=self.worker.rank,
            world_size=self.worker.world_size,
        )


def _first_answers(example: Example, prediction: Prediction) -> list[_WatchedAnswer]:
    """The best first."""
    golds, language = [answer.text for answer in example.answers], example.context_language
    return [
        _WatchedAnswer(
            id=example.id,
            question_language=example.question_language,
            context_language=language,
            rank=rank,
            answer=span.text,
            probability=span.score,
            em=100 * exact_match(span.text, golds, language),
            f1=100 * f1(span.text, golds, language),
        )
        for rank, span in enumerate(prediction.nbest[:_SHOWN], 1)
    ]
