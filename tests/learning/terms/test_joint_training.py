"""Every method together, with real encoders: its gradient, its noise, resuming and exporting."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import KINDS, tiny_checkpoint
from plain_contrast import Window, contrast_loss
from plain_method import answer_set as plain_answer_set
from plain_method import span_weights as plain_span_weights
from tiny_jobs import Recorder, run_job, tiny_job
from tiny_training import (
    JOINT,
    Setting,
    learned_by_terms,
    make_folder,
    no_metrics,
    run_alone,
    tiny_training,
    training_windows,
)
from torch import Tensor, nn
from transformers import AutoModelForQuestionAnswering

from xmrc.data.cache import Cache
from xmrc.data.examples import Answer, Example
from xmrc.data.features import Batch, WindowSize, make_windows, tokenize_texts
from xmrc.learning.candidates import (
    CandidateSource,
    CandidateStore,
    CandidateWindows,
    mine_spans,
    window_codes,
)
from xmrc.learning.checkpoints import MODEL, STATE
from xmrc.learning.loop import Evaluation
from xmrc.learning.model import load_model, load_tokenizer, logits_and_states
from xmrc.learning.step import GradientStep, Worker
from xmrc.learning.terms import Objective, Student
from xmrc.learning.terms.contrast import info_nce, span_means
from xmrc.settings import TrainingSettings

THETA = "span.theta_T"  # what HL learns itself
ONE_STEP = TrainingSettings(epochs=1, batch_size=9, learning_rate=2e-2, clip=None)
NO_SKD = JOINT.model_copy(update={"distill": None})
ARCHITECTURES = sorted(KINDS)
QUESTIONS = [
    ("Who wrote the book?", "The lighthouse keeper Maria Olsen wrote her first book in 1987.", "a"),
    ("¿Quién construyó el puente?", "El río atraviesa la ciudad; ¿quién construyó el puente?", "b"),
    ("Wer schrieb das Buch?", "Maria Olsen schrieb 1987 ihr erstes Buch.", "a"),
    ("什么", "灯塔看守人于1987年在旧港口附近写了他的第一本书。", "c"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("joint"))


# The gradient


def plain_joint_loss(reader: nn.Module, setting: Setting, folder: Path) -> Tensor:
    """(1 - alpha) HL + alpha AA-CL of all windows as one batch, window by window."""
    objective, windows = setting.objective, training_windows(folder, setting)
    contrast, candidates = objective.contrast, objective.candidates
    held, losses = [], []
    for row in range(len(windows)):
        batch = windows.batch(np.array([row]))
        output = reader(
            input_ids=batch.input_ids_BL,
            token_type_ids=batch.token_type_ids_BL,
            output_hidden_states=True,
        )
        starts, ends = output.start_logits[0], output.end_logits[0]
        gold = (int(batch.start_targets_B), int(batch.end_targets_B))
        ranked = [tuple(span) for span in batch.candidates_BK2[0].tolist() if span[0] >= 0]
        z = plain_answer_set(gold, ranked, candidates.size)
        w = plain_span_weights(candidates.weights, [0.0] * 3, z, candidates.gold_floor)
        log_starts, log_ends = torch.log_softmax(starts, 0), torch.log_softmax(ends, 0)
        terms = [each * (log_starts[s] + log_ends[e]) for each, (s, e) in zip(w, z, strict=True)]
        losses.append(-sum(terms) / 2)
        positions = range(len(starts))
        held.append(
            Window(
                states=list(output.hidden_states[-1][0]),
                starts=starts.tolist(),
                ends=ends.tolist(),
                question=[at for at in positions if batch.question_mask_BL[0, at]],
                context=[at for at in positions if batch.context_mask_BL[0, at]],
                answer=gold if batch.has_answer_B else None,
                question_id=int(batch.question_B),
            )
        )
    loss_contrast = contrast_loss(held, contrast.tau, contrast.negatives)
    return (1 - objective.alpha) * sum(losses) / len(losses) + objective.alpha * loss_contrast


@pytest.mark.parametrize("max_tokens", [None, 100])
def test_the_gradient_of_a_step_is_that_of_the_equations(
    max_tokens: int | None, folder: Path
) -> None:
    training = ONE_STEP.model_copy(update={"max_tokens": max_tokens})
    setting = Setting(NO_SKD, training, evaluate_every=1.0, windows=9)
    reader = tiny_training(folder, setting).model
    expected = plain_joint_loss(reader, setting, folder)
    expected.backward()
    found = run_alone(folder, setting)
    assert found.history[-1]["loss"] == pytest.approx(expected.item(), abs=1e-9)
    for name, weight in reader.named_parameters():
        torch.testing.assert_close(found.gradients[name], weight.grad, rtol=0, atol=1e-9)


def test_dropout_is_the_same_at_both_looks(folder: Path) -> None:
    """Else the pulls would be at vectors that are not there any more."""
    setting = Setting(NO_SKD, ONE_STEP, 1.0, windows=9, dropout=0.3)
    windows = training_windows(folder, setting)
    pieces = [np.arange(9)[at : at + 3] for at in (0, 3, 6)]
    batches = [windows.batch(piece) for piece in pieces]
    training = tiny_training(folder, setting)
    torch.manual_seed(4)
    training.gradient.run(batches, 9, divided=True)
    found = {name: weight.grad.clone() for name, weight in training.model.named_parameters()}
    training.model.zero_grad()
    torch.manual_seed(4)
    loss = joint_loss_at_once(training.model, training.objective, batches)
    loss.backward()
    for name, weight in training.model.named_parameters():
        torch.testing.assert_close(found[name], weight.grad, rtol=0, atol=1e-9)


def joint_loss_at_once(model: nn.Module, objective: Objective, batches: Sequence[Batch]) -> Tensor:
    """Each micro-batch read once, all graphs kept."""
    span, contrast = objective.terms["span"], objective.terms["contrast"]
    vectors, facts, losses = [], [], []
    for batch in batches:
        logits, hidden_BLD = logits_and_states(model, batch)
        sums_BLD = Student(logits, hidden_BLD).sums_BLD
        anchors = contrast.anchors(sums_BLD, logits, batch)
        vectors.append(span_means(sums_BLD, anchors.start_B3, anchors.end_B3))
        facts.append((batch.question_B, batch.has_answer_B, anchors.has_negative_B))
        losses.append(span.share(Student(logits), batch, None, 9).loss)
    question_N, answered_N, opposed_N = (torch.cat(each) for each in zip(*facts, strict=True))
    tau = contrast.settings.tau
    loss_N = info_nce(torch.cat(vectors), question_N, answered_N, opposed_N, tau)
    contrasts = loss_N.sum() / answered_N.sum()
    return (1 - NO_SKD.alpha) * sum(losses) + NO_SKD.alpha * contrasts


# What the objective learns itself


def test_theta_has_a_rate_of_its_own_and_does_not_decay(folder: Path) -> None:
    """The first step of Adam is as long as its rate, whatever the gradient."""
    training = ONE_STEP.model_copy(update={"weight_decay": 0.9})
    candidates = JOINT.candidates.model_copy(update={"learning_rate": 0.007})
    objective = NO_SKD.model_copy(update={"candidates": candidates})
    weights = run_alone(folder, Setting(objective, training, 1.0, windows=9)).weights
    theta = weights[THETA].abs()
    torch.testing.assert_close(theta, torch.full_like(theta, 0.007), rtol=1e-3, atol=0)


def test_every_evaluation_has_the_weights_and_their_entropy(folder: Path) -> None:
    training = ONE_STEP.model_copy(update={"batch_size": 3})
    history = run_alone(folder, Setting(JOINT, training, 1 / 3, windows=9)).history
    assert len(history) == 3
    for row in history:
        assert row["w_1"] + row["w_2"] + row["w_3"] == pytest.approx(1)
        assert row["w_1"] > 0.5
        assert 0 < row["w_entropy"] < np.log(3)
    assert len({row["w_1"] for row in history}) == 3
    names = {"loss", "loss_span", "loss_contrast", "loss_kl", "c_kl"}
    assert all(names <= row.keys() for row in history)


class StoppedError(Exception):
    """The process is gone."""


@pytest.mark.parametrize("stop", [1, 2])
def test_a_joint_run_that_was_stopped_and_resumed_is_the_same_run(
    stop: int, folder: Path, tmp_path: Path
) -> None:
    noisy = TrainingSettings(epochs=2, batch_size=4, learning_rate=5e-3, max_tokens=80)
    setting = Setting(JOINT, noisy, 0.5, windows=9, dropout=0.2, dtype=torch.float32)
    whole = run_alone(folder, setting)

    def write_and_stop(evaluation: Evaluation) -> None:
        if evaluation.number == stop:
            torch.save(evaluation.state, tmp_path / "state.pt")
            torch.save(stopped.model.state_dict(), tmp_path / "reader.pt")
            raise StoppedError

    stopped = tiny_training(folder, setting)
    with pytest.raises(StoppedError):
        stopped.fit(no_metrics, write_and_stop)
    resumed = tiny_training(folder, setting, reader_seed=99)
    resumed.model.load_state_dict(torch.load(tmp_path / "reader.pt", weights_only=True))
    resumed.restore(torch.load(tmp_path / "state.pt", weights_only=True))
    torch.rand(3)
    heard: list[Evaluation] = []
    resumed.fit(no_metrics, heard.append)
    assert [each.metrics for each in heard] == [
        {name: row[name] for name in each.metrics}
        for each, row in zip(heard, whole.history[stop:], strict=True)
    ]
    for name, weight in resumed.model.named_parameters():
        assert torch.equal(weight, whole.weights[name]), name
    theta = learned_by_terms(resumed)[THETA]
    assert torch.equal(theta, whole.weights[THETA])


def test_a_joint_job_exports_a_reader_without_the_weights_of_its_candidates(
    tmp_path: Path,
) -> None:
    source = CandidateSource("base", "mined", "fp32")
    job = tiny_job(tmp_path, objective=JOINT, candidates=source)
    windows = job.data.windows(load_tokenizer(job.start))
    size, base = JOINT.candidates.size, load_model(job.start, seed=0)
    CandidateStore(Cache(job.cache), source.key(job.data.size)).add(
        window_codes(windows),
        size,
        lambda rows: mine_spans(base, windows.subset(rows), size, "fp32"),
    )
    kept = tmp_path / "kept"
    kept.mkdir()
    recorder = run_job(job, Recorder(kept))
    assert {"loss_contrast", "loss_kl", "w_3", "w_entropy"} <= recorder.reports[-1].keys()
    checkpoint = recorder.kept[-1]
    assert checkpoint is not None
    exported = AutoModelForQuestionAnswering.from_pretrained(checkpoint / MODEL)
    assert exported.state_dict().keys() == base.state_dict().keys()
    state = torch.load(checkpoint / STATE / "state.pt", weights_only=True)
    theta_T = state["objective"]["span"]["theta_T"]
    assert theta_T.shape == (3,)
    assert theta_T.any()


# Encoders


@pytest.fixture(scope="module", params=ARCHITECTURES)
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(request.param, tmp_path_factory.mktemp(request.param))


def question_windows(checkpoint: Path, model: nn.Module, cache: Path) -> CandidateWindows:
    """Questions in several languages, two of them the same one."""
    tokenizer = load_tokenizer(str(checkpoint))
    examples = [
        Example(id, asked, told, (Answer(told[4:11], 4),), "en", "en")
        for asked, told, id in QUESTIONS
    ]
    texts = [text for asked, told, _ in QUESTIONS for text in (asked, told)]
    tokens = tokenize_texts(texts, tokenizer, Cache(cache))
    windows = make_windows(examples, tokens, tokenizer, WindowSize(48, 12, 10))
    store, codes = CandidateStore(Cache(cache), "base"), window_codes(windows)
    store.add(codes, 5, lambda rows: mine_spans(model, windows.subset(rows), 5, "fp32"))
    return CandidateWindows(windows, store.open(codes, 5))


def test_every_architecture_makes_the_same_joint_step_however_it_is_divided(
    checkpoint: Path, tmp_path: Path
) -> None:
    model = load_model(str(checkpoint), seed=0, dropout=0.0)
    windows = question_windows(checkpoint, model, tmp_path)
    rows = np.arange(len(windows))
    outcomes = []
    for division in ([rows], [rows[:2], rows[2:]], [rows[at : at + 1] for at in rows]):
        student = load_model(str(checkpoint), seed=0, dropout=0.0).double()
        objective = Objective(JOINT)
        objective.start_epoch(student)
        with torch.no_grad():
            for weight in student.parameters():  # no longer what its teacher is
                weight *= 1.05
        step = GradientStep(student, lambda module: module, objective, Worker(), "fp32")
        batches = [windows.batch(piece) for piece in division]
        parts = step.run(batches, len(rows), divided=len(division) > 1)
        gradients = {name: weight.grad for name, weight in step.module.named_parameters()}
        outcomes.append(({name: part.item() for name, part in parts.items()}, gradients))
    parts, gradients = outcomes[0]
    assert all(gradient is not None for gradient in gradients.values())
    assert all(parts[name] > 0 for name in ("loss_span", "loss_contrast", "loss_kl"))
    for other_parts, other_gradients in outcomes[1:]:
        assert other_parts == pytest.approx(parts, abs=1e-9)
        for name, gradient in gradients.items():
            torch.testing.assert_close(other_gradients[name], gradient, rtol=0, atol=1e-9)
