"""A reader whose passes ask for memory by the window. In: a reader, bytes a window."""

from typing import Any

import torch
from torch import nn


class HungryReader(nn.Module):
    """Asks for `share` bytes a window, touches none, and counts how often that is refused."""

    def __init__(self, reader: nn.Module, share: int) -> None:
        super().__init__()
        self.reader, self.share, self.refused = reader, share, 0

    def forward(self, **inputs: Any) -> Any:
        """What the reader says."""
        wanted = len(inputs["input_ids"]) * self.share
        try:
            torch.empty(wanted, dtype=torch.uint8, device=inputs["input_ids"].device)
        except RuntimeError:
            self.refused += 1
            raise
        return self.reader(**inputs)
