"""Training goes on while a checkpoint is written: what is reported when, and what was written."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_jobs import Recorder, quiet_job, run_job
from torch import Tensor, nn
from transformers import AutoModelForQuestionAnswering

from xmrc.learning.checkpoints import MODEL, STATE, Checkpoints
from xmrc.learning.reports import Reports
from xmrc.learning.step import Worker


@dataclass
class Slow:
    """Writes when it is allowed to."""

    allowed: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def write(self) -> None:
        assert self.allowed.wait(60)
        self.ended.set()


def test_a_report_is_sent_after_its_checkpoint() -> None:
    sent, slow = list[dict[str, Any]](), Slow()
    with Reports(sent.append, Worker()) as reports:
        reports.look(wait=True)
        reports.put({"step": 1}, slow.write)
        reports.look(wait=False)
        assert sent == []
        slow.allowed.set()
        reports.look(wait=True)
        assert slow.ended.is_set()
        assert sent == [{"step": 1}]
        reports.put({"step": 2}, lambda: None)
    assert sent == [{"step": 1}, {"step": 2}]


def test_what_is_written_in_a_while_is_seen_between_steps() -> None:
    sent, slow = list[dict[str, Any]](), Slow()
    with Reports(sent.append, Worker()) as reports:
        reports.put({"step": 1}, slow.write)
        slow.allowed.set()
        tick = threading.Event()
        while not sent:
            reports.look(wait=False)
            tick.wait(0.001)
        assert sent == [{"step": 1}]


@pytest.mark.parametrize("wait", [True, False])
def test_what_cannot_be_written_is_raised_and_not_reported(wait: bool) -> None:
    def fail() -> None:
        raise OSError("the disk is full")

    def look_on() -> None:
        with Reports(sent.append, Worker()) as reports:
            reports.put({"step": 1}, fail)
            while True:
                reports.look(wait=wait)

    sent = list[dict[str, Any]]()
    with pytest.raises(OSError, match="the disk is full"):
        look_on()
    assert sent == []


def test_a_training_that_fails_leaves_no_writer_behind() -> None:
    def fail() -> None:
        with Reports(sent.append, Worker()) as reports:
            reports.put({"step": 1}, slow.write)
            threading.Timer(0.05, slow.allowed.set).start()
            raise ValueError("a mistake")

    sent, slow = list[dict[str, Any]](), Slow()
    with pytest.raises(ValueError, match="a mistake"):
        fail()
    assert slow.ended.is_set()
    assert sent == []


@dataclass(frozen=True)
class SlowCheckpoints(Checkpoints):
    """Begins to write once the reader has taken another step."""

    stepped: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def adding(self, evaluation: int) -> Iterator[Path]:
        """As it is, only later."""
        assert self.stepped.wait(60), "training must go on"
        with super().adding(evaluation) as partial:
            yield partial


@dataclass
class SlowRecorder(Recorder):
    """Its first checkpoint is not written before the reader has changed."""

    stepped: threading.Event = field(default_factory=threading.Event)

    @property
    def checkpoints(self) -> Checkpoints:
        return SlowCheckpoints(self.folder / "training", None, self.stepped)


def watched(steps: int, then: Callable[[], None]) -> Callable[[nn.Module], nn.Module]:
    """`then` is called as the forward pass after so many steps begins."""

    def wrap(module: nn.Module) -> nn.Module:
        calls: list[nn.Module] = []

        def count(one: nn.Module, *_: Any) -> None:
            if one.training:
                calls.append(one)
            if len(calls) > steps:
                then()

        module.register_forward_pre_hook(count)
        return module

    return wrap


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_checkpoint_is_of_its_moment_though_training_goes_on(device: str, tmp_path: Path) -> None:
    """Evaluations after steps 2, 4, ...: the first is written when step 3 has been taken."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    usual, slow = tmp_path / "usual", tmp_path / "slow"
    usual.mkdir()
    slow.mkdir()
    worker = Worker(device=torch.device(device))
    expected = run_job(quiet_job(tmp_path), Recorder(usual, worker=worker))
    stepped = threading.Event()
    wrap = watched(3, stepped.set)
    recorder = SlowRecorder(slow, worker=worker, wrap=wrap, stepped=stepped)
    found = run_job(quiet_job(tmp_path), recorder)
    assert [one["step"] for one in found.reports] == [2, 4, 6, 8, 10, 12]
    assert len(found.kept) == len(expected.kept) == 6
    for one, wanted in zip(found.kept, expected.kept, strict=True):
        assert_alike(weights_of(one), weights_of(wanted))
        state, as_usual = state_of(one), state_of(wanted)
        assert state["step"] == as_usual["step"]
        for number, moments in as_usual["optimiser"]["state"].items():
            assert_alike(state["optimiser"]["state"][number], moments)


def assert_alike(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """As far as a GPU does twice the same; a step changes weights by a thousandth."""
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-6)


def weights_of(checkpoint: Path | None) -> dict[str, Tensor]:
    assert checkpoint is not None
    return AutoModelForQuestionAnswering.from_pretrained(checkpoint / MODEL).state_dict()


def state_of(checkpoint: Path | None) -> dict[str, Any]:
    assert checkpoint is not None
    state = checkpoint / STATE / "state.pt"
    return torch.load(state, map_location="cpu", weights_only=True)
