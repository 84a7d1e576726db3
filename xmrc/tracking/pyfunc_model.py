"""The registered model, as code. In: a table of `question` and `context`. Out: a table of answers.

MLflow runs this file when it loads a model (models from code: nothing is pickled) and keeps the
reader's checkpoint beside it. Output: answer, score (0 to 1), start, end (characters of the
context), nbest (best first).
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from xmrc.learning.reader import Reader
from xmrc.seals import check_intact


class _RegisteredReader(PythonModel):
    """A reader that MLflow can load and serve."""

    def load_context(self, context: Any) -> None:
        """Open the checkpoint that was registered. DataError: it was damaged."""
        check_intact(Path(context.artifacts["reader"]))
        self._reader = Reader(context.artifacts["reader"])

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """One row of answers for each row of `model_input`."""
        predictions = self._reader.answer(
            model_input["question"].tolist(), model_input["context"].tolist()
        )
        return pd.DataFrame(
            [
                {
                    "answer": one.answer,
                    "score": one.score,
                    "start": one.start,
                    "end": one.end,
                    "nbest": [asdict(span) for span in one.nbest],
                }
                for one in predictions
            ],
            columns=["answer", "score", "start", "end", "nbest"],
        )


set_model(_RegisteredReader())
