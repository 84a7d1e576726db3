"""The G-XLT table and its means against a small case worked by hand, and loops over random ones."""

import random
from collections import defaultdict
from dataclasses import replace
from statistics import fmean

import pandas as pd
import pytest
from gxlt_scores import column_of

from xmrc.data.corpora import load_corpus
from xmrc.data.examples import Answer, Example
from xmrc.errors import DataError
from xmrc.scoring.gxlt import score, summarise, with_means
from xmrc.scoring.metrics import exact_match, f1, squad_em, squad_f1
from xmrc.scoring.predictions import COLUMNS, Prediction, right_rank, score_examples
from xmrc.scoring.score_tables import rank_histogram
from xmrc.scoring.spans import AnswerSpan


def example(pair, *golds, id="q1"):
    question, context = pair.split("-")
    answers = tuple(Answer(gold, 0) for gold in golds)
    return Example(id, "?", "context", answers, question, context)


def prediction(pair, *texts, id="q1"):
    question, context = pair.split("-")
    spans = tuple(AnswerSpan(text, 0, len(text), 1 / len(texts)) for text in texts)
    return Prediction(id, question, context, spans)


EXAMPLES = [
    example("en-en", "blue sky"),
    example("en-en", "red", id="q2"),
    example("en-de", "der Himmel"),
    example("de-en", "blue sky"),
    example("de-de", "Himmel", "blau"),
]
PREDICTIONS = [
    prediction("en-en", "sky", "sky", "the blue sky"),  # F1 2/3; right is the second text
    prediction("en-en", "red", id="q2"),  # right
    prediction("en-de", "die Himmel", "Himmel"),  # right, but not with English articles
    prediction("de-en"),  # no answer: wrong
    prediction("de-de", "x", "y", "z", "blau"),  # F1 0; right is the fourth text
]


def test_metrics_worked_by_hand():
    scores = score(EXAMPLES, PREDICTIONS)
    pairs_f1 = {"en-en": 250 / 3, "en-de": 100, "de-en": 0, "de-de": 0}
    assert column_of(scores, "f1") == pytest.approx(pairs_f1)
    assert column_of(scores, "em") == pytest.approx(
        {"en-en": 50, "en-de": 100, "de-en": 0, "de-de": 0}
    )
    assert column_of(scores, "squad_f1") == pytest.approx({**pairs_f1, "en-de": 50})
    assert column_of(scores, "n") == {"en-en": 2, "en-de": 1, "de-en": 1, "de-de": 1}
    assert scores.metrics == pytest.approx(
        {
            "gxlt_f1": (250 / 3 + 100) / 4,
            "gxlt_em": 150 / 4,
            "gxlt_squad_f1": (250 / 3 + 50) / 4,
            "gxlt_squad_em": 50 / 4,
            "gxlt_cross_f1": 50,
            "gxlt_cross_em": 50,
            "gxlt_micro_f1": (200 / 3 + 100 + 100) / 5,
            "gxlt_micro_em": 40,
            "xlt_f1": 250 / 6,
            "xlt_em": 25,
            "xlt_squad_f1": 250 / 6,
            "xlt_squad_em": 25,
            "topk_em_1": 40,
            "topk_em_3": 60,
            "topk_em_5": 80,
            "topk_em_10": 80,
        }
    )


def test_matrix_has_questions_as_rows():
    scores = score(EXAMPLES, PREDICTIONS)
    matrix = scores.matrix("f1")
    assert (list(matrix.index), list(matrix)) == (["en", "de"], ["en", "de"])
    assert matrix.loc["en"].tolist() == pytest.approx([250 / 3, 100])
    assert matrix.loc["de"].tolist() == [0, 0]
    assert scores.matrix("em").to_numpy().tolist() == [[50, 100], [0, 0]]


def test_pairs_that_are_not_there_are_nan_and_in_no_mean():
    examples = [example("en-de", "x"), example("de-zh", "x"), example("de-en", "x")]
    matrix = score(
        examples, [prediction("en-de", "x"), prediction("de-zh", "y"), prediction("de-en", "x")]
    ).matrix("em")
    assert list(matrix.index) == ["en", "de"]
    assert list(matrix) == ["en", "de", "zh"]  # those of the rows first, in their order
    nan = float("nan")
    assert matrix.to_numpy().tolist() == [
        pytest.approx([nan, 100, nan], nan_ok=True),
        pytest.approx([100, nan, 0], nan_ok=True),
    ]
    means = with_means(matrix)
    assert means["mean"].tolist() == pytest.approx([100, 50, 200 / 3])
    assert means.loc["mean"].tolist() == pytest.approx([100, 100, 0, 200 / 3])
    absent = with_means(matrix.loc[["en"]])
    assert absent["en"].isna().all()
    assert absent.loc["mean", "mean"] == 100


def test_a_frame_has_a_row_for_each_example_in_their_order():
    scored = score_examples(EXAMPLES, PREDICTIONS[::-1])
    assert dict(scored.dtypes.astype(str)) == COLUMNS
    assert scored["id"].tolist() == ["q1", "q2", "q1", "q1", "q1"]
    assert scored["context_language"].tolist() == ["en", "en", "de", "en", "de"]
    assert scored["f1"].tolist() == pytest.approx([200 / 3, 100, 100, 0, 0])
    assert scored["em"].tolist() == [0, 100, 100, 0, 0]
    assert scored["squad_f1"].tolist() == pytest.approx([200 / 3, 100, 50, 0, 0])
    assert scored["squad_em"].tolist() == [0, 100, 0, 0, 0]
    assert scored["right_rank"].fillna(0).tolist() == [2, 1, 1, 0, 4]


def test_metrics_without_pairs_are_left_out():
    same = score([example("en-en", "x")], [prediction("en-en", "x")]).metrics
    assert not [name for name in same if name.startswith("gxlt_cross")]
    assert same["xlt_f1"] == same["gxlt_f1"] == 100
    cross = score([example("en-de", "x")], [prediction("en-de", "x")]).metrics
    assert not [name for name in cross if name.startswith("xlt")]
    assert cross["gxlt_cross_em"] == 100


def test_rank_histogram_by_question_language():
    histogram = rank_histogram(score_examples(EXAMPLES, PREDICTIONS))
    assert list(histogram) == list(range(1, 11))
    assert list(histogram.index) == ["en", "de"]
    assert histogram.to_numpy().tolist() == [[2, 1, *[0] * 8], [0, 0, 0, 1, *[0] * 6]]


def test_right_rank_counts_distinct_texts():
    assert right_rank(["a1", "a1", "b1", "c1"], ["the C1"], "en") == 3
    assert right_rank([f"w{i}" for i in range(1, 12)], ["w11"], "en") == 11
    assert right_rank([f"w{i}" for i in range(1, 12)], ["w12"], "en") is None
    assert right_rank([], ["x"], "en") is None


def test_a_rank_after_the_tenth_is_in_no_histogram_and_no_top_k():
    texts = [f"w{i}" for i in range(1, 12)]
    scores = score_examples([example("en-en", "w11")], [prediction("en-en", *texts)])
    assert rank_histogram(scores).loc["en"].tolist() == [0] * 10
    assert summarise(scores).metrics["topk_em_10"] == 0


def test_length_of_the_first_gold_in_the_tokens_of_f1():
    examples = [example("en-en", "The blue sky", "x"), example("en-zh", "三百30")]
    predictions = [
        prediction("en-en", "x"),
        replace(prediction("en-zh", "y"), windows=3),
    ]
    scores = score_examples(examples, predictions)
    assert scores["answer_length"].tolist() == [2, 3]
    assert scores["windows"].isna().tolist() == [True, False]
    assert scores["windows"][1] == 3


def test_an_empty_answer_is_right_where_the_gold_is_an_article():
    scores = score([example("en-en", "The")], [prediction("en-en")])
    assert (scores.metrics["xlt_em"], scores.metrics["xlt_f1"]) == (100, 0)
    assert scores.metrics["topk_em_1"] == 100


def test_best_of_a_prediction():
    best = prediction("en-de", "first", "second")
    assert (best.answer, best.start, best.end, best.score) == ("first", 0, 5, 0.5)
    none = prediction("en-de")
    assert (none.answer, none.start, none.end, none.score) == ("", 0, 0, 0.0)


def test_no_result_depends_on_the_order():
    generator = random.Random(3)
    examples, predictions = random_case(generator)
    expected = score(examples, predictions)
    shuffled = generator.sample(examples, len(examples))
    again = score(shuffled, generator.sample(predictions, len(predictions)))
    assert again.metrics == expected.metrics  # to the last bit
    for name in ("n", "f1", "em", "squad_f1", "squad_em"):
        assert column_of(again, name) == column_of(expected, name)


def random_case(generator):
    words = ["the", "a", "das", "blau", "x", "y", "中", "ال"]
    languages = ["en", "de", "ar", "zh"]

    def text():
        return " ".join(generator.choices(words, k=generator.randint(1, 4)))

    examples, predictions = [], []
    for question in languages:
        for context in languages:
            for i in range(generator.randint(1, 7)):
                pair, id = f"{question}-{context}", f"q{i}"
                examples.append(example(pair, text(), text(), id=id))
                predictions.append(prediction(pair, *(text() for _ in range(14)), id=id))
    return examples, predictions


def test_means_equal_loops():
    examples, predictions = random_case(random.Random(11))
    rows = defaultdict(list)
    for one, guess in zip(examples, predictions, strict=True):
        golds = [answer.text for answer in one.answers]
        distinct = list(dict.fromkeys(span.text for span in guess.nbest))
        language = one.context_language
        rows[one.question_language, language].append(
            {
                "f1": f1(guess.answer, golds, language),
                "em": exact_match(guess.answer, golds, language),
                "squad_f1": squad_f1(guess.answer, golds),
                "squad_em": squad_em(guess.answer, golds),
                **{
                    f"top{k}": any(exact_match(text, golds, language) for text in distinct[:k])
                    for k in (1, 3, 5, 10)
                },
            }
        )
    metrics = score(examples, predictions).metrics

    def mean(pairs, value):
        return 100 * fmean(fmean(row[value] for row in rows[pair]) for pair in pairs)

    everything = [row for group in rows.values() for row in group]
    for value in ("f1", "em", "squad_f1", "squad_em"):
        assert metrics[f"gxlt_{value}"] == pytest.approx(mean(rows, value))
        diagonal = [pair for pair in rows if pair[0] == pair[1]]
        assert metrics[f"xlt_{value}"] == pytest.approx(mean(diagonal, value))
    for value in ("f1", "em"):
        cross = [pair for pair in rows if pair[0] != pair[1]]
        assert metrics[f"gxlt_cross_{value}"] == pytest.approx(mean(cross, value))
        micro = 100 * fmean(row[value] for row in everything)
        assert metrics[f"gxlt_micro_{value}"] == pytest.approx(micro)
    for k in (1, 3, 5, 10):
        within = 100 * fmean(row[f"top{k}"] for row in everything)
        assert metrics[f"topk_em_{k}"] == pytest.approx(within)


def test_scores_of_shards_together_are_those_of_the_whole():
    examples, predictions = random_case(random.Random(2))
    together = pd.concat([score_examples(examples[i::3], predictions[i::3]) for i in range(3)])
    assert summarise(together).metrics == score(examples, predictions).metrics


@pytest.mark.parametrize(
    ("examples", "predictions", "message"),
    [
        ([], [], "no examples"),
        ([example("en-de", "x"), example("en-en", "")], [], r"1 of 2 .* 'q1' in en .* blind"),
        ([example("en-de")], [prediction("en-de", "x")], "blind set can be predicted but not"),
        (EXAMPLES, PREDICTIONS[1:], r"1 of 5 examples have no prediction.*'q1' in en .* in en"),
        (
            EXAMPLES,
            [*PREDICTIONS, PREDICTIONS[2]],
            r"'q1' in en .* context in de is predicted twice",
        ),
        (EXAMPLES, [*PREDICTIONS, prediction("fr-de", "x")], r"1 predictions .* 'q1' in fr"),
        ([*EXAMPLES, EXAMPLES[0]], PREDICTIONS, r"'q1' in en .* twice among the examples"),
    ],
)
def test_what_cannot_be_scored_is_refused(examples, predictions, message):
    with pytest.raises(DataError, match=message) as caught:
        score(examples, predictions)
    assert "\n" not in str(caught.value)


def test_real_golds_score_100_but_for_answers_of_articles_alone(real_data):
    examples = load_corpus("mlqa/dev", root=real_data, languages=None, limit=None).examples
    predictions = [
        Prediction(
            one.id,
            one.question_language,
            one.context_language,
            (AnswerSpan(one.answers[0].text, 0, 1, 1.0),),
        )
        for one in examples
    ]
    scores = score(examples, predictions)
    assert len(examples) == scores.pairs["n"].sum() == 15_747
    assert len(scores.pairs) == 49
    assert {name: value for name, value in scores.metrics.items() if "em" in name} == {
        name: 100.0 for name in scores.metrics if "em" in name
    }
    assert scores.metrics["gxlt_f1"] == pytest.approx(100, abs=0.05)
