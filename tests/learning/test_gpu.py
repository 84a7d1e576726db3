"""On a GPU: the CPU's numbers, no step that waits for the device, bf16 where it is asked for."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from hungry_reader import HungryReader
from tiny_jobs import Recorder, run_job, tiny_job
from tiny_training import (
    AA_CL,
    HL,
    JOINT,
    SKD_EQ_5,
    SKD_PER_EXAMPLE,
    Setting,
    make_folder,
    no_metrics,
    outcome_of,
    run_alone,
    tiny_training,
    tiny_windows,
)
from torch import nn
from transformers import AutoModelForQuestionAnswering, masking_utils

from xmrc.learning.checkpoints import MODEL
from xmrc.learning.loop import Evaluation, Training
from xmrc.learning.model import load_model
from xmrc.learning.prediction import predict
from xmrc.learning.step import Worker, random_state, set_random_state
from xmrc.scoring.spans import best_spans
from xmrc.settings import ObjectiveSettings, TrainingSettings

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

GPU = Worker(device=torch.device("cuda"))
EXACT = TrainingSettings(epochs=2, batch_size=8, learning_rate=1e-2, precision="fp32")
OBJECTIVES = {
    "joint": JOINT,
    "hl": HL,
    "aa-cl": AA_CL,
    "average_precision": SKD_EQ_5,
    "per_example": SKD_PER_EXAMPLE,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("gpu"))


@pytest.mark.parametrize("max_tokens", [None, 100])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_training_is_the_same_as_on_the_cpu(
    name: str, max_tokens: int | None, folder: Path
) -> None:
    training = EXACT.model_copy(update={"max_tokens": max_tokens})
    setting = Setting(OBJECTIVES[name], training, evaluate_every=1.0, windows=20)
    expected, found = run_alone(folder, setting), run_alone(folder, setting, worker=GPU)
    for row, same in zip(found.history, expected.history, strict=True):
        assert row == pytest.approx(same, abs=1e-7)
    for weight, value in expected.weights.items():
        torch.testing.assert_close(found.weights[weight].cpu(), value, rtol=0, atol=1e-7)


@contextmanager
def no_waiting() -> Iterator[None]:
    """An error wherever the CPU waits for the GPU, as `.item()`, `.tolist()` and `.cpu()` do."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def train_one_step(run: Training) -> None:
    run.gradient_step()


def test_reading_a_number_is_waiting() -> None:
    with pytest.raises(RuntimeError, match="synchroniz"), no_waiting():
        torch.ones(3, device="cuda").sum().item()


@pytest.mark.parametrize("max_tokens", [None, 100])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_no_step_waits_for_the_gpu(
    name: str, max_tokens: int | None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # transformers itself asks the mask, at every pass of an encoder, whether anything is padded
    monkeypatch.setattr(masking_utils, "_ignore_bidirectional_mask_sdpa", lambda *_, **__: False)
    training = TrainingSettings(epochs=2, batch_size=5, learning_rate=1e-3, max_tokens=max_tokens)
    setting = Setting(OBJECTIVES[name], training, 1.0, windows=20, dropout=0.1, dtype=torch.float32)
    run = tiny_training(folder, setting, worker=GPU)
    train_one_step(run)  # libraries are loaded, the teacher is copied
    with no_waiting():
        for _ in range(3):
            train_one_step(run)


def test_noise_is_drawn_again_on_the_gpu() -> None:
    state = random_state(GPU.device)
    drawn = [torch.rand(5, device="cuda"), torch.rand(5)]
    set_random_state(state, GPU.device)
    again = [torch.rand(5, device="cuda"), torch.rand(5)]
    assert all(torch.equal(one, other) for one, other in zip(drawn, again, strict=True))


def test_the_best_spans_are_the_same_with_ties() -> None:
    generator = torch.Generator().manual_seed(0)
    starts, ends = torch.randint(-3, 3, (2, 64, 200), generator=generator).float()
    mask = torch.rand((64, 200), generator=generator) < 0.7
    on_cpu = best_spans(starts, ends, mask, 50)
    on_gpu = best_spans(starts.cuda(), ends.cuda(), mask.cuda(), 50)
    assert all(torch.equal(one, other.cpu()) for one, other in zip(on_cpu, on_gpu, strict=True))


def test_a_gpu_trains_in_bf16_and_keeps_float32(folder: Path) -> None:
    losses = {}
    for precision in ("fp32", "auto"):
        training = EXACT.model_copy(update={"precision": precision})
        setting = Setting(JOINT, training, 1.0, windows=20, dtype=torch.float32)
        run, seen = tiny_training(folder, setting, worker=GPU), set[torch.dtype]()
        layer = run.model.bert.encoder.layer[0].intermediate.dense
        layer.register_forward_hook(lambda _, inputs, output, seen=seen: seen.add(output.dtype))
        history: list[float] = []
        run.fit(no_metrics, lambda one, history=history: history.append(one.metrics["loss"]))
        assert seen == {torch.float32 if precision == "fp32" else torch.bfloat16}
        assert {weight.dtype for weight in run.model.parameters()} == {torch.float32}
        losses[precision] = history
    assert losses["auto"] != losses["fp32"]
    assert losses["auto"] == pytest.approx(losses["fp32"], rel=0.1)


def test_a_whole_job_gives_a_reader_that_answers_alike_on_both(
    folder: Path, tmp_path: Path
) -> None:
    job = tiny_job(tmp_path, objective=ObjectiveSettings())
    kept = tmp_path / "kept"
    kept.mkdir()
    recorder = run_job(job, Recorder(kept, worker=GPU))
    assert [row["evaluation"] for row in recorder.reports[-1]["history"]] == [*range(1, 7)]
    checkpoint = recorder.kept[-1]
    assert checkpoint is not None
    AutoModelForQuestionAnswering.from_pretrained(checkpoint / MODEL)
    reader = load_model(str(checkpoint / MODEL), seed=0)
    windows = tiny_windows(folder, 12)
    on_cpu = predict(reader, windows, precision="fp32")
    on_gpu = predict(reader.cuda(), windows, precision="fp32")
    for one, other in zip(on_cpu, on_gpu, strict=True):
        assert [span.text for span in one.nbest[:1]] == [span.text for span in other.nbest[:1]]
        assert one.score == pytest.approx(other.score, abs=1e-4)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_memory_that_runs_out_makes_the_same_training(name: str, folder: Path) -> None:
    """Three windows at a time are more than this process may have of the GPU, and two are not."""
    setting = Setting(OBJECTIVES[name], EXACT, evaluate_every=1.0, windows=20)
    expected = run_alone(folder, setting, worker=GPU)
    total = torch.cuda.get_device_properties(GPU.device).total_memory
    allowed, hungry = total // 10, list[HungryReader]()

    def wrap(module: nn.Module) -> nn.Module:
        hungry.append(HungryReader(module, int(0.4 * allowed)))
        return hungry[0]

    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.1)
    try:
        run, heard = tiny_training(folder, setting, worker=GPU, wrap=wrap), list[Evaluation]()
        run.fit(no_metrics, heard.append)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert hungry[0].refused > 0
    found = outcome_of(run, heard)
    for row, same in zip(found.history, expected.history, strict=True):
        assert {key: row[key] for key in same} == pytest.approx(same, abs=1e-7)
    for weight, value in expected.weights.items():
        torch.testing.assert_close(found.weights[weight], value, rtol=0, atol=1e-7)
