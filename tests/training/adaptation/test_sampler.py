"""The order of an epoch."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from corpus_lonely.training.adaptation.sampler import LengthGrouped
from corpus_lonely.training.adaptation.tokens import Pieces


def pieces_of(lengths: list[int]) -> Pieces:
    return Pieces(np.zeros(0, np.int32), np.concatenate([[0], np.cumsum(lengths)]))


def drawn(sampler: LengthGrouped, epoch: int) -> list[int]:
    sampler.set_epoch(epoch)
    draws = list(sampler)
    assert {told for _, told in draws} <= {epoch}
    return [piece for piece, _ in draws]


@hypothesis_settings(deadline=None)
@given(
    count=st.integers(1, 3000), batch=st.integers(1, 17), seed=st.integers(0, 9), epoch=st.integers(0, 3)
)  # fmt: skip
def test_each_piece_once_an_epoch_and_the_same_for_the_same_seed(
    count: int, batch: int, seed: int, epoch: int
) -> None:
    lengths = np.random.default_rng(count).integers(1, 500, count).tolist()
    sampler = LengthGrouped(pieces_of(lengths), batch, seed)
    order = drawn(sampler, epoch)
    assert sorted(order) == list(range(count)) == list(range(len(sampler)))
    assert drawn(LengthGrouped(pieces_of(lengths), batch, seed), epoch) == order
    if count > 50:
        assert drawn(sampler, epoch + 1) != order
        assert drawn(LengthGrouped(pieces_of(lengths), batch, seed + 1), epoch) != order


def test_little_is_padding_and_batches_come_in_no_order_of_length() -> None:
    lengths = np.minimum(np.random.default_rng(0).geometric(1 / 80, 20_000), 512)
    order = np.array(drawn(LengthGrouped(pieces_of(lengths.tolist()), 16, 0), 0))
    batches = lengths[order].reshape(-1, 16)
    assert lengths.sum() / (16 * batches.max(axis=1)).sum() > 0.94
    shuffled = np.random.default_rng(1).permutation(lengths).reshape(-1, 16)
    assert lengths.sum() / (16 * shuffled.max(axis=1)).sum() < 0.4  # what it would be otherwise
    longest = batches.max(axis=1)
    assert abs(np.corrcoef(longest[:-1], longest[1:])[0, 1]) < 0.1


@pytest.mark.parametrize("count", [10_000, 1_000_000])
def test_an_epoch_takes_four_bytes_a_piece(count: int) -> None:
    pieces = Pieces(np.zeros(0, np.int32), np.arange(count + 1))
    tracemalloc.start()
    draws = iter(LengthGrouped(pieces, 16, 0))
    for _ in range(5000):
        next(draws)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * count + 300_000
