"""Predictions beside their golds. In: examples, predictions. Out: the scores of each example."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from xmrc.data.examples import Example
from xmrc.errors import DataError
from xmrc.scoring.metrics import exact_match, f1, normalise, squad_em, squad_f1
from xmrc.scoring.spans import AnswerSpan

RANKS = 10  # of Carrino et al. 2023, table 1

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


@dataclass(frozen=True, slots=True)
class ExampleScore:
    """One prediction against its golds, each score 0 to 1.

    right_rank: place of the first EM-right answer among the distinct texts of the n best, from 1;
    None where none of them is right. answer_length: tokens of the first gold answer, as F1 counts
    them. windows: as in `Prediction`.
    """

    id: str
    question_language: str
    context_language: str
    f1: float
    em: float
    squad_f1: float
    squad_em: float
    right_rank: int | None
    answer_length: int
    windows: int | None


def score_examples(
    examples: Sequence[Example], predictions: Iterable[Prediction]
) -> list[ExampleScore]:
    """The scores of each example, in the order of the examples.

    Raises `DataError` where an example is blind, or is not predicted exactly once.
    """
    _refuse_blind(examples)
    by_key = _by_key(predictions)
    _refuse_mismatch([_key(example) for example in examples], by_key)
    return [_score_one(example, by_key[_key(example)]) for example in examples]


def rank_histogram(example_scores: Iterable[ExampleScore]) -> dict[str, list[int]]:
    """For each question language, how many first right answers stand at rank 1 to `RANKS`.

    Carrino et al. 2023 (arXiv 2309.17134), table 1; right is EM-right, ranks are of distinct texts.
    """
    counts: dict[str, Counter[int | None]] = {}
    for one in example_scores:
        counts.setdefault(one.question_language, Counter())[one.right_rank] += 1
    return {
        language: [count[rank] for rank in range(1, RANKS + 1)]
        for language, count in counts.items()
    }


def right_rank(texts: Iterable[str], golds: Sequence[str], language: str) -> int | None:
    """Place of the first EM-right text among the distinct ones, from 1, or None."""
    distinct = enumerate(dict.fromkeys(texts), 1)
    return next((rank for rank, text in distinct if exact_match(text, golds, language)), None)


def check_same_examples(runs: Mapping[str, Sequence[ExampleScore]]) -> None:
    """DataError unless all runs, by name, have scored the same examples against the same answers.

    Answers are known by their lengths alone.
    """
    (name, first), *others = ((name, _lengths(name, scores)) for name, scores in runs.items())
    for other, lengths in others:
        _refuse_missing(name, first, other, lengths)
        _refuse_missing(other, lengths, name, first)
        changed = sorted(key for key, length in first.items() if length != lengths[key])
        if changed:
            raise DataError(
                f"{name} and {other} must be scored against the same answers: {len(changed)} of "
                f"{len(first)} differ, the first is that of {_name(changed[0])}"
            )


_Key = tuple[str, str, str]  # an id is that of a question in all its language pairs


def _key(one: Example | Prediction | ExampleScore) -> _Key:
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


def _lengths(name: str, example_scores: Sequence[ExampleScore]) -> dict[_Key, int]:
    lengths = {_key(one): one.answer_length for one in example_scores}
    if not lengths:
        raise DataError(f"{name} has no scored examples")
    if len(lengths) < len(example_scores):
        key = Counter(map(_key, example_scores)).most_common(1)[0][0]
        raise DataError(f"{_name(key)} stands twice in {name}; once is the rule")
    return lengths


def _refuse_missing(
    name: str, has: Mapping[_Key, int], other: str, lengths: Mapping[_Key, int]
) -> None:
    missing = sorted(has.keys() - lengths.keys())
    if missing:
        raise DataError(
            f"{name} and {other} must be over the same examples: {len(missing)} of the "
            f"{len(has)} of {name} are not in {other}, the first is {_name(missing[0])}"
        )


def _score_one(example: Example, prediction: Prediction) -> ExampleScore:
    golds = [answer.text for answer in example.answers]
    texts = [span.text for span in prediction.nbest] or [prediction.answer]
    rank = right_rank(texts, golds, example.context_language)
    return ExampleScore(
        *_key(example),
        f1=f1(prediction.answer, golds, example.context_language),
        em=float(rank == 1),
        squad_f1=squad_f1(prediction.answer, golds),
        squad_em=squad_em(prediction.answer, golds),
        right_rank=rank,
        answer_length=len(normalise(golds[0], example.context_language).split()),
        windows=prediction.windows,
    )
