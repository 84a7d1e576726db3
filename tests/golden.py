"""Numbers that were written down once. In: this machine. Out: what their last digits depend on."""

import platform

import torch


def machine() -> str:
    """Another processor or release of torch sums in another order."""
    capability = torch.backends.cpu.get_cpu_capability()
    return f"torch {torch.__version__}, {platform.machine()}, {capability}"
