"""The scores of some posts, and the columns that hold them."""

# N posts, L labels

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corpus_lonely.tables import scores_schema
from corpus_lonely.taxonomy import Taxonomy


@dataclass(frozen=True)
class Scores:
    """The scores of N posts, in the order of their texts."""

    taxonomy: Taxonomy
    probabilities_NL: NDArray[np.float32]
    """(N, L): each group of a row sums to 1; NaN where the status is not `ok`."""
    status: list[str]
    """`ok`, `empty` (null or no text) or `error` (the model gave no number)."""
    num_tokens: NDArray[np.int32]
    truncated: NDArray[np.bool_]

    def to_arrow(self) -> pa.Table:
        """The columns of a scores table: one a label, null where there are no scores, then the facts."""
        missing = np.array([status != "ok" for status in self.status], dtype=bool)
        root = self.taxonomy.slices[self.taxonomy.root.name]
        # of the two labels of the root only the second is a column: P(lonely)
        shown = [i for i in range(self.taxonomy.num_outputs) if i != root.start]
        labels = [
            pa.array(np.ascontiguousarray(self.probabilities_NL[:, i]), mask=missing) for i in shown
        ]
        facts = [pa.array(self.status), pa.array(self.num_tokens), pa.array(self.truncated)]
        return pa.Table.from_arrays([*labels, *facts], schema=scores_schema(self.taxonomy))


def statuses(texts: Sequence[str], probabilities_NL: NDArray[np.float32]) -> list[str]:
    """What became of each text: `ok` where it has numbers, else `error`, or `empty` without text."""
    finite = np.isfinite(probabilities_NL.sum(axis=1)).tolist()
    return [
        "ok" if good else ("error" if text else "empty")
        for text, good in zip(texts, finite, strict=True)
    ]
