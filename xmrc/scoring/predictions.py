"""Predictions beside their golds. In: examples, predictions. Out: one frame, a row per example."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from xmrc.data.examples import Example
from xmrc.errors import DataError
from xmrc.scoring.metrics import exact_match, f1, normalise, squad_em, squad_f1
from xmrc.scoring.spans import AnswerSpan

QUESTION, CONTEXT = "question_language", "context_language"
PAIR = [QUESTION, CONTEXT]
KEY = ["id", *PAIR]  # an id is that of a question in all its language pairs
SCORES = ["f1", "em", "squad_f1", "squad_em"]
COLUMNS = {  # of scored examples, with their types; text is `object`, which holds every string
    **dict.fromkeys(KEY, "object"),
    **dict.fromkeys(SCORES, "float64"),  # 0 to 100; squad_*: with English articles everywhere
    "right_rank": "Int64",  # place of the first EM-right of the distinct n best, from 1; NA: none
    "answer_length": "int64",  # tokens of the first gold answer, as F1 counts them
    "windows": "Int64",  # in how many the context was read; NA: not known
}

_NO_ANSWER = AnswerSpan(text="", start=0, end=0, score=0.0)


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answers to one question over one context, best first; none is the empty answer.

    windows: in how many the context was read; None where that is not known.
    """

    id: str
    question_language: str
    context_language: str
    nbest: tuple[AnswerSpan, ...]
    windows: int | None = None

    @property
    def best(self) -> AnswerSpan:
        return self.nbest[0] if self.nbest else _NO_ANSWER

    @property
    def answer(self) -> str:
        return self.best.text

    @property
    def score(self) -> float:
        return self.best.score

    @property
    def start(self) -> int:
        return self.best.start

    @property
    def end(self) -> int:
        return self.best.end


def score_examples(examples: Sequence[Example], predictions: Iterable[Prediction]) -> pd.DataFrame:
    """The scores of each example, in the order of the examples: a row with `COLUMNS` for each.

    Raises `DataError` where an example is blind, or is not predicted exactly once.
    """
    _refuse_blind(examples)
    by_key = _by_key(predictions)
    _refuse_mismatch([_key(example) for example in examples], by_key)
    return scored_frame(_score_one(example, by_key[_key(example)]) for example in examples)


def scored_frame(rows: Iterable[Mapping[str, object]]) -> pd.DataFrame:
    """Scored examples, each a value for every one of `COLUMNS`, as a frame of their types."""
    return pd.DataFrame(list(rows), columns=list(COLUMNS), dtype="object").astype(COLUMNS)


def right_rank(texts: Iterable[str], golds: Sequence[str], language: str) -> int | None:
    """Place of the first EM-right text among the distinct ones, from 1, or None."""
    distinct = enumerate(dict.fromkeys(texts), 1)
    return next((rank for rank, text in distinct if exact_match(text, golds, language)), None)


def check_same_examples(runs: Mapping[str, pd.DataFrame]) -> None:
    """DataError unless all runs, by name, have scored the same examples against the same answers.

    Answers are known by their lengths alone.
    """
    (name, first), *others = ((name, _lengths(name, scored)) for name, scored in runs.items())
    for other, lengths in others:
        _refuse_missing(name, first, other, lengths)
        _refuse_missing(other, lengths, name, first)
        changed = sorted(first.index[first != lengths.reindex(first.index)])
        if changed:
            raise DataError(
                f"{name} and {other} must be scored against the same answers: {len(changed)} of "
                f"{len(first)} differ, the first is that of {_name(changed[0])}"
            )


_Key = tuple[str, str, str]  # the values of `KEY`


def _key(one: Example | Prediction) -> _Key:
    return one.id, one.question_language, one.context_language


def _name(key: _Key) -> str:
    return f"question {key[0]!r} in {key[1]} over a context in {key[2]}"


def _refuse_blind(examples: Sequence[Example]) -> None:
    blind = [one for one in examples if not any(answer.text for answer in one.answers)]
    if blind:
        raise DataError(
            f"{len(blind)} of {len(examples)} examples have no gold answer, the first is "
            f"{_name(_key(blind[0]))}: a blind set can be predicted but not scored"
        )


def _by_key(predictions: Iterable[Prediction]) -> dict[_Key, Prediction]:
    by_key: dict[_Key, Prediction] = {}
    for prediction in predictions:
        key = _key(prediction)
        if key in by_key:
            raise DataError(f"{_name(key)} is predicted twice; once is the rule")
        by_key[key] = prediction
    return by_key


def _refuse_mismatch(keys: Sequence[_Key], predicted: Mapping[_Key, Prediction]) -> None:
    if not keys:
        raise DataError("there are no examples to score")
    repeated = [key for key, count in Counter(keys).items() if count > 1]
    if repeated:
        raise DataError(f"{_name(repeated[0])} stands twice among the examples; once is the rule")
    missing = [key for key in keys if key not in predicted]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(keys)} examples have no prediction, the first is "
            f"{_name(missing[0])}"
        )
    unknown = predicted.keys() - set(keys)
    if unknown:
        raise DataError(
            f"{len(unknown)} predictions are of no example, the first is {_name(min(unknown))}"
        )


def _score_one(example: Example, prediction: Prediction) -> dict[str, object]:
    golds = [answer.text for answer in example.answers]
    texts = [span.text for span in prediction.nbest] or [prediction.answer]
    rank = right_rank(texts, golds, example.context_language)
    return {
        **dict(zip(KEY, _key(example), strict=True)),
        "f1": 100 * f1(prediction.answer, golds, example.context_language),
        "em": 100.0 * (rank == 1),
        "squad_f1": 100 * squad_f1(prediction.answer, golds),
        "squad_em": 100 * squad_em(prediction.answer, golds),
        "right_rank": rank,
        "answer_length": len(normalise(golds[0], example.context_language).split()),
        "windows": prediction.windows,
    }


def _lengths(name: str, scored: pd.DataFrame) -> pd.Series:
    lengths = scored.set_index(KEY)["answer_length"]
    if lengths.empty:
        raise DataError(f"{name} has no scored examples")
    repeated = lengths.index[lengths.index.duplicated()]
    if len(repeated):
        raise DataError(f"{_name(repeated[0])} stands twice in {name}; once is the rule")
    return lengths


def _refuse_missing(name: str, has: pd.Series, other: str, lengths: pd.Series) -> None:
    missing = sorted(has.index.difference(lengths.index))
    if missing:
        raise DataError(
            f"{name} and {other} must be over the same examples: {len(missing)} of the "
            f"{len(has)} of {name} are not in {other}, the first is {_name(missing[0])}"
        )
