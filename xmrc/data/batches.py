"""Which windows a step takes. In: window lengths, seed, epoch. Out: row indices, batch by batch.

Everything is a pure function of its arguments, so every worker computes the same batches, takes
its share of each, and a resumed run skips to the batch where it was stopped.
"""

import numpy as np

POOL = 50  # batches that are grouped by length together


def epoch_batches(
    lengths: np.ndarray, batch_size: int, *, seed: int, epoch: int
) -> list[np.ndarray]:
    """The optimisation batches of an epoch: every row once, `batch_size` at a time.

    Rows are shuffled, sorted by length within pools of 50 batches, and the batches shuffled. One
    batch is smaller where `batch_size` does not divide the rows.
    """
    generator = np.random.default_rng([seed, epoch])
    rows = generator.permutation(len(lengths))
    pool = POOL * batch_size
    batches = []
    for pool_rows in (rows[at : at + pool] for at in range(0, len(rows), pool)):
        grouped = pool_rows[np.argsort(lengths[pool_rows], kind="stable")]
        batches += [grouped[at : at + batch_size] for at in range(0, len(grouped), batch_size)]
    return [batches[index] for index in generator.permutation(len(batches))]


def shard(rows: np.ndarray, rank: int, world_size: int) -> np.ndarray:
    """One worker's part of a batch: every `world_size`-th row, so that lengths are shared out too.

    The parts of all ranks together are the rows, each once; a part may be empty.
    """
    return rows[rank::world_size]


def micro_batches(rows: np.ndarray, lengths: np.ndarray, max_tokens: int) -> list[np.ndarray]:
    """Cut rows so that no piece, padded to its longest row, has more than `max_tokens` tokens.

    `lengths` are those of all windows. Longest rows first: what does not fit into memory shows at
    once. A row longer than `max_tokens` is a piece of its own; no rows are one empty piece.
    """
    longest_first = rows[np.argsort(-lengths[rows], kind="stable")]
    pieces, at = [], 0
    while at < len(rows):
        fitting = max(1, max_tokens // int(lengths[longest_first[at]]))
        pieces.append(longest_first[at : at + fitting])
        at += fitting
    return pieces or [longest_first]
