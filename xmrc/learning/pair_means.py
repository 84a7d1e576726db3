"""Means by language pair. In: a number of each window, step by step. Out: means, when asked.

Sums stay on the device until then. Shapes: B windows, P language pairs.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from xmrc.data.examples import LanguagePair
from xmrc.data.features import Batch
from xmrc.learning.distributed import sum_over_workers


class PairMeans:
    """The mean, over all windows of a language pair, of what was added since it was last read.

    `pairs` are known by their codes in the batches. A step adds without a synchronising read.
    """

    def __init__(self, pairs: Sequence[LanguagePair]) -> None:
        self._pairs = tuple(pairs)
        self._sums_2P: Tensor | None = None  # of the values, and how many they are
        self._before_2P: Tensor | None = None  # the same, before the step that is under way

    def begin_step(self) -> None:
        """What is added from here on is of one step."""
        self._before_2P = self._sums_2P

    def repeat_step(self) -> None:
        """Forget what was added since the step began."""
        self._sums_2P = self._before_2P

    def add(self, value_B: Tensor, batch: Batch) -> None:
        """Add this worker's value of each window; filler rows count for nothing."""
        codes_P = torch.arange(len(self._pairs), device=value_B.device)
        member_BP = (batch.pair_B[:, None] == codes_P) * batch.weights_B[:, None].double()
        # a product with zeros and ones, not `index_add`: its order of summing is always the same
        sums_2P = torch.stack([value_B.double(), torch.ones_like(value_B).double()]) @ member_BP
        self._sums_2P = sums_2P if self._sums_2P is None else self._sums_2P + sums_2P

    def read(self) -> dict[LanguagePair, float]:
        """The means, of the pairs that had a window, over all workers; begins anew.

        All workers must call this together.
        """
        if self._sums_2P is None:
            return {}
        totals, counts = sum_over_workers(self._sums_2P).tolist()
        self._sums_2P = None
        means = zip(self._pairs, totals, counts, strict=True)
        return {pair: total / count for pair, total, count in means if count}
