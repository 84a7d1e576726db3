"""Where the workers of a training find each other. In: Ray, connected. Out: a setting of Ray Train.

Torch has the first worker listen on every interface of its machine, to whoever comes. On a cluster
that is this machine alone, and keeps to its loopback interface, they meet at a file instead.
"""

import ipaddress
import os
import tempfile
from pathlib import Path
from typing import Any

import ray
import torch.distributed
from ray.train.torch import TorchConfig


def meeting_place() -> TorchConfig:
    """Torch's own, or a file where every worker will be on this machine."""
    alone = ipaddress.ip_address(ray.util.get_node_ip_address()).is_loopback
    return _AtFile() if alone else TorchConfig()


class _FileBackend(TorchConfig().backend_cls):  # type: ignore[misc]  # Ray gives it no other name
    """The process group of Ray Train's workers, opened by a file."""

    def on_start(self, worker_group: Any, backend_config: TorchConfig) -> None:
        """All workers join; it returns when they have."""
        handle, self._file = tempfile.mkstemp(prefix="xmrc-workers-")
        os.close(handle)
        size = len(worker_group)
        ray.get(
            [
                worker_group.execute_single_async(rank, _join, self._file, rank, size)
                for rank in range(size)
            ]
        )

    def on_shutdown(self, worker_group: Any, backend_config: TorchConfig) -> None:
        """They part."""
        super().on_shutdown(worker_group, backend_config)
        Path(self._file).unlink(missing_ok=True)


class _AtFile(TorchConfig):
    @property
    def backend_cls(self) -> type[_FileBackend]:
        """What Ray Train makes of this setting."""
        return _FileBackend


def _join(file: str, rank: int, size: int) -> None:
    torch.distributed.init_process_group(
        "nccl" if torch.cuda.is_available() else "gloo",
        init_method=f"file://{file}",
        rank=rank,
        world_size=size,
    )
