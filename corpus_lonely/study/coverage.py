"""Which rows, months and authors a study stands on, counted."""

from dataclasses import dataclass

import polars as pl

from corpus_lonely.study.figures import units_between


@dataclass(frozen=True)
class Coverage:
    """Which rows and months a study stands on."""

    read: int
    kept: int
    dropped: dict[str, int]
    """Rows left out, by reason; read = kept + dropped."""
    kinds: dict[str, int]
    """Kept rows by kind."""
    first: str
    """The first and the last moment among kept rows, ISO 8601, UTC."""
    last: str
    missing_months: list[str]
    """Months (or weeks) between the first and the last without any row."""
    suppressed: list[str]
    """Months or weeks, or sides of that which holds the cut, with too few authors; dropped for that reason."""
    authors: int
    posts_without_author: int
    unfinished: bool
    """Whether scoring had not ended when the study was made."""
    missing_parts: int
    """Parts of the scores that were not there then."""

    @property
    def counts_authors(self) -> bool:
        """Whether any author is known, so that months can be suppressed by authors at all."""
        return self.authors > 0

    @property
    def unit(self) -> str:
        """What a month needs enough of: `authors`, or `posts` where no author is known."""
        return "authors" if self.counts_authors else "posts"


def coverage_of(
    counted: pl.DataFrame,
    units: pl.DataFrame,
    authors: int,
    periods: pl.DataFrame,
    *,
    unfinished: bool,
    missing_parts: int,
) -> Coverage:
    """From `selection.counted_rows`, the sums by month or week (with `suppressed`), authors and `period_counts`."""
    kept = counted.filter(pl.col("reason") == "kept")
    left_out = (
        counted.filter(pl.col("reason") != "kept").group_by("reason").agg(pl.col("rows").sum())
    )
    by = "week" if "week" in units.columns else "month"
    there = units[by].unique().sort().to_list()
    short, shown = units.filter("suppressed"), units.filter(~pl.col("suppressed"))
    return Coverage(
        read=int(counted["rows"].sum()),
        kept=int(kept["rows"].sum()),
        dropped=dict(left_out.sort("reason").iter_rows()),
        kinds=dict(kept.select(pl.col("kind").fill_null("unknown"), "rows").iter_rows()),
        first=shown["first"].min().isoformat(),  # type: ignore[union-attr]
        last=shown["last"].max().isoformat(),  # type: ignore[union-attr]
        missing_months=[m for m in units_between(there[0], there[-1]) if m not in there],
        suppressed=[
            f"{month} ({period})" if split else month
            for month, period, split in short.select(by, "period", "holds_cut").iter_rows()
        ],
        authors=authors,
        posts_without_author=int(periods["without_author"].sum()),
        unfinished=unfinished,
        missing_parts=missing_parts,
    )
