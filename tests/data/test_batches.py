"""Every window once an epoch, the same batches for every worker, pieces that fit."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xmrc.data.batches import POOL, epoch_batches, micro_batches, shard

LENGTHS = st.lists(st.integers(1, 400), min_size=1, max_size=300).map(np.array)
SIZES = st.integers(1, 40)
SEEDS = st.integers(0, 2**63)


def padded_tokens(batches: list[np.ndarray], lengths: np.ndarray) -> int:
    return sum(len(rows) * int(lengths[rows].max()) for rows in batches)


@given(LENGTHS, SIZES, SEEDS, st.integers(0, 100))
def test_every_row_is_in_one_batch_and_all_but_one_batch_are_full(
    lengths: np.ndarray, batch_size: int, seed: int, epoch: int
) -> None:
    batches = epoch_batches(lengths, batch_size, seed=seed, epoch=epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    sizes = sorted(len(rows) for rows in batches)
    full, rest = divmod(len(lengths), batch_size)
    assert sizes == [rest] * (rest > 0) + [batch_size] * full


@given(LENGTHS, SIZES, SEEDS, st.integers(0, 100))
def test_the_same_arguments_give_the_same_batches(
    lengths: np.ndarray, batch_size: int, seed: int, epoch: int
) -> None:
    one = epoch_batches(lengths, batch_size, seed=seed, epoch=epoch)
    other = epoch_batches(lengths.copy(), batch_size, seed=seed, epoch=epoch)
    assert [rows.tolist() for rows in one] == [rows.tolist() for rows in other]


def test_epochs_and_seeds_differ() -> None:
    lengths = np.arange(1000) % 97
    runs = [
        np.concatenate(epoch_batches(lengths, 8, seed=seed, epoch=epoch)).tolist()
        for seed, epoch in [(0, 0), (0, 1), (1, 0), (1, 1)]
    ]
    assert len({tuple(run) for run in runs}) == 4


@given(LENGTHS, st.integers(8, 40), SEEDS)
def test_within_a_pool_no_shorter_row_is_in_a_longer_batch(
    lengths: np.ndarray, batch_size: int, seed: int
) -> None:
    """All 300 rows are in one pool of 50 batches: the ranges of their lengths touch at most."""
    batches = epoch_batches(lengths, batch_size, seed=seed, epoch=0)
    ranges = sorted((lengths[rows].min(), lengths[rows].max()) for rows in batches)
    for (_, longest), (shortest, _) in pairwise(ranges):
        assert longest <= shortest


def test_grouping_saves_padding_over_many_pools_and_still_mixes() -> None:
    lengths = np.random.default_rng(0).integers(50, 385, 5 * POOL * 16 + 5)
    batches = epoch_batches(lengths, 16, seed=0, epoch=0)
    order = np.random.default_rng(1).permutation(len(lengths))
    unsorted = np.array_split(order, len(batches))
    wasted = padded_tokens(batches, lengths) - lengths.sum()
    assert wasted < 0.1 * (padded_tokens(unsorted, lengths) - lengths.sum())
    means = np.array([lengths[rows].mean() for rows in batches])
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.2  # neither rising nor falling
    first = np.concatenate(batches[:50])
    assert len(np.unique(first // (POOL * 16))) == 6  # rows of the whole corpus


@given(st.lists(st.integers(0, 99), unique=True, max_size=40).map(np.array), st.integers(1, 9))
def test_the_shards_together_are_the_batch(rows: np.ndarray, world_size: int) -> None:
    parts = [shard(rows, rank, world_size) for rank in range(world_size)]
    assert sorted(np.concatenate(parts).tolist()) == sorted(rows.tolist())
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(LENGTHS, st.data(), st.integers(1, 3000))
def test_pieces_fit_and_are_as_few_as_their_order_allows(
    lengths: np.ndarray, data: st.DataObject, max_tokens: int
) -> None:
    indices = st.integers(0, len(lengths) - 1)
    rows = np.array(data.draw(st.lists(indices, min_size=1, max_size=40)))
    pieces = micro_batches(rows, lengths, max_tokens)
    assert sorted(np.concatenate(pieces).tolist()) == sorted(rows.tolist())
    for piece in pieces:
        assert len(piece) == 1 or len(piece) * lengths[piece].max() <= max_tokens
    for piece, following in pairwise(pieces):
        assert lengths[piece].min() >= lengths[following].max()
        assert (len(piece) + 1) * lengths[piece].max() > max_tokens


def test_no_rows_are_one_empty_piece() -> None:
    (piece,) = micro_batches(np.array([], np.int64), np.array([3, 4]), 100)
    assert len(piece) == 0


def test_half_the_budget_cuts_into_pieces_that_fit_half() -> None:
    lengths = np.array([10, 20, 30, 40])
    rows = np.arange(4)
    assert [piece.tolist() for piece in micro_batches(rows, lengths, 160)] == [[3, 2, 1, 0]]
    assert [piece.tolist() for piece in micro_batches(rows, lengths, 80)] == [[3, 2], [1, 0]]
    assert [piece.tolist() for piece in micro_batches(rows, lengths, 40)] == [[3], [2], [1, 0]]
