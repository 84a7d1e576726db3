"""The tables of an evaluation, read back by another library and counted anew by loops."""

import random
from collections import Counter
from statistics import fmean

import pandas as pd
import pytest

from xmrc.errors import DataError
from xmrc.scoring.evaluation_files import EXAMPLES, TABLES, read_examples, write_tables
from xmrc.scoring.gxlt import summarise, with_means
from xmrc.scoring.predictions import COLUMNS, scored_frame
from xmrc.scoring.score_tables import rank_histogram


def random_scores(windows=(1, 2, 3)):
    generator = random.Random(4)
    return [
        {
            "id": f"q{number}",
            "question_language": question,
            "context_language": context,
            "f1": 100 * generator.random(),
            "em": 100.0 * (generator.random() < 0.5),
            "squad_f1": 100 * generator.random(),
            "squad_em": 100.0 * (generator.random() < 0.5),
            "right_rank": generator.choice([None, 1, 2, 7, 15]),
            "answer_length": generator.choice([0, 1, 2, 3, 5, 8, 9, 16, 17, 90]),
            "windows": generator.choice(windows),
        }
        for question in ("zh", "en", "ar")
        for context in ("zh", "en")
        for number in range(generator.randint(5, 40))
    ]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder, scores = tmp_path_factory.mktemp("evaluation"), random_scores()
    write_tables(folder, scored_frame(scores))
    return folder, scores


def test_every_table_is_there_and_nothing_else(written):
    folder, _ = written
    assert sorted(path.name for path in folder.iterdir()) == sorted(TABLES)


def test_examples_come_back(written):
    """To the last bit, and in the types of those that were written."""
    folder, scores = written
    pd.testing.assert_frame_equal(
        read_examples(folder / EXAMPLES), scored_frame(scores), check_exact=True
    )


def test_examples_are_a_table_for_others_with_scores_up_to_100(written):
    folder, scores = written
    table = pd.read_parquet(folder / EXAMPLES)
    assert list(table.columns) == list(scores[0])
    assert table["f1"].tolist() == [one["f1"] for one in scores]
    assert table["right_rank"].isna().sum() == sum(one["right_rank"] is None for one in scores)
    by_pair = table.groupby(["question_language", "context_language"], observed=True)
    assert by_pair["f1"].mean().mean() == pytest.approx(
        summarise(scored_frame(scores)).metrics["gxlt_f1"]
    )


def test_pairs(written):
    folder, scores = written
    table = pd.read_csv(folder / "pairs.csv")
    summary = summarise(scored_frame(scores))
    by_pair = {}
    for one in scores:
        pair = one["question_language"], one["context_language"]
        by_pair.setdefault(pair, []).append(one)
    names = zip(table["question_language"], table["context_language"], strict=True)
    assert list(names) == list(by_pair)
    assert list(table["n"]) == [len(group) for group in by_pair.values()]
    for name in ("f1", "em", "squad_f1", "squad_em"):
        means = [fmean(one[name] for one in group) for group in by_pair.values()]
        assert list(table[name]) == pytest.approx(means)
    micro = {
        f"top_{k}": (table[f"top_{k}"] * table["n"]).sum() / len(scores) for k in (1, 3, 5, 10)
    }
    for k in (1, 3, 5, 10):
        assert micro[f"top_{k}"] == pytest.approx(summary.metrics[f"topk_em_{k}"])
    found = 100 * fmean(one["right_rank"] is not None for one in scores)
    assert (table["top_n"] * table["n"]).sum() / len(scores) == pytest.approx(found)
    assert set(table["gap"]) <= {"recall-limited", "ranking-limited", "no gap"}


def test_languages_are_the_margins_of_the_gxlt_table(written):
    folder, scores = written
    table = pd.read_csv(folder / "languages.csv").set_index(["side", "language"])
    for metric in ("f1", "em"):
        means = with_means(summarise(scored_frame(scores)).matrix(metric))
        rows = means["mean"].drop("mean").to_dict()
        columns = means.loc["mean"].drop("mean").to_dict()
        assert table.loc["question"][metric].to_dict() == pytest.approx(rows)
        assert table.loc["context"][metric].to_dict() == pytest.approx(columns)
    assert table.loc["question"]["pairs"].to_dict() == {"zh": 2, "en": 2, "ar": 2}
    assert table.loc["context"]["n"].sum() == len(scores)


def test_ranks(written):
    folder, scores = written
    table = pd.read_csv(folder / "ranks.csv")
    assert list(table) == ["question_language", "rank", "count"]
    names = zip(table["question_language"], table["rank"], strict=True)
    expected = Counter((one["question_language"], one["right_rank"]) for one in scores)
    assert dict(zip(names, table["count"], strict=True)) == {
        (language, rank): expected[language, rank]
        for language in ("zh", "en", "ar")
        for rank in range(1, 11)
    }
    assert table["count"].sum() == rank_histogram(scored_frame(scores)).to_numpy().sum()


def test_lengths_and_windows(written):
    folder, scores = written
    lengths = pd.read_csv(folder / "lengths.csv", dtype={"tokens": str})
    expected = {
        "0-1": {0, 1},
        "2": {2},
        "3-4": {3},
        "5-8": {5, 8},
        "9-16": {9, 16},
        "17+": {17, 90},
    }
    windows = pd.read_csv(folder / "windows.csv")
    for language in ("zh", "en"):
        rows = lengths[lengths["context_language"] == language].set_index("tokens")
        assert list(rows.index) == list(expected)
        for tokens, these in expected.items():
            group = [
                one
                for one in scores
                if one["context_language"] == language and one["answer_length"] in these
            ]
            assert rows.loc[tokens, "n"] == len(group)
            assert rows.loc[tokens, "f1"] == pytest.approx(fmean(one["f1"] for one in group))
        rows = windows[windows["context_language"] == language]
        count = Counter(one["windows"] for one in scores if one["context_language"] == language)
        assert dict(zip(rows["windows"], rows["n"], strict=True)) == count
        assert rows["windows"].is_monotonic_increasing


def test_windows_that_are_not_known_have_no_table(tmp_path):
    write_tables(tmp_path, scored_frame(random_scores(windows=(1, None))))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({*TABLES} - {"windows.csv"})
    read = read_examples(tmp_path / EXAMPLES)
    assert dict(read.dtypes.astype(str)) == COLUMNS
    assert set(read["windows"].dropna()) == {1}
    assert read["windows"].isna().any()


def test_what_is_no_table_of_ours_is_refused(tmp_path):
    path = tmp_path / "examples.parquet"
    with pytest.raises(DataError, match=r"examples\.parquet: must be a table of example scores"):
        read_examples(path)
    path.write_text("no parquet")
    with pytest.raises(DataError, match="must be a table of example scores") as caught:
        read_examples(path)
    assert "\n" not in str(caught.value)
    pd.DataFrame({"id": ["q"], "f1": [1.0]}).to_parquet(path)
    with pytest.raises(DataError, match=r"must have the columns id, .*, not id, f1"):
        read_examples(path)
