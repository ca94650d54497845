"""Sums and counts that grow by one piece of rows at a time, so that memory does not grow with the rows.

Nothing here depends on how rows are cut into pieces, but for the last bits of sums of floats.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import polars as pl

from corpus_lonely.study import aggregate
from corpus_lonely.study.periods import AFTER, BEFORE
from corpus_lonely.taxonomy import Taxonomy

Hashes = npt.NDArray[np.uint64]

MOST_BY_MONTH = 1 << 15
"""Up to so many authors of a month are counted one by one; 256 KiB a month."""
MOST_BY_PERIOD = 1 << 20
"""The same of a period; 8 MiB each, and the estimate of more is good to .1 %."""
SPLITS = ("stratum", "group", "subreddit")
"""Columns of `usable_rows.usable` that may have many values, of which the largest are kept apart."""
_WAITING = 250_000
"""Rows of partial sums held before they are merged."""
_EXTREMES = ("first", "last")


class RunningSums:
    """A table of sums by keys; `first` is a minimum, `last` a maximum, every other column is added up."""

    def __init__(self, *keys: str) -> None:
        self._keys = keys
        self._parts: list[pl.DataFrame] = []
        self._waiting = 0

    def add(self, part: pl.DataFrame) -> None:
        """One piece's sums, each key there once."""
        self._parts.append(part)
        self._waiting += len(part)
        if self._waiting > _WAITING + len(self._parts[0]):
            self._merge()

    def table(self) -> pl.DataFrame:
        """All so far, sorted by the keys; at least one piece must have come."""
        self._merge()
        return self._parts[0].sort(self._keys, nulls_last=True)

    def _merge(self) -> None:
        if len(self._parts) > 1:
            every = pl.concat(self._parts)
            added = [n for n in every.columns if n not in (*self._keys, *_EXTREMES)]
            ends = [
                pl.col(name).min() if name == "first" else pl.col(name).max()
                for name in _EXTREMES
                if name in every.columns
            ]
            # in order, for threads would add floats up in another order each time: same bytes again
            merged = every.group_by(self._keys, maintain_order=True).agg(pl.col(added).sum(), *ends)
            self._parts = [merged.select(every.columns)]
        self._waiting = 0


class Distinct:
    """How many different hashes have come: exact below `most`, then an estimate from the smallest.

    Of n hashes spread evenly over [0, 1) the k-th smallest lies near k / n. Its standard error is
    1 / sqrt(k - 2) of n: .55 % with 32,768. Beyer et al. 2007 (k minimum values).
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: Hashes = np.empty(0, np.uint64)
        self._waiting: list[Hashes] = []
        self._ceiling = np.iinfo(np.uint64).max

    def add(self, hashes: Hashes) -> None:
        """Some of them may have come before."""
        self._waiting.append(hashes[hashes <= self._ceiling])
        if sum(map(len, self._waiting)) > self._most:
            self._settle()

    @property
    def smallest(self) -> Hashes:
        """The smallest `most` different ones, sorted."""
        self._settle()
        return self._kept

    def count(self) -> int:
        """Of those that came."""
        kept = self.smallest
        if len(kept) < self._most:
            return len(kept)
        return round((self._most - 1) * 2.0**64 / (float(kept[-1]) + 1))

    def _settle(self) -> None:
        self._kept = np.unique(np.concatenate([self._kept, *self._waiting]))[: self._most]
        self._waiting = []
        if len(self._kept) == self._most:
            self._ceiling = self._kept[-1]


def together(counts: Iterable[Distinct], most: int) -> Distinct:
    """Of several that keep as many: what one would have kept of all their hashes."""
    union = Distinct(most)
    for count in counts:
        union.add(count.smallest)
    return union


class Authors:
    """Different authors by keys."""

    def __init__(self, most: int, *keys: str) -> None:
        self._most, self._keys = most, keys
        self._counts: dict[tuple[object, ...], Distinct] = {}

    def add(self, rows: pl.DataFrame) -> None:
        """Rows of `usable_rows.usable`; those without an author are passed over."""
        known = rows.filter(pl.col("author").is_not_null()).select(*self._keys, "who").unique()
        for key, part in known.partition_by(self._keys, as_dict=True, include_key=False).items():
            self._counts.setdefault(key, Distinct(self._most)).add(part["who"].to_numpy())

    def joined(self, sums: pl.DataFrame) -> pl.DataFrame:
        """The table of sums by the same keys, with a column `authors`."""
        found = [self._counts.get(key) for key in sums.select(self._keys).iter_rows()]
        counts = [0 if count is None else count.count() for count in found]
        return sums.with_columns(pl.Series("authors", counts, pl.Int64))

    def total(self, keys: Iterable[tuple[object, ...]] | None = None) -> int:
        """Different ones under these keys together; all when None."""
        chosen = self._counts if keys is None else [key for key in keys if key in self._counts]
        return together((self._counts[key] for key in chosen), self._most).count()


class Months:
    """`aggregate.monthly_sums` with `authors`, by month or week, the kinds there are, and posts by what splits rows."""

    def __init__(self, taxonomy: Taxonomy, by: str = "month", splits: Iterable[str] = ()) -> None:
        """splits: those of `SPLITS` that rows have; the others would be counted for nothing."""
        self._taxonomy, self._by = taxonomy, by
        self._keys = aggregate.unit_keys(by)
        self._sums = RunningSums(*self._keys)
        self._authors = Authors(MOST_BY_MONTH, *self._keys)
        self._sizes = {name: RunningSums(name) for name in splits}
        self.kinds: set[str] = set()

    def add(self, rows: pl.DataFrame) -> None:
        """Rows of `usable_rows.usable`."""
        self._sums.add(aggregate.monthly_sums(rows.lazy(), self._taxonomy, self._by).collect())
        self._authors.add(rows)
        self.kinds |= set(rows["kind"].unique())
        compared = rows.filter("inside")
        for name, sizes in self._sizes.items():
            # the mix of before is what a stratum is held at; a group may begin after the cut
            counts = pl.col("posts").filter((pl.col("period") == BEFORE) | (name != "stratum"))
            sizes.add(compared.group_by(name).agg(counts.sum()))

    def table(self) -> pl.DataFrame:
        """A row a unit of time and period, in order."""
        table = self._authors.joined(self._sums.table())
        in_time = table.sort(self._by, pl.col("period") == AFTER)
        return aggregate.named_months(in_time)

    def months(self, units: pl.DataFrame) -> pl.DataFrame:
        """From the table with `suppressed`: a row a month, of its weeks that are shown."""
        if self._by == "month":
            return units
        shown = self._shown(units)
        counted = _summed(shown.drop("week"), ("month", "period"))
        rows = shown.select(self._keys).partition_by("month", "period", as_dict=True)
        authors = [
            self._authors.total(rows[key].iter_rows())
            for key in counted.select("month", "period").iter_rows()
        ]
        counted = aggregate.named_months(
            counted.with_columns(pl.Series("authors", authors, pl.Int64), suppressed=False)
        )
        # a month none of whose weeks is shown keeps its row, as one that is not shown
        hidden = units.join(counted, on=["month", "period"], how="anti")
        empty = _summed(hidden.drop("week", "holds_cut"), ("month", "period"))
        every = pl.concat([counted, empty.select(counted.columns)])
        in_time = every.sort("month", pl.col("period") == AFTER)
        return in_time.with_columns(pl.col("month").is_duplicated().alias("holds_cut"))

    def people(self, units: pl.DataFrame) -> tuple[int, int]:
        """Authors, and posts without one, outside what is suppressed."""
        shown = self._shown(units)
        keys = shown.select(self._keys).iter_rows()
        return self._authors.total(keys), int(shown["without_author"].sum())

    def _shown(self, units: pl.DataFrame) -> pl.DataFrame:
        """The sums that are not suppressed, with moments for names."""
        hidden = set(units.filter("suppressed").select(self._by, "period").iter_rows())
        sums = self._sums.table()
        names = aggregate.named_months(sums).select(self._by, "period").iter_rows()
        return sums.filter(pl.Series([name not in hidden for name in names], dtype=pl.Boolean))

    @property
    def splits(self) -> list[str]:
        """What posts are counted by."""
        return list(self._sizes)

    def largest(self, split: str, most: int) -> list[str]:
        """By posts in the windows; of a stratum, in that before the cut."""
        posts = self._sizes[split].table().sort("posts", split, descending=[True, False])
        return posts.head(most)[split].to_list()


def _summed(sums: pl.DataFrame, keys: tuple[str, ...]) -> pl.DataFrame:
    """Fewer rows: `first` is a minimum, `last` a maximum, `suppressed` stays, the rest adds up."""
    every = [n for n in sums.columns if n not in (*keys, *_EXTREMES, "suppressed")]
    flag = [pl.col("suppressed").all()] if "suppressed" in sums.columns else []
    return sums.group_by(keys, maintain_order=True).agg(
        pl.col(every).sum(), pl.col("first").min(), pl.col("last").max(), *flag
    )
