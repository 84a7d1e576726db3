"""Comparisons against SciPy, a bootstrap written as loops, and cases worked by hand."""

from statistics import fmean

import numpy as np
import pandas as pd
import pytest
from gxlt_scores import column_of, gxlt_scores, scored_row
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from xmrc.errors import DataError
from xmrc.scoring.gxlt import summarise, with_means
from xmrc.scoring.predictions import scored_frame
from xmrc.scoring.statistics import compare_examples, compare_seeds, holm

SLOW_RESAMPLES = 4_000


def scored(id, pair, f1):
    """The row of an example; `f1` is 0 to 1, in the frame 0 to 100."""
    return scored_row(id, pair, 100 * f1, 100.0 * (f1 == 1))


def random_runs(seed, *, ids=40, gain=0.05, share=0.7, languages=("en", "de", "zh")):
    """Two readers over questions that lack some pairs, as MLQA's do; hard questions are hard."""
    generator = np.random.default_rng(seed)
    first, second = [], []
    for number in range(ids):
        ease = generator.normal(0.5, 0.2)
        for question in languages:
            for context in languages:
                if generator.random() < share:
                    f1 = np.clip(ease + generator.normal([0, gain], 0.2), 0, 1).round(2)
                    pair = f"{question}-{context}"
                    first.append(scored(f"q{number}", pair, float(f1[0])))
                    second.append(scored(f"q{number}", pair, float(f1[1])))
    return scored_frame(first), scored_frame(second)


def rows_of(comparison, scope, metric):
    """Its differences, with their values as attributes."""
    return list(comparison.of(scope, metric).itertuples())


def slow_bootstrap(first, second, metric, keep, *, resamples, seed):
    """The interval of the macro mean's difference: ids drawn one by one, means taken anew."""
    both = zip(first.to_dict("records"), second.to_dict("records"), strict=True)
    changes = [
        (one["id"], one["question_language"], one["context_language"], other[metric] - one[metric])
        for one, other in both
    ]
    kept = [(id, pair, change) for id, *pair, change in changes if keep(*pair)]
    by_id = {}
    for id, pair, change in kept:
        by_id.setdefault(id, []).append((pair, change))
    ids, generator, means = list(by_id), np.random.default_rng(seed), []
    for _ in range(resamples):
        changes = {}
        for row in generator.integers(0, len(ids), len(ids)):
            for pair, change in by_id[ids[row]]:
                changes.setdefault(tuple(pair), []).append(change)
        means.append(fmean(fmean(values) for values in changes.values()))
    return np.percentile(means, [2.5, 97.5])


@pytest.mark.parametrize("metric", ["f1", "em"])
@pytest.mark.parametrize(
    ("scope", "name", "keep"),
    [
        ("gxlt", "", lambda question, context: True),
        ("xlt", "", lambda question, context: question == context),
        ("context", "de", lambda question, context: context == "de"),
        ("question", "zh", lambda question, context: question == "zh"),
        ("pair", "en-zh", lambda question, context: (question, context) == ("en", "zh")),
    ],
)
def test_intervals_are_those_of_a_bootstrap_over_question_ids(metric, scope, name, keep):
    first, second = random_runs(1)
    low, high = slow_bootstrap(first, second, metric, keep, resamples=SLOW_RESAMPLES, seed=5)
    comparison = compare_examples(first, second)
    (found,) = [one for one in rows_of(comparison, scope, metric) if one.name == name]
    error = 0.1 * (high - low)  # of percentiles of a few thousand resamples
    assert found.low == pytest.approx(low, abs=error)
    assert found.high == pytest.approx(high, abs=error)


def test_means_and_differences_are_those_of_the_gxlt_table():
    first, second = random_runs(2)
    comparison = compare_examples(first, second, resamples=10)
    before, after = summarise(first), summarise(second)
    for metric in ("f1", "em"):
        for scope in ("gxlt", "xlt"):
            (one,) = rows_of(comparison, scope, metric)
            assert one.first == pytest.approx(before.metrics[f"{scope}_{metric}"])
            assert one.second == pytest.approx(after.metrics[f"{scope}_{metric}"])
            assert one.difference == pytest.approx(one.second - one.first)
        means = with_means(after.matrix(metric))
        rows = means["mean"].drop("mean").to_dict()
        columns = means.loc["mean"].drop("mean").to_dict()
        for scope, expected in (("question", rows), ("context", columns)):
            found = {one.name: one.second for one in rows_of(comparison, scope, metric)}
            assert found == pytest.approx(expected)
        cells = {one.name: one.second for one in rows_of(comparison, "pair", metric)}
        assert cells == pytest.approx(column_of(after, metric))


def test_a_pair_is_tested_with_the_paired_t_test_of_its_examples():
    first, second = random_runs(3)
    comparison = compare_examples(first, second, resamples=10)
    for one in rows_of(comparison, "pair", "f1"):
        names = first["question_language"] + "-" + first["context_language"]
        sides = [side["f1"][names == one.name].tolist() for side in (first, second)]
        assert one.p == pytest.approx(stats.ttest_rel(*sides).pvalue)
    p_values = [one.p for one in rows_of(comparison, "pair", "f1")]
    corrected = [one.p_holm for one in rows_of(comparison, "pair", "f1")]
    assert corrected == pytest.approx(holm(p_values).tolist())
    pairs = [one.difference for one in rows_of(comparison, "pair", "f1")]
    assert comparison.wilcoxon["f1"] == pytest.approx(stats.wilcoxon(pairs).pvalue)


def test_without_missing_pairs_the_macro_test_is_that_of_the_ids_means():
    first, second = random_runs(4, share=2)
    (found,) = rows_of(compare_examples(first, second, resamples=10), "gxlt", "f1")
    changes = {}
    for id, before, after in zip(first["id"], first["f1"], second["f1"], strict=True):
        changes.setdefault(id, []).append(after - before)
    means = [fmean(values) for values in changes.values()]
    assert found.p == pytest.approx(stats.ttest_1samp(means, 0).pvalue)


def test_the_pairs_of_a_question_are_no_evidence_of_their_own():
    """The same changes in every pair are as sure as in one of them."""
    changes = np.random.default_rng(0).normal(0.03, 0.1, 60)
    languages = ("en", "de", "ar", "zh")
    pairs = [f"{question}-{context}" for question in languages for context in languages]

    def runs(names):
        first = [scored(f"q{row}", pair, 0.5) for row in range(60) for pair in names]
        second = [
            scored(f"q{row}", pair, 0.5 + changes[row]) for row in range(60) for pair in names
        ]
        comparison = compare_examples(scored_frame(first), scored_frame(second))
        return rows_of(comparison, "gxlt", "f1")[0]

    one, many = runs(pairs[:1]), runs(pairs)
    assert (many.low, many.high, many.p) == pytest.approx((one.low, one.high, one.p))


def test_the_order_of_examples_changes_nothing():
    first, second = random_runs(5)
    expected = compare_examples(first, second, resamples=500)
    again = compare_examples(first[::-1], second, resamples=500)
    pd.testing.assert_frame_equal(again.differences, expected.differences, check_exact=True)
    assert again.wilcoxon == expected.wilcoxon
    other = compare_examples(first, second, resamples=500, seed=1)
    assert not other.differences["low"].equals(expected.differences["low"])


def test_swapping_the_sides_turns_every_sign():
    first, second = random_runs(6)
    for one, other in zip(
        compare_examples(first, second, resamples=500).differences.itertuples(),
        compare_examples(second, first, resamples=500).differences.itertuples(),
        strict=True,
    ):
        assert other.difference == pytest.approx(-one.difference)
        assert (other.low, other.high) == pytest.approx((-one.high, -one.low))
        assert other.p == pytest.approx(one.p)


def test_a_reader_is_as_good_as_itself():
    first, _ = random_runs(7)
    comparison = compare_examples(first, first, resamples=100)
    for one in comparison.differences.itertuples():
        assert (one.difference, one.low, one.high, one.p, one.p_holm) == (0, 0, 0, 1, 1)
        assert not one.significant
    assert comparison.wilcoxon == {"f1": 1, "em": 1}


def test_a_change_without_spread_is_tested_by_its_sign():
    """Six questions that all turn right: by the sign test 2 / 2^6, however large a t would be."""
    first = [scored(f"q{row}", "en-de", 0.0) for row in range(6)]
    second = [scored(f"q{row}", "en-de", 1.0) for row in range(6)]
    comparison = compare_examples(scored_frame(first), scored_frame(second))
    (found,) = rows_of(comparison, "gxlt", "em")
    assert (found.low, found.high) == (100, 100)
    assert found.p == pytest.approx(2 / 2**6)


def test_no_interval_from_one_question():
    first = [scored("q1", "en-de", 0.5), scored("q2", "en-en", 0.5), scored("q3", "en-en", 0.1)]
    second = [scored("q1", "en-de", 0.7), scored("q2", "en-en", 0.6), scored("q3", "en-en", 0.4)]
    comparison = compare_examples(scored_frame(first), scored_frame(second))
    found = {one.name: one for one in rows_of(comparison, "pair", "f1")}
    assert np.isnan([found["en-de"].low, found["en-de"].high]).all()
    assert found["en-de"].p == 1
    assert np.isfinite([found["en-en"].low, found["en-en"].high]).all()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(2, 12), st.floats(0.2, 1))
def test_an_interval_is_within_the_changes_and_a_p_value_is_one(seed, ids, share):
    first, second = random_runs(seed, ids=ids, share=share, languages=("en", "de"))
    if first["id"].nunique() < 2:
        return
    changes = second["f1"] - first["f1"]
    for one in compare_examples(first, second, resamples=50).differences.itertuples():
        assert 0 <= one.p <= one.p_holm <= 1
        assert np.isnan(one.low) or one.low <= one.high
        if one.metric == "f1" and not np.isnan(one.low):
            assert min(changes) - 1e-9 <= one.low <= one.high <= max(changes) + 1e-9


@pytest.mark.studies
def test_intervals_cover_and_tests_err_as_often_as_they_say():
    """150 comparisons of equal readers: 95 % of the intervals hold 0, 5 % of the tests err."""
    found = []
    for seed in range(150):
        first, second = random_runs(seed, gain=0, languages=("en", "de"))
        found += rows_of(compare_examples(first, second, resamples=300), "gxlt", "f1")
    outside = [not one.low <= 0 <= one.high for one in found]
    assert 0.01 <= fmean(outside) <= 0.1  # 0.05, and almost three standard errors
    assert 0.01 <= fmean(one.p < 0.05 for one in found) <= 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:-1], r"1 of the \d+ of the first run are not in the second run"),
        (
            lambda rows: [*rows, scored("new", "en-en", 1.0)],
            "of the second run are not in the first",
        ),
        (lambda rows: [*rows, rows[0]], "stands twice in the second run"),
        (
            lambda rows: [*rows[:-1], {**rows[-1], "answer_length": 9}],
            r"same answers: 1 of \d+ differ, the first is that of question 'q39' in zh over",
        ),
        (lambda rows: [], "the second run has no scored examples"),
    ],
)
def test_other_examples_are_refused(change, message):
    first, second = random_runs(8, share=2)
    with pytest.raises(DataError, match=message) as caught:
        compare_examples(first, scored_frame(change(second.to_dict("records"))))
    assert "\n" not in str(caught.value)


def test_one_question_is_no_sample():
    one = scored_frame([scored("q", "en-en", 1.0), scored("q", "en-de", 1.0)])
    with pytest.raises(DataError, match="at least 2 question ids, got 1"):
        compare_examples(one, one)


def table(seed, *, mean=60.0, spread=1.0, languages=("en", "de")):
    """The scores of one seed."""
    generator = np.random.default_rng(seed)
    return gxlt_scores(
        {
            f"{question}-{context}": (*generator.normal([mean, mean - 15], spread), 7)
            for question in languages
            for context in languages
        }
    )


def test_seeds_are_the_unit_of_groups():
    first = [table(seed) for seed in range(5)]
    second = [table(seed, mean=61, spread=2) for seed in range(10, 17)]
    comparison = compare_seeds(first, second)
    assert (comparison.unit, comparison.units) == ("seeds", (5, 7))

    def means(side, names, metric):
        return [fmean(column_of(one, metric)[name] for name in names) for one in side]

    for metric in ("f1", "em"):
        for scope, name, names in (
            ("gxlt", "", ["en-en", "en-de", "de-en", "de-de"]),
            ("xlt", "", ["en-en", "de-de"]),
            ("question", "de", ["de-en", "de-de"]),
            ("context", "de", ["en-de", "de-de"]),
            ("pair", "de-en", ["de-en"]),
        ):
            (found,) = [one for one in rows_of(comparison, scope, metric) if one.name == name]
            before, after = means(first, names, metric), means(second, names, metric)
            test = stats.ttest_ind(after, before, equal_var=False)
            assert found.difference == pytest.approx(fmean(after) - fmean(before))
            assert found.p == pytest.approx(test.pvalue)
            low, high = test.confidence_interval(0.95)
            assert (found.low, found.high) == pytest.approx((low, high))
        family = rows_of(comparison, "context", metric)
        corrected = holm([one.p for one in family]).tolist()
        assert [one.p_holm for one in family] == pytest.approx(corrected)


def test_seeds_without_spread():
    same, better = table(0, spread=0), table(0, mean=61, spread=0)
    assert {one.p for one in compare_seeds([same] * 3, [same] * 3).differences.itertuples()} == {1}
    assert {one.p for one in compare_seeds([same] * 3, [better] * 3).differences.itertuples()} == {
        0
    }


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([table(0)], [table(1), table(2)], "the first group must have at least 2 seeds, got 1"),
        ([table(0), table(1)], [], "the second group must have at least 2 seeds, got 0"),
        ([table(0)] * 2, [table(0, languages=("en", "zh"))] * 2, "of the pair de-de one has 7"),
    ],
)
def test_groups_that_cannot_be_compared_are_refused(first, second, message):
    with pytest.raises(DataError, match=message):
        compare_seeds(first, second)


def test_holm_worked_by_hand():
    # 4 x 0.01, 3 x 0.02, 2 x 0.03 (no less than the one before), 1 x 0.9
    assert holm([0.03, 0.01, 0.9, 0.02]).tolist() == pytest.approx([0.06, 0.04, 0.9, 0.06])
    assert holm([0.5, 0.6]).tolist() == [1, 1]
    assert holm([]).tolist() == []


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0.001, 0.999))
def test_holm_rejects_as_its_steps_say(p_values, alpha):
    rejected, rest = set(), sorted(range(len(p_values)), key=lambda k: p_values[k])
    for step, k in enumerate(rest):
        if p_values[k] * (len(p_values) - step) >= alpha:
            break
        rejected.add(k)
    assert {k for k, p in enumerate(holm(p_values)) if p < alpha} == rejected
