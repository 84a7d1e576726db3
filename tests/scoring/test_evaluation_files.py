"""What an evaluation leaves on disk, read back by other libraries; and what a failure leaves."""

import csv
import io
import json
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from damage import damage
from gxlt_scores import gxlt_scores
from hypothesis import given, settings
from hypothesis import strategies as st
from study_folders import CHAMPION

from xmrc.errors import DataError, ResourceError
from xmrc.scoring.evaluation_files import (
    EXAMPLES,
    read_examples,
    read_label,
    read_scores,
    write_matrix,
    write_predictions,
    write_scores,
    write_tables,
)
from xmrc.scoring.predictions import Prediction, scored_frame
from xmrc.scoring.spans import AnswerSpan
from xmrc.seals import seal

SCORES = gxlt_scores(
    {"en-en": (80.0, 60.0, 5), "en-de": (1 / 3, 0.0, 3), "de-de": (70.0, 50.0, 2)},
    {"gxlt_f1": 50 + 1 / 9, "xlt_em": 55.0},
)


def test_scores_read_back(tmp_path):
    write_scores(tmp_path / "new" / "scores.json", SCORES)
    kept = json.loads((tmp_path / "new" / "scores.json").read_text())
    assert len(kept.pop("sha256")) == 64
    assert kept == {
        "metrics": {"gxlt_f1": 50 + 1 / 9, "xlt_em": 55.0},
        "pairs": {
            "en-en": {"f1": 80.0, "em": 60.0, "n": 5},
            "en-de": {"f1": 1 / 3, "em": 0.0, "n": 3},
            "de-de": {"f1": 70.0, "em": 50.0, "n": 2},
        },
    }


def test_scores_come_back_as_they_were(tmp_path):
    write_scores(tmp_path / "scores.json", SCORES)
    found = read_scores(tmp_path / "scores.json")
    assert found.metrics == SCORES.metrics
    assert found.pairs.to_dict("list") == SCORES.pairs.to_dict("list")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "must have metrics, and pairs"),
        ('{"metrics": {}}', "must have metrics, and pairs"),
        ('{"metrics": {}, "pairs": {"en-en": {"f1": 1}}}', "must have metrics, and pairs"),
        ('{"metrics": {}, "pairs": {}}', "must have metrics, and pairs"),
        ("[]", "must have metrics, and pairs"),
        (None, "cannot be read: No such file"),
    ],
)
def test_what_are_no_scores_is_refused(tmp_path, text, message):
    path = tmp_path / "scores.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError, match=rf"scores\.json: {message}"):
        read_scores(path)


def test_matrix_reads_back(tmp_path):
    write_matrix(tmp_path / "matrix.csv", SCORES)
    with open(tmp_path / "matrix.csv", newline="") as file:
        assert list(csv.DictReader(file)) == [
            {"question_language": "en", "en": "80.0", "de": str(1 / 3)},
            {"question_language": "de", "en": "", "de": "70.0"},
        ]


def test_predictions_read_back(tmp_path):
    spans = (AnswerSpan("Zürich\n中国", 3, 12, 0.75), AnswerSpan("\ud83d \\ud83d", 0, 8, 0.25))
    predictions = [Prediction("q1", "en", "de", spans), Prediction("q2", "de", "de", ())]
    write_predictions(tmp_path / "predictions.jsonl", iter(predictions))
    text = (tmp_path / "predictions.jsonl").read_text(encoding="utf-8")
    assert "Zürich" in text  # readable, not escaped
    assert [json.loads(line) for line in text.splitlines()] == [
        {
            "id": "q1",
            "question_language": "en",
            "context_language": "de",
            "answer": "Zürich\n中国",
            "score": 0.75,
            "start": 3,
            "end": 12,
            "nbest": [
                {"text": "Zürich\n中国", "start": 3, "end": 12, "score": 0.75},
                {"text": "\ud83d \\ud83d", "start": 0, "end": 8, "score": 0.25},
            ],
        },
        {
            "id": "q2",
            "question_language": "de",
            "context_language": "de",
            "answer": "",
            "score": 0.0,
            "start": 0,
            "end": 0,
            "nbest": [],
        },
    ]


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    def broken():
        yield Prediction("q1", "en", "de", ())
        raise RuntimeError("half-way")

    target = tmp_path / "predictions.jsonl"
    target.write_text("old")
    with pytest.raises(RuntimeError, match="half-way"):
        write_predictions(target, broken())
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_cannot_be_written_is_one_line_naming_the_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match=r"file/scores\.json: cannot be written") as caught:
        write_scores(tmp_path / "file" / "scores.json", SCORES)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@given(st.data())
@settings(max_examples=12, deadline=None)
def test_damaged_scores_and_examples_are_refused_in_one_line(data):
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        write_scores(folder / "scores.json", SCORES)
        write_tables(folder, scored_frame(CHAMPION), "shared paragraphs")
        seal(folder)
        name, opened = data.draw(
            st.sampled_from(
                [("scores.json", read_scores), (EXAMPLES, read_examples), (EXAMPLES, read_label)]
            )
        )
        damage(folder / name, data)
        with pytest.raises(DataError) as refused:
            opened(folder / name)
        assert str(refused.value).startswith(f"{folder / name}: ")
        assert "\n" not in str(refused.value)


def test_examples_without_a_seal_have_checksums_of_their_own(tmp_path):
    """As `evaluate --out` writes them, beside whatever lies in that folder."""
    write_tables(tmp_path, scored_frame(CHAMPION))
    file = tmp_path / EXAMPLES
    whole = bytearray(file.read_bytes())
    for place in range(200, len(whole), 97):
        file.write_bytes(whole[:place])
        with pytest.raises(DataError, match=rf"^{file}: must be a table of example scores: .+$"):
            read_examples(file)
    scored = pq.ParquetFile(io.BytesIO(whole)).metadata.row_group(0).column(8)
    whole[scored.data_page_offset + scored.total_compressed_size - 1] ^= 1
    file.write_bytes(whole)
    with pytest.raises(DataError, match="CRC"):
        read_examples(file)


def test_scores_of_another_value_or_without_a_checksum(tmp_path):
    file = tmp_path / "scores.json"
    write_scores(file, SCORES)
    kept = json.loads(file.read_text())
    file.write_text(json.dumps(kept | {"metrics": {"gxlt_f1": 99.0}}))
    with pytest.raises(DataError, match=rf"^{file}: must be as it was written"):
        read_scores(file)
    del kept["sha256"]  # as an earlier version wrote them
    file.write_text(json.dumps(kept))
    assert read_scores(file).metrics == SCORES.metrics
