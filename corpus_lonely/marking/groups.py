"""Texts that are alike, brought together: each group is told by the post that came first."""

# C texts that are compared

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from corpus_lonely.marking.settings import BANDS
from corpus_lonely.marking.signatures import Signatures
from corpus_lonely.progress import Progress

Places = NDArray[np.int64]


def first_alike(
    signatures: Signatures, rank: Places, least: float, progress: Progress
) -> tuple[Places, Places]:
    """(C,) the place of each text's group's first, and the group's size; alone, a text is its own first.

    rank: (C,) in time: the least of a group is its first. least: similarity of two texts of one group.
    Groups are what a chain of such pairs connects. Pairs that share a band are looked at, each
    text with the one before it in that band and with the band's first.
    """
    progress.start("Comparing", BANDS + 1, "bands")
    texts = signatures.texts()
    one, other = _neighbours(texts)
    group = _joined(np.arange(len(texts)), one, other)
    representative = np.unique(texts, return_index=True)[1]
    progress.advance(1)
    for number in range(BANDS):
        one, other = _neighbours(signatures.band(number)[representative])
        one, other = representative[one], representative[other]
        apart = group[one] != group[other]
        one, other = one[apart], other[apart]
        alike = signatures.similarity(one, other) >= least
        group = _joined(group, one[alike], other[alike])
        progress.advance(1)
    progress.finish()
    return _firsts(group, rank)


def _neighbours(keys: NDArray[np.uint64]) -> tuple[Places, Places]:
    """Pairs of places with the same key: each with the one before it, and with the first of all."""
    order = np.argsort(keys, kind="stable")
    same = np.flatnonzero(keys[order][1:] == keys[order][:-1]) + 1
    begins = np.ones(len(order), dtype=bool)
    begins[same] = False
    starts = np.flatnonzero(begins)
    first = starts[np.searchsorted(starts, same, side="right") - 1]
    further = first != same - 1
    one = np.concatenate([order[same - 1], order[first[further]]])
    return one, np.concatenate([order[same], order[same[further]]])


def _joined(group: Places, one: Places, other: Places) -> Places:
    """The groups, with those of each pair made one."""
    if not len(one):
        return group
    pairs = (np.ones(len(one), dtype=bool), (group[one], group[other]))
    size = int(group.max()) + 1
    _, labels = connected_components(coo_array(pairs, shape=(size, size)), directed=False)
    joined: Places = labels.astype(np.int64)[group]
    return joined


def _firsts(group: Places, rank: Places) -> tuple[Places, Places]:
    order = np.lexsort((rank, group))
    begins = np.flatnonzero(np.diff(group[order], prepend=-1))
    sizes = np.diff(begins, append=len(order))
    first, size = np.empty_like(group), np.empty_like(group)
    first[order] = np.repeat(order[begins], sizes)
    size[order] = np.repeat(sizes, sizes)
    return first, size
