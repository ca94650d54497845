"""Whether what is compared is of the same make: posts by kind and subreddit, before and after the cut."""

from collections.abc import Iterator, Sequence

import polars as pl

from corpus_lonely.study.apart import shown_values
from corpus_lonely.study.panel import OTHERS
from corpus_lonely.study.periods import AFTER, BEFORE
from corpus_lonely.study.running import MOST_BY_MONTH, Authors, RunningSums

MIXED = ("kind", "subreddit")
"""Columns of `usable_rows.usable` whose mix may change with the cut."""
TRAINED_ON = ("lonely", "loneliness", "youngadults", "college")
"""The subreddits of FIG-Loneliness."""
MUCH = 0.1
"""Of the posts: below, a change is not worth a warning."""
_SIDES = (BEFORE, AFTER)


class Mix:
    """Posts and authors of each value of a column in the periods compared, as pieces come."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._posts = RunningSums("period", name)
        self._authors = Authors(MOST_BY_MONTH, "period", name)

    def add(self, rows: pl.DataFrame) -> None:
        """Rows of `usable_rows.usable`, in the windows."""
        counts = rows.group_by("period", self.name, maintain_order=True)
        self._posts.add(counts.agg(pl.col("posts").sum()))
        self._authors.add(rows)

    def counted(self, chosen: Sequence[str]) -> list[tuple[int, int]]:
        """Posts and known authors that some values have together, before and after."""
        keys = [[(side, value) for value in chosen] for side in _SIDES]
        posts = self._posts_of
        return [(sum(posts.get(k, 0) for k in own), self._authors.total(iter(own))) for own in keys]

    def people(self, chosen: Sequence[str]) -> list[int]:
        """How many people these values have together at least, before and after.

        Posts none of whose authors is known may all be of one; where no author at all is known, posts count.
        """
        known = self._authors.total() > 0
        return [
            (max(1, authors) if known else posts) if posts else 0
            for posts, authors in self.counted(chosen)
        ]

    def rows(self, fewest: int) -> Iterator[tuple[str, str, int, int, int, int]]:
        """Column, value, posts and authors before and after; values of too few people are pooled."""
        sizes: dict[str, int] = {}
        for (_, value), count in self._posts_of.items():
            sizes[value] = sizes.get(value, 0) + count
        by_size = sorted(sizes, key=lambda value: (-sizes[value], value))
        good, rest = shown_values(by_size, self.people, fewest, may_lack=True)
        for value, members in [(v, [v]) for v in good] + ([(OTHERS, rest)] if rest else []):
            (posts_b, authors_b), (posts_a, authors_a) = self.counted(members)
            yield self.name, value, posts_b, posts_a, authors_b, authors_a

    @property
    def _posts_of(self) -> dict[tuple[str, str], int]:
        return {(side, value): count for side, value, count in self._posts.table().iter_rows()}


def mix_table(mixes: Sequence[Mix], fewest: int) -> pl.DataFrame:
    """See `mix.csv`: one row a value of each column, its posts, authors and part of all posts by period."""
    names = ["column", "value", *(f"{w}_{s}" for w in ("posts", "authors") for s in _SIDES)]
    table = pl.DataFrame(
        [row for mix in mixes for row in mix.rows(fewest)],
        {name: pl.String if place < 2 else pl.Int64 for place, name in enumerate(names)},
        orient="row",
    )
    # a column that scores lack is empty throughout
    return table.filter(pl.col("value") != "").with_columns(
        (pl.col(f"posts_{side}") / pl.col(f"posts_{side}").sum().over("column"))
        .round(9)
        .alias(f"share_{side}")
        for side in _SIDES
    )


def moved(mix: pl.DataFrame, column: str) -> float:
    """The part of the posts that would have to be of another value: half the sum of |after - before|."""
    own = mix.filter(pl.col("column") == column)
    return float((own["share_after"] - own["share_before"]).abs().sum()) / 2


def caveats_of(mix: pl.DataFrame, *, corrected: bool) -> Iterator[str]:
    """What a changed mix means, and a corpus unlike the one the model was trained on, unless that is corrected for."""
    for column in mix["column"].unique(maintain_order=True):
        part = moved(mix, column)
        if part >= MUCH:
            yield (
                f"The mix changed: {100 * part:.0f} % of the posts after the cut would have to be of another {column} for it to be as "
                f"before, and that alone can move every number. `standardised` (--standardise {column}) holds the mix still"
            )
    if corrected:
        return
    named = mix.filter(pl.col("column") == "subreddit", pl.col("value") != "unknown")
    posts = named["posts_before"] + named["posts_after"]
    every = int(posts.sum())
    elsewhere = int(posts.filter(~named["value"].is_in(TRAINED_ON)).sum())
    if elsewhere and elsewhere / every >= MUCH:
        small = ", or from ones too small to be told" if OTHERS in named["value"] else ""
        yield (
            f"{100 * elsewhere / every:.0f} % of the posts are from other subreddits than the four of FIG-Loneliness{small}: how often "
            "a model trained there errs in these, nobody knows until some are labelled"
        )
