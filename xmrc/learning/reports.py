"""Reports that wait for their checkpoint. In: what writes one. Out: the report, once it is there.

A checkpoint of gigabytes takes a shared disk half a minute; training goes on meanwhile.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

import torch

from xmrc.learning.distributed import sum_over_workers
from xmrc.learning.step import Worker

_Metrics = dict[str, Any]


class Reports:
    """Sends one report after the other, each after its checkpoint, on all workers together.

    At the end of a block the last one is waited for; after an error only what is being written.
    """

    def __init__(self, send: Callable[[_Metrics], None], worker: Worker) -> None:
        self._send, self._worker = send, worker
        self._writer = ThreadPoolExecutor(1, "checkpoint")
        self._metrics: _Metrics | None = None  # of a report that waits
        self._writing: Future[None] | None = None

    def put(self, metrics: _Metrics, write: Callable[[], None] | None) -> None:
        """Begin to `write`, and report when that has ended. None: another worker writes."""
        self._metrics = metrics
        self._writing = self._writer.submit(write) if write else None

    def look(self, wait: bool) -> None:
        """Send the report whose checkpoint is there; `wait` for it if it is not.

        All workers look at once. Errors: what was raised in writing.
        """
        if self._metrics is None or not (wait or self._written()):
            return
        metrics, self._metrics = self._metrics, None
        if self._writing is not None:
            self._writing.result()
        self._send(metrics)

    def _written(self) -> bool:
        """Whether the checkpoint is there, or cannot be written; the same on every worker."""
        here = self._writing is not None and self._writing.done()
        if self._worker.world_size == 1:
            return here
        return bool(sum_over_workers(torch.tensor(float(here), device=self._worker.device)))

    def __enter__(self) -> "Reports":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.look(wait=True)
        finally:
            self._writer.shutdown()
