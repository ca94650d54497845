"""Each kind of post, or each group of a column, by itself: shown only where nobody can be found by subtraction."""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from corpus_lonely.study.effects import adjusted, count_of, difference, names_of, numbers, sides
from corpus_lonely.study.estimands import estimands
from corpus_lonely.study.inference import Cells
from corpus_lonely.study.panel import OTHERS
from corpus_lonely.study.periods import AFTER, BEFORE
from corpus_lonely.taxonomy import Taxonomy

People = Callable[[Sequence[str]], Sequence[int]]
"""How many people some values have together, in each period."""


def shown_values(
    values: Sequence[str], people: People, fewest: int, *, may_lack: bool
) -> tuple[list[str], list[str]]:
    """Which of the values (largest first) are shown by themselves, and which are pooled.

    Both periods of what is shown have at least `fewest` people, and so has what is pooled: else the whole less
    what is shown would tell of them. may_lack: a value may be wholly absent from a period.
    """

    def enough(chosen: Sequence[str], *, empty: bool) -> bool:
        return all(count >= fewest or (empty and count == 0) for count in people(chosen))

    good = [v for v in values if v != OTHERS and enough([v], empty=may_lack)]
    while good:
        rest = [value for value in values if value not in good]
        if not rest or enough(rest, empty=True):
            return good, rest
        good.pop()
    return [], list(values)


def apart_table(
    sums: pl.DataFrame, cells: Cells, taxonomy: Taxonomy, fewest: int, name: str, people: People
) -> pl.DataFrame:
    """See `kinds.csv` and `groups.csv`: before, after and difference of each value; authors resampled.

    sums: `aggregate.cluster_sums` by `name`, of which cells are made. Values with fewer than `fewest` people
    in a period are pooled, or left out where that is too few still; empty where fewer than two are left.
    people: not clusters, for each post without an author is one of those, and many may be of one person.
    """
    inside = sums.filter("inside")
    by_size = inside.group_by(name).agg(pl.col("posts").sum())
    values = by_size.sort("posts", name, descending=[True, False])[name].to_list()
    good, rest = shown_values(values, people, fewest, may_lack=False)
    pools = {value: [value] for value in good}
    if rest and good and min(people(rest)) >= fewest:
        pools[OTHERS] = rest
    if len(pools) < 2:
        return pl.DataFrame()
    return _table(inside, cells, taxonomy, name, pools)


def _table(
    inside: pl.DataFrame, cells: Cells, taxonomy: Taxonomy, name: str, pools: dict[str, list[str]]
) -> pl.DataFrame:
    asked, parts, p_values = estimands(taxonomy), [], []
    told_as = "kind" if name == "kind" else "value"
    for value, members in pools.items():
        rows = pl.col(name).is_in(members)
        before, after = sides(cells, asked, rows)
        told = difference(before, after)
        own = inside.filter(rows)
        columns = {"before": before.value_E, "after": after.value_E, "difference": told.value, "low": told.low,
                   "high": told.high, "p": told.p}  # fmt: skip
        counts = [
            pl.lit(count_of(own, "posts", side)).alias(f"posts_{side}") for side in (BEFORE, AFTER)
        ]
        parts.append(
            names_of(asked).with_columns(pl.lit(value).alias(told_as), *numbers(columns), *counts)
        )
        p_values.append(told.p)
    # over the labels of all values: each is one more chance to find something
    q = adjusted(np.concatenate(p_values), asked * len(pools))
    table = pl.concat(parts).with_columns(numbers({"q": q}))
    return table.select(
        "group", "label", "measure", told_as, "before", "after", "difference", "low", "high", "p", "q",
        "posts_before", "posts_after",
    )  # fmt: skip
