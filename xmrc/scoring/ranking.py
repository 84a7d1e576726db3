"""How well ranked positions hit a target. In: logits. Out: a value for each window, same device.

B windows, L tokens, N entries to rank, K ranks. Nothing here loops over windows or waits for the
device.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def top_positions(scores_BN: Tensor, keep_BN: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k greatest entries of each row, ties to the lower position, and which of them exist.

    Returns positions (B, k) and present (B, k). Entries outside `keep_BN`, and NaN, are never
    taken: a row with fewer than k others ends in absent ranks, whose position is -1. Compares in
    float32.
    """
    keep_BN = keep_BN & ~scores_BN.isnan()
    taken = min(k, scores_BN.shape[1])
    keys_BN = _distinct_keys(scores_BN).masked_fill(~keep_BN, torch.iinfo(torch.int64).min)
    positions_BK = keys_BN.topk(taken, dim=1).indices
    present_BK = keep_BN.gather(1, positions_BK)
    positions_BK = positions_BK.masked_fill(~present_BK, -1)
    absent = (0, k - taken)
    return F.pad(positions_BK, absent, value=-1), F.pad(present_BK, absent, value=False)


def average_precision(
    logits_BL: Tensor, targets_B: Tensor, mask_BL: Tensor, k: int, delta: int
) -> Tensor:
    """AP of the k most probable positions, a target having 2 delta right ones: (B,), 0 to 1.

    A position is right if it lies in [target - delta, target + delta); only positions in
    `mask_BL` are ranked, so those outside are right ones that are never found. Carrino et al.
    2023 (arXiv 2309.17134), equation 5 as printed.
    """
    relevant_BK = _as_numbers(_relevant(logits_BL, targets_B, mask_BL, k, delta), logits_BL)
    precision_BK = relevant_BK.cumsum(dim=1) / _ranks(relevant_BK)
    return (precision_BK * relevant_BK).sum(dim=1) / (2 * delta)


def first_hit(logits_BL: Tensor, targets_B: Tensor, mask_BL: Tensor, k: int, delta: int) -> Tensor:
    """1 / rank of the first right position among the k most probable, 0 if none is: (B,), 0 to 1.

    Right as in `average_precision`. What the code released with Carrino et al. 2023 computes.
    """
    relevant_BK = _as_numbers(_relevant(logits_BL, targets_B, mask_BL, k, delta), logits_BL)
    return (relevant_BK / _ranks(relevant_BK)).amax(dim=1)


def _relevant(logits_BL: Tensor, targets_B: Tensor, mask_BL: Tensor, k: int, delta: int) -> Tensor:
    """Whether the position at each rank is right: (B, k) bool."""
    positions_BK, present_BK = top_positions(logits_BL, mask_BL, k)
    distance_BK = positions_BK - targets_B[:, None]
    return present_BK & (distance_BK >= -delta) & (distance_BK < delta)


def _as_numbers(relevant_BK: Tensor, logits_BL: Tensor) -> Tensor:
    """1 for true, in float32, or in float64 as the logits."""
    return relevant_BK.to(torch.promote_types(logits_BL.dtype, torch.float32))


def _ranks(like_BK: Tensor) -> Tensor:
    return torch.arange(1, like_BK.shape[1] + 1, device=like_BK.device)


def _distinct_keys(scores_BN: Tensor) -> Tensor:
    """int64 keys in the order of the scores, no two alike: of equals the lower position wins.

    `topk` leaves the order of equal entries open, and it differs between devices.
    """
    scores_BN = scores_BN.float() + 0.0  # one zero: -0.0 + 0.0 is 0.0
    bits_BN = scores_BN.view(torch.int32)
    # Integers in the order of the floats: those of negative floats run the other way.
    ordered_BN = torch.where(bits_BN < 0, bits_BN ^ 0x7FFFFFFF, bits_BN)
    positions_N = torch.arange(scores_BN.shape[1], device=scores_BN.device)
    return ordered_BN.long() * 2**32 - positions_N
