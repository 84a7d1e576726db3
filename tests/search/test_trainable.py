"""Which failures are worth a second try."""

import errno

import pytest
from ray.exceptions import ActorDiedError

from xmrc.errors import SettingsError
from xmrc.learning.checkpoints import StorageFullError
from xmrc.learning.loop import DivergedError
from xmrc.learning.memory import MemoryExceededError
from xmrc.learning.worker import WorkersLostError
from xmrc.search.trainable import may_end_otherwise

LOST = [
    ActorDiedError(),
    WorkersLostError("a node is gone"),
    OSError(errno.ESTALE, "Stale file handle"),
    RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:3"),
    RuntimeError("NCCL communicator was aborted"),
    RuntimeError("CUDA error: an illegal memory access was encountered"),
]
AS_BEFORE = [
    DivergedError("the loss must be finite, got nan"),
    SettingsError("data.max_length must be at most 512"),
    MemoryExceededError("memory: one window of 400 tokens must fit", None),
    StorageFullError("runs: cannot be written: No space left on device"),
    OSError(errno.ENOSPC, "No space left on device"),
    ValueError("a loss of one's own has a mistake"),
    RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
    ZeroDivisionError("division by zero"),
]


@pytest.mark.parametrize("error", LOST, ids=lambda error: str(error)[:20])
def test_what_was_lost_may_come_back(error: Exception) -> None:
    assert may_end_otherwise(error)


@pytest.mark.parametrize("error", AS_BEFORE, ids=lambda error: type(error).__name__)
def test_what_would_fail_again_is_not_repeated(error: Exception) -> None:
    assert not may_end_otherwise(error)
