"""The order of pieces in an epoch: by chance, but pieces of like length together, so that little is padded."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from corpus_lonely.training.adaptation.tokens import Pieces

Draw = tuple[int, int]
"""A piece and the epoch in which it is drawn: together with the seed they decide its masks."""
_BATCHES_SORTED = 64
"""Sorted by length together; more would pad still less, and leave less to chance."""


class LengthGrouped(Sampler[Draw]):
    """Each piece once an epoch. The same seed and epoch give the same order, on any number of processes.

    Memory: four bytes a piece. The Trainer's own samplers hold Python lists of all places, ten times that.
    """

    def __init__(self, pieces: Pieces, batch: int, seed: int) -> None:
        self._pieces, self._batch, self._seed = pieces, batch, seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """The epoch that the next pass is of."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._pieces)

    def __iter__(self) -> Iterator[Draw]:
        epoch = self._epoch
        chance = np.random.default_rng((self._seed, epoch))
        order = np.arange(len(self), dtype=np.uint32)
        chance.shuffle(order)
        size = _BATCHES_SORTED * self._batch
        for start in range(0, len(order), size):
            chunk = order[start : start + size].astype(np.int64)
            full = len(chunk) // self._batch * self._batch
            # what does not fill a batch is split off before sorting, or it would be the longest each time
            batches, rest = chunk[:full], chunk[full:]
            batches = batches[np.argsort(self._pieces.lengths(batches), kind="stable")]
            for batch in chance.permutation(batches.reshape(-1, self._batch)):
                yield from ((piece, epoch) for piece in batch.tolist())
            yield from ((piece, epoch) for piece in rest.tolist())
