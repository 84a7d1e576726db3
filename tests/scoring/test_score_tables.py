"""The tables of an evaluation, read back by another library and counted anew by loops."""

import random
from collections import Counter
from statistics import fmean

import pandas as pd
import pytest

from xmrc.errors import DataError
from xmrc.scoring.gxlt import summarise
from xmrc.scoring.predictions import ExampleScore, rank_histogram
from xmrc.scoring.score_tables import EXAMPLES, TABLES, read_examples, write_tables


def random_scores(windows=(1, 2, 3)):
    generator = random.Random(4)
    return [
        ExampleScore(
            id=f"q{number}",
            question_language=question,
            context_language=context,
            f1=generator.random(),
            em=float(generator.random() < 0.5),
            squad_f1=generator.random(),
            squad_em=float(generator.random() < 0.5),
            right_rank=generator.choice([None, 1, 2, 7, 15]),
            answer_length=generator.choice([0, 1, 2, 3, 5, 8, 9, 16, 17, 90]),
            windows=generator.choice(windows),
        )
        for question in ("zh", "en", "ar")
        for context in ("zh", "en")
        for number in range(generator.randint(5, 40))
    ]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder, scores = tmp_path_factory.mktemp("evaluation"), random_scores()
    write_tables(folder, scores)
    return folder, scores


def test_every_table_is_there_and_nothing_else(written):
    folder, _ = written
    assert sorted(path.name for path in folder.iterdir()) == sorted(TABLES)


def test_examples_come_back(written):
    folder, scores = written
    for before, after in zip(scores, read_examples(folder / EXAMPLES), strict=True):
        for name in ExampleScore.__slots__:
            expected = getattr(before, name)
            if isinstance(expected, float):
                expected = pytest.approx(expected)
            assert getattr(after, name) == expected


def test_examples_are_a_table_for_others_with_scores_up_to_100(written):
    folder, scores = written
    table = pd.read_parquet(folder / EXAMPLES)
    assert list(table.columns) == list(ExampleScore.__slots__)
    assert table["f1"].tolist() == pytest.approx([100 * one.f1 for one in scores])
    assert table["right_rank"].isna().sum() == sum(one.right_rank is None for one in scores)
    by_pair = table.groupby(["question_language", "context_language"], observed=True)
    assert by_pair["f1"].mean().mean() == pytest.approx(summarise(scores).metrics["gxlt_f1"])


def test_pairs(written):
    folder, scores = written
    table = pd.read_csv(folder / "pairs.csv")
    summary = summarise(scores)
    names = table["question_language"] + "-" + table["context_language"]
    assert list(names) == list(summary.pairs)
    assert list(table["n"]) == [pair.n for pair in summary.pairs.values()]
    assert list(table["f1"]) == pytest.approx([pair.f1 for pair in summary.pairs.values()])
    micro = {
        f"top_{k}": (table[f"top_{k}"] * table["n"]).sum() / len(scores) for k in (1, 3, 5, 10)
    }
    for k in (1, 3, 5, 10):
        assert micro[f"top_{k}"] == pytest.approx(summary.metrics[f"topk_em_{k}"])
    found = 100 * fmean(one.right_rank is not None for one in scores)
    assert (table["top_n"] * table["n"]).sum() / len(scores) == pytest.approx(found)
    assert set(table["gap"]) <= {"recall-limited", "ranking-limited", "no gap"}


def test_languages_are_the_margins_of_the_gxlt_table(written):
    folder, scores = written
    table = pd.read_csv(folder / "languages.csv").set_index(["side", "language"])
    for metric in ("f1", "em"):
        matrix = summarise(scores).matrix(metric)
        rows = dict(zip(matrix.question_languages, matrix.row_means, strict=True))
        columns = dict(zip(matrix.context_languages, matrix.column_means, strict=True))
        assert table.loc["question"][metric].to_dict() == pytest.approx(rows)
        assert table.loc["context"][metric].to_dict() == pytest.approx(columns)
    assert table.loc["question"]["pairs"].to_dict() == {"zh": 2, "en": 2, "ar": 2}
    assert table.loc["context"]["n"].sum() == len(scores)


def test_ranks(written):
    folder, scores = written
    table = pd.read_csv(folder / "ranks.csv")
    found = {
        language: rows.sort_values("rank")["count"].tolist()
        for language, rows in table.groupby("question_language")
    }
    assert found == rank_histogram(scores)


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
                if one.context_language == language and one.answer_length in these
            ]
            assert rows.loc[tokens, "n"] == len(group)
            assert rows.loc[tokens, "f1"] == pytest.approx(100 * fmean(one.f1 for one in group))
        rows = windows[windows["context_language"] == language]
        count = Counter(one.windows for one in scores if one.context_language == language)
        assert dict(zip(rows["windows"], rows["n"], strict=True)) == count


def test_windows_that_are_not_known_have_no_table(tmp_path):
    write_tables(tmp_path, random_scores(windows=(1, None)))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({*TABLES} - {"windows.csv"})
    read = read_examples(tmp_path / EXAMPLES)
    assert Counter(one.windows for one in read).keys() == {1, None}


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
