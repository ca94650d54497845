"""Which rows of scores count in a study, and why the others do not."""

from dataclasses import dataclass
from datetime import date

import polars as pl

from corpus_lonely.errors import InputError, SettingsError
from corpus_lonely.study.periods import AFTER, BEFORE, UNITS, begin, moment, period_of
from corpus_lonely.taxonomy import Taxonomy

KINDS = ("submission", "comment", "both")
IN_POSTS = "in_posts"
"""Of rows joined to posts: whether their post is there."""
_OF_SCORES = ("created_at", "status")
"""Which a posts folder cannot give."""


@dataclass(frozen=True)
class Selection:
    """Which rows of scores a study looks at, and where it cuts time."""

    taxonomy: Taxonomy
    cut: date
    """Midnight UTC of this day begins the period after."""
    kind: str = "both"
    """`submission`, `comment` or `both`."""
    threshold: float = 0.5
    """From this P(lonely) on a post counts as lonely in `share_at_threshold`."""
    suppressed: tuple[tuple[str, str], ...] = ()
    """Months (`YYYY-MM`), each with its period, that are left out."""
    pre: int | None = None
    """Months before the cut that are compared, rounded up to whole units of `by`; all when None. Other rows serve
    trend and season alone."""
    post: int | None = None
    """Months from the cut on that are compared, rounded up likewise; all when None."""
    dealt: bool = False
    """Whether authors are dealt into so many clusters as `usable_rows` says, for there are too many to keep apart."""
    stratum: str | None = None
    """The column (`subreddit` or `kind`) that splits sums further; none when None."""
    group: str | None = None
    """The column whose values are studied each by itself; none when None."""
    by: str = "month"
    """The unit of time in which too few authors are left out; `week` or `month`."""
    where: tuple[tuple[str, str], ...] = ()
    """Columns with the value that rows must have; several values of one column are alternatives."""


def counted_rows(frame: pl.LazyFrame, selection: Selection) -> pl.LazyFrame:
    """Rows by `kind` and `reason`: `kept`, or why a row is dropped; read = kept + dropped."""
    return frame.group_by(
        kind_of(frame).alias("kind"), reason(frame, selection).alias("reason")
    ).agg(pl.len().cast(pl.Int64).alias("rows"))


def kind_of(frame: pl.LazyFrame) -> pl.Expr:
    """The kind of each post; `unknown` where none is told."""
    kind = pl.col("kind").cast(pl.String) if has(frame, "kind") else pl.lit(None, pl.String)
    return kind.fill_null("unknown")


def has(frame: pl.LazyFrame, column: str) -> bool:
    """Whether there is such a column."""
    return column in frame.collect_schema().names()


def reason(frame: pl.LazyFrame, selection: Selection) -> pl.Expr:
    """`kept`, or why a row does not count."""
    scored = pl.all_horizontal(
        pl.col(column).is_not_null() & pl.col(column).cast(pl.Float64).is_finite()
        for column in selection.taxonomy.score_columns
    )
    asked = pl.lit(True)
    if selection.kind != "both":
        asked = pl.col("kind").eq_missing(selection.kind)
    return (
        pl.when(~asked)
        .then(pl.lit("other_kind"))
        .when(~(pl.col(IN_POSTS) if has(frame, IN_POSTS) else pl.lit(True)))
        .then(pl.lit("no_post"))
        .when(~_is_wanted(selection))
        .then(pl.lit("filtered"))
        .when(pl.col("status").ne_missing("ok"))
        .then(pl.col("status").cast(pl.String).fill_null("no_status"))
        .when(pl.col("created_at").is_null())
        .then(pl.lit("no_date"))
        .when(~scored)
        .then(pl.lit("no_score"))
        .when(_is_suppressed(frame, selection))
        .then(pl.lit("suppressed"))
        .otherwise(pl.lit("kept"))
    )


def _is_wanted(selection: Selection) -> pl.Expr:
    """Values are compared as text, and as nobody remembers how a subreddit is spelled, without case."""
    wanted = pl.lit(True)
    for column in dict.fromkeys(name for name, _ in selection.where):
        values = [value.lower() for name, value in selection.where if name == column]
        found = pl.col(column).cast(pl.String).str.to_lowercase().is_in(values)
        wanted &= found.fill_null(False)
    return wanted


def _is_suppressed(frame: pl.LazyFrame, selection: Selection) -> pl.Expr:
    if not selection.suppressed:
        return pl.lit(False)
    created = moment(frame)
    return pl.any_horizontal(
        (period_of(created, selection.cut) == side)
        & begin(created, selection.by)
        .dt.strftime(UNITS[selection.by])
        .is_in([m for m, p in selection.suppressed if p == side])
        for side in (BEFORE, AFTER)
    )


def columns_read(frame: pl.LazyFrame, selection: Selection) -> list[str]:
    """The columns that sums are made of, of those that the frame has."""
    names = {"created_at", "status", "kind", "author", "post_id", *selection.taxonomy.score_columns}
    names |= {name for name, _ in selection.where}
    names |= {"subreddit", *filter(None, (selection.stratum, selection.group))}
    return [name for name in frame.collect_schema().names() if name in names]


def check(frame: pl.LazyFrame, selection: Selection, where: str) -> None:
    """Raises InputError when a column that is needed is missing, SettingsError for a kind unknown."""
    if selection.kind not in KINDS:
        raise SettingsError(f"--kind must be one of {', '.join(KINDS)}, got {selection.kind!r}")
    needed = ["created_at", "status", *selection.taxonomy.score_columns]
    needed += ["kind"] if selection.kind != "both" else []
    in_posts = [*filter(None, (selection.stratum, selection.group))]
    in_posts += [name for name, _ in selection.where]
    needed += in_posts
    names = frame.collect_schema().names()
    missing = [name for name in needed if name not in names]
    if missing:
        raise InputError(
            f"has no column {missing[0]!r}; its columns are {', '.join(names)}",
            where=where,
            hint="Score posts that have it: `corpus-lonely score` passes it through"
            + (
                "; or give --posts, or --marks"
                if missing[0] in set(in_posts) - set(_OF_SCORES)
                else ""
            ),
        )
    found = frame.collect_schema()["created_at"]
    if not isinstance(found, pl.Datetime):
        raise InputError(f"column 'created_at' is of type {found}, not a timestamp", where=where)
