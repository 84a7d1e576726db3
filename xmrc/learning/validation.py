"""What a training is evaluated on. In: the reader as it stands. Out: scores, watched answers.

All workers ask together, each reads its share, and all get the same.
"""

from dataclasses import dataclass, field
from typing import Any

from torch import nn

from xmrc.data.examples import Example
from xmrc.data.features import Windows
from xmrc.learning.prediction import N_BEST, predict
from xmrc.learning.step import Worker
from xmrc.scoring.gxlt import summarise
from xmrc.scoring.metrics import exact_match, f1
from xmrc.scoring.predictions import Prediction, score_examples

_SHOWN = 5  # answers to a watched question


@dataclass
class Selection:
    """The selection set (None: only losses are reported), and what of it is watched, if any.

    `pairs`, of the last `scores`: [question language, context language, n, F1, EM, and both by the
    SQuAD rules] of each language pair.
    """

    windows: Windows | None
    watched: Windows | None
    precision: str
    place: Worker
    pairs: list[list[Any]] = field(default_factory=list)

    def scores(self, reader: nn.Module) -> dict[str, float]:
        """The metrics of the best answers, 0 to 100; none of those of k answers."""
        if self.windows is None:
            return {}
        predictions = self._predict(reader, self.windows, n_best=1)
        scores = summarise(score_examples(self.windows.examples, predictions))
        self.pairs = [list(row) for row in scores.pairs.itertuples(index=False)]
        return {
            name: value for name, value in scores.metrics.items() if not name.startswith("topk")
        }

    def watched_answers(self, reader: nn.Module) -> list[list[Any]]:
        """The first answers to each watched question, as Chen et al. 2022 look at one in figure 3.

        In each language pair: [id, question language, context language, answers], an answer being
        [text, probability, EM, F1], best first. The probability is the score of the answer among
        the n best, 0 to 1, as predictions have it; EM and F1 are 0 to 100.
        """
        if self.watched is None:
            return []
        predictions = self._predict(reader, self.watched, n_best=N_BEST)
        pairs = zip(self.watched.examples, predictions, strict=True)
        return [
            [one.id, one.question_language, one.context_language, _answers(one, prediction)]
            for one, prediction in pairs
        ]

    def _predict(self, reader: nn.Module, windows: Windows, n_best: int) -> list[Prediction]:
        return predict(
            reader,
            windows,
            n_best=n_best,
            precision=self.precision,
            rank=self.place.rank,
            world_size=self.place.world_size,
        )


def _answers(example: Example, prediction: Prediction) -> list[list[Any]]:
    golds, language = [answer.text for answer in example.answers], example.context_language
    return [
        [
            span.text,
            span.score,
            100 * exact_match(span.text, golds, language),
            100 * f1(span.text, golds, language),
        ]
        for span in prediction.nbest[:_SHOWN]
    ]
