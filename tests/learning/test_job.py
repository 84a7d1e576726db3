"""A whole training without a cluster: what is reported, what a checkpoint holds, going on."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_jobs import LANGUAGES, Recorder, run_job, tiny_job
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

from xmrc.data.cache import Cache
from xmrc.data.examples import Example
from xmrc.data.leakage import Footprint
from xmrc.data.store import load_examples
from xmrc.errors import SettingsError
from xmrc.files import read_document
from xmrc.learning.candidates import CandidateSource, CandidateStore, window_codes
from xmrc.learning.checkpoints import MODEL, STATE
from xmrc.learning.history import HISTORY, OBSERVED
from xmrc.learning.model import load_tokenizer
from xmrc.learning.reader import ReadingJob, predictions_from, read_share, read_size
from xmrc.learning.terms import CandidateSettings
from xmrc.scoring.gxlt import score
from xmrc.scoring.metrics import exact_match, f1
from xmrc.seals import SEAL
from xmrc.settings import ObjectiveSettings

PLACE = ("evaluation", "epoch", "step")
PAIR = ("question_language", "context_language")
STEPS = [2, 4, 6, 8, 10, 12]  # 6 questions, 4 pairs each, 6 at a time: 4 steps an epoch


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("job")


@pytest.fixture(scope="module")
def whole(folder: Path) -> Recorder:
    """The job, from start to end."""
    kept = folder / "whole"
    kept.mkdir()
    return run_job(tiny_job(folder), Recorder(kept))


def weights_of(checkpoint: Path | None) -> dict[str, torch.Tensor]:
    assert checkpoint is not None
    return AutoModelForQuestionAnswering.from_pretrained(checkpoint / MODEL).state_dict()


def observed(report: dict[str, Any], table: str) -> list[tuple[dict, list[dict]]]:
    """Each evaluation's row of numbers, and its rows of a table, which say the same place."""
    rows = report["observed"].get(table, [])
    return [
        (
            own,
            [one for one in rows if [one[name] for name in PLACE] == [own[name] for name in PLACE]],
        )
        for own in report["history"]
    ]


def pair_of(row: dict[str, Any]) -> tuple[str, str]:
    return row["question_language"], row["context_language"]


# Reports


def test_every_evaluation_is_reported_with_all_before_it(whole: Recorder) -> None:
    assert [each["step"] for each in whole.reports] == STEPS
    assert [each["epoch"] for each in whole.reports] == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    assert [each["evaluation"] for each in whole.reports] == [1, 2, 3, 4, 5, 6]
    for number, metrics in enumerate(whole.reports, 1):
        history = metrics["history"]
        assert len(history) == number
        assert metrics["evaluations"] == 6
        assert {name: metrics[name] for name in history[-1]} == history[-1]
        assert history[:-1] == whole.reports[number - 2]["history"] * (number > 1)
        assert metrics["best"] == max(row["gxlt_f1"] for row in history)
        json.dumps(metrics)  # plain numbers travel anywhere


def test_a_report_has_the_losses_and_the_scores(whole: Recorder) -> None:
    names = {"loss", "loss_span", "loss_kl", "c_kl", "gxlt_f1", "gxlt_em", "xlt_f1", "xlt_em"}
    for row in whole.reports[-1]["history"]:
        assert names <= row.keys()
        assert not any(name.startswith("topk") for name in row)  # one answer is all that is read
        assert 0 <= row["gxlt_em"] <= row["gxlt_f1"] <= 100
        assert 0 <= row["c_kl"] <= 1
    assert whole.reports[-1]["loss_span"] < whole.reports[0]["loss_span"]


def test_a_report_has_c_kl_of_every_pair_that_was_trained_on(
    folder: Path, whole: Recorder, tmp_path: Path
) -> None:
    sampled = {
        (one.question_language, one.context_language) for one in windows_of_job(folder).examples
    }
    assert len(sampled) > 4
    last = whole.reports[-1]
    for row, found in observed(last, "c_kl"):
        values = {pair_of(one): one["c_kl"] for one in found}
        assert values.keys() <= sampled
        assert min(values.values()) <= row["c_kl"] <= max(values.values())
    assert sampled == set(map(pair_of, last["observed"]["c_kl"]))
    assert {tuple(one) for one in last["observed"]["c_kl"]} == {(*PLACE, *PAIR, "c_kl")}
    plain = tiny_job(folder, objective=ObjectiveSettings())
    reports = run_job(plain, Recorder(tmp_path)).reports
    assert reports[-1]["observed"].keys() == {"pairs"}
    assert [one["step"] for one in reports[-1]["observed"]["pairs"]][:: len(LANGUAGES)] == STEPS


def test_a_report_has_the_scores_of_every_language_pair(whole: Recorder) -> None:
    """Their means are those of the row, as METHOD has them: over pairs, each its own mean."""
    last = whole.reports[-1]
    names = ("f1", "em", "squad_f1", "squad_em")
    for row, pairs in observed(last, "pairs"):
        assert {tuple(one) for one in pairs} == {(*PLACE, *PAIR, "n", *names)}
        assert [(*pair_of(one), one["n"]) for one in pairs] == [(one, one, 6) for one in LANGUAGES]
        for name in names:
            mean = sum(one[name] for one in pairs) / len(pairs)
            assert row[f"gxlt_{name}"] == row[f"xlt_{name}"] == pytest.approx(mean)
    first = whole.reports[0]["observed"]["pairs"]
    assert first == last["observed"]["pairs"][: len(LANGUAGES)]


@pytest.mark.parametrize("span", ["mml", "hl"])
def test_a_report_says_how_often_the_gold_is_in_z(span: str, folder: Path, tmp_path: Path) -> None:
    """Of each window 4 spans are mined, the trial asks for 3; the gold is third, fourth or none."""
    objective = ObjectiveSettings(span=span, candidates=CandidateSettings(size=3))
    source = CandidateSource("base", f"mined for {span}", "fp32")
    job = tiny_job(folder, objective=objective, candidates=source)
    windows = job.data.windows(load_tokenizer(job.start))
    first_N4 = windows.context_position[:, None] + np.array([0, 1, 2, 3])
    spans_NK2 = np.stack([first_N4, first_N4], axis=2)
    for row in range(len(windows)):
        if row % 3 < 2:
            gold = windows.start_target[row], windows.end_target[row]
            spans_NK2[row, 2 + row % 3] = gold
    store = CandidateStore(Cache(job.cache), source.key(job.data.size))
    store.add(window_codes(windows), 4, lambda rows: spans_NK2[rows])
    asked, found = set(), set()
    for row in np.flatnonzero(windows.has_answer).tolist():
        asked.add(windows.example[row])
        if row % 3 == 0:
            found.add(windows.example[row])
    recorder = run_job(job, Recorder(tmp_path))
    shares = [row["gold_in_z"] for row in recorder.reports[-1]["history"]]
    assert shares == [len(found) / len(asked)] * len(STEPS)
    assert 0 < shares[0] < 1


def test_a_job_without_selection_reports_losses_alone(folder: Path, tmp_path: Path) -> None:
    recorder = run_job(tiny_job(folder, select=None, metric=None), Recorder(tmp_path))
    assert [each["step"] for each in recorder.reports] == STEPS
    assert "best" not in recorder.reports[-1]
    assert not any("f1" in name for name in recorder.reports[-1])


def test_the_same_job_gives_the_same_reader(folder: Path, whole: Recorder, tmp_path: Path) -> None:
    again = run_job(tiny_job(folder), Recorder(tmp_path))
    assert again.reports == whole.reports
    expected = weights_of(whole.kept[-1])
    for name, weight in weights_of(again.kept[-1]).items():
        assert torch.equal(weight, expected[name])


def test_another_seed_gives_another_reader(folder: Path, whole: Recorder, tmp_path: Path) -> None:
    recorder = run_job(tiny_job(folder, training={"seed": 4}), Recorder(tmp_path))
    assert recorder.reports[-1]["loss"] != whole.reports[-1]["loss"]


# Watched questions


def test_the_watched_answers_are_the_first_of_those_that_are_predicted(
    folder: Path, whole: Recorder, tmp_path: Path
) -> None:
    """By the reader of each checkpoint, read anew with the whole selection set."""
    job = tiny_job(folder, watch=("q4", "q1"))
    recorder = run_job(job, Recorder(tmp_path))
    assert [each["history"] for each in recorder.reports] == [
        each["history"]
        for each in whole.reports  # to watch changes nothing
    ]
    assert job.select is not None
    examples = load_examples(job.select)
    reported = observed(recorder.reports[-1], "watched")
    for checkpoint, (_, found) in zip(recorder.kept, reported, strict=True):
        assert checkpoint is not None
        reading = ReadingJob(
            str(checkpoint / MODEL), job.select, job.data.size, "fp32", job.cache, threads=1
        )
        predictions = predictions_from(reading, examples, [read_share(reading, 0, 1)])
        expected = []
        for example, prediction in zip(examples, predictions, strict=True):
            if example.id in ("q1", "q4"):
                golds, language = [example.answers[0].text], example.context_language
                expected += [
                    {
                        "id": example.id,
                        "question_language": example.question_language,
                        "context_language": language,
                        "rank": rank,
                        "answer": span.text,
                        "probability": pytest.approx(span.score, abs=1e-5),
                        "em": 100 * exact_match(span.text, golds, language),
                        "f1": 100 * f1(span.text, golds, language),
                    }
                    for rank, span in enumerate(prediction.nbest[:5], 1)
                ]
        assert len(found) == 2 * len(LANGUAGES) * 5
        for one, wanted in zip(found, expected, strict=True):
            assert list(one) == [*PLACE, *wanted]
            assert {name: one[name] for name in wanted} == wanted


def test_watched_answers_survive_a_stop(folder: Path, tmp_path: Path) -> None:
    job = tiny_job(folder, watch=("q0",))
    for name in ("whole", "before", "after"):
        (tmp_path / name).mkdir()
    expected = run_job(job, Recorder(tmp_path / "whole")).reports[-1]["observed"]
    stopping = Stopping(tmp_path / "before")
    stopping.last = 2
    with pytest.raises(StoppedError):
        run_job(job, stopping)
    after = Recorder(tmp_path / "after", resume_from=stopping.kept[-1])
    assert run_job(job, after).reports[-1]["observed"] == expected
    assert {one["step"] for one in expected["watched"]} == set(STEPS)


# Training data


def windows_of_job(folder: Path) -> Any:
    job = tiny_job(folder)
    return job.data.windows(load_tokenizer(job.start))


def test_windows_longer_than_the_positions_are_refused_before_training(
    folder: Path, tmp_path: Path
) -> None:
    job = tiny_job(folder, data={"max_length": 401})
    recorder = Recorder(tmp_path)
    with pytest.raises(SettingsError, match=r"settings\.data\.max_length must be at most 400"):
        run_job(job, recorder)
    assert recorder.reports == []


# Checkpoints


def test_a_checkpoint_opens_with_the_auto_classes_and_answers(whole: Recorder) -> None:
    last = whole.kept[-1]
    assert last is not None
    assert sorted(path.name for path in last.glob("[!.]*")) == sorted(
        [MODEL, STATE, HISTORY, OBSERVED]
    )
    assert all((last / part / SEAL).is_file() for part in (MODEL, STATE))
    assert (last / MODEL / "model.safetensors").is_file()
    model = AutoModelForQuestionAnswering.from_pretrained(last / MODEL)
    tokenizer = AutoTokenizer.from_pretrained(last / MODEL)
    question, context = "In which city does Ada live?", "For many years Ada has lived in Rome."
    with torch.no_grad():
        output = model(**tokenizer(question, context, return_tensors="pt"))
    assert output.start_logits.isfinite().all()
    assert read_document(last / HISTORY) == whole.reports[-1]["history"]
    assert read_document(last / OBSERVED) == whole.reports[-1]["observed"]


def test_a_mixture_of_two_checkpoints_is_none(
    folder: Path, whole: Recorder, tmp_path: Path
) -> None:
    """Files of the same sizes, as a kill in the middle of a copy over another one leaves them."""
    first, second = whole.kept[:2]
    assert first is not None
    assert second is not None
    mixed = tmp_path / "checkpoint_000002"
    shutil.copytree(second, mixed)
    shutil.copy(first / STATE / "state.pt", mixed / STATE / "state.pt")
    again = run_job(tiny_job(folder), Recorder(tmp_path / "again", resume_from=mixed))
    assert [one["step"] for one in again.reports] == STEPS
    assert again.reports[-1]["history"] == whole.reports[-1]["history"]


def test_a_checkpoint_knows_what_it_was_trained_on_and_its_start_before_it(
    folder: Path, whole: Recorder, tmp_path: Path
) -> None:
    checkpoint = whole.kept[-1]
    assert checkpoint is not None
    sampled = windows_of_job(folder).examples
    assert Footprint.read(checkpoint / MODEL) == Footprint.of(sampled)
    start = tmp_path / "start"
    shutil.copytree(tiny_job(folder).start, start)
    before = Footprint.of([Example("earlier", "?", "Before that.", (), "sw", "sw")])
    before.write(start)
    kept = tmp_path / "kept"
    kept.mkdir()
    again = run_job(tiny_job(folder, start=str(start)), Recorder(kept)).kept[0]
    assert again is not None
    assert Footprint.read(again / MODEL) == before | Footprint.of(sampled)


def test_a_checkpoint_is_the_reader_whose_scores_were_reported(
    folder: Path, whole: Recorder
) -> None:
    job = tiny_job(folder)
    assert job.select is not None
    examples = load_examples(job.select)
    for checkpoint, metrics in zip(whole.kept, whole.reports, strict=True):
        assert checkpoint is not None
        model = str(checkpoint / MODEL)
        assert read_size(model) == job.data.size
        reading = ReadingJob(model, job.select, job.data.size, "fp32", job.cache, threads=1)
        scores = score(
            examples, predictions_from(reading, examples, [read_share(reading, 0, 1)])
        ).metrics
        assert scores["gxlt_f1"] == pytest.approx(metrics["gxlt_f1"], abs=1e-9)
        assert scores["xlt_em"] == pytest.approx(metrics["xlt_em"], abs=1e-9)


# Going on


class StoppedError(Exception):
    """The process is gone."""


class Stopping(Recorder):
    """A recorder whose process ends after some reports."""

    last = 0

    def report(self, metrics: dict[str, Any]) -> None:
        super().report(metrics)
        if len(self.reports) == self.last:
            raise StoppedError


@pytest.mark.parametrize("last", [1, 3, 4])
def test_a_job_that_was_stopped_goes_on_as_if_it_had_not_been(
    last: int, folder: Path, whole: Recorder, tmp_path: Path
) -> None:
    (tmp_path / "before").mkdir()
    (tmp_path / "after").mkdir()
    stopping = Stopping(tmp_path / "before")
    stopping.last = last
    with pytest.raises(StoppedError):
        run_job(tiny_job(folder), stopping)
    resumed = run_job(tiny_job(folder), Recorder(tmp_path / "after", resume_from=stopping.kept[-1]))
    assert stopping.reports + resumed.reports == whole.reports
    expected = weights_of(whole.kept[-1])
    for name, weight in weights_of(resumed.kept[-1]).items():
        assert torch.equal(weight, expected[name])


def test_a_finished_job_reports_what_it_had_reported_and_trains_no_more(
    folder: Path, whole: Recorder, tmp_path: Path
) -> None:
    again = run_job(tiny_job(folder), Recorder(tmp_path, resume_from=whole.kept[-1]))
    assert again.reports == [whole.reports[-1]]
    assert again.kept == [None]
