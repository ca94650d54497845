"""Which rows of scores count, and sums of them by month, period and author, in Polars.

Two shares of a label, and every table names which is meant:
  share_of_lonely  sum(P(lonely) * P(label | lonely)) / sum(P(lonely)): its share among lonely posts,
                   each post counted by how likely it is lonely
  share_of_all     mean(P(lonely) * P(label | lonely)): its share of all posts
and two of loneliness itself:
  mean_probability    mean(P(lonely))
  share_at_threshold  the share of posts with P(lonely) at or above a threshold
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time

import polars as pl

from corpus_lonely.errors import InputError, SettingsError
from corpus_lonely.taxonomy import Taxonomy

KINDS = ("submission", "comment", "both")
UNITS = {"month": "%Y-%m", "week": "%Y-%m-%d"}
"""Units of time by name, and how one of them is written: a week by its Monday."""
IN_POSTS = "in_posts"
"""Of rows joined to posts: whether their post is there."""
BEFORE, AFTER = "before", "after"
DIGITS = 9
"""Decimals kept in tables: sums of floats differ beyond them from run to run."""

MOST_CLUSTERS = 20_000
"""Up to so many authors each is a cluster of their own."""
DEALT_CLUSTERS = 4_096
"""More authors are dealt at random into so many clusters, which bounds memory: sums over random groups of
independent authors are independent too (the random groups of Wolter 2007, chapter 2)."""

CLUSTER_CELLS = ("month", "period", "inside")
_POSTS, _ABOVE = "posts", "above"
_OF_SCORES = ("created_at", "status")
"""Which a posts folder cannot give."""


@dataclass(frozen=True)
class Estimand:
    """One number asked of a set of posts: the ratio of two sums over them."""

    group: str
    label: str
    measure: str
    numerator: str
    """The column of sums above the line."""
    denominator: str


def estimands(taxonomy: Taxonomy) -> list[Estimand]:
    """All that is asked: loneliness twice, then each label twice, in the order of the taxonomy."""
    root = taxonomy.root.name
    asked = [
        Estimand(root, root, "mean_probability", root, _POSTS),
        Estimand(root, root, "share_at_threshold", _ABOVE, _POSTS),
    ]
    for measure, denominator in (("share_of_lonely", root), ("share_of_all", _POSTS)):
        asked += [
            Estimand(category.name, label, measure, column, denominator)
            for category in taxonomy.categories
            for label, column in zip(category.labels, category.columns, strict=True)
        ]
    return asked


def sum_columns(taxonomy: Taxonomy) -> list[str]:
    """The columns of sums: posts, posts above the threshold, then P(lonely) and each label's."""
    return [_POSTS, _ABOVE, *taxonomy.score_columns]


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
    """Whether authors are dealt into `DEALT_CLUSTERS`, for there are too many to keep apart."""
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
        _kind(frame).alias("kind"), _reason(frame, selection).alias("reason")
    ).agg(pl.len().cast(pl.Int64).alias("rows"))


def _kind(frame: pl.LazyFrame) -> pl.Expr:
    kind = pl.col("kind").cast(pl.String) if _has(frame, "kind") else pl.lit(None, pl.String)
    return kind.fill_null("unknown")


def _has(frame: pl.LazyFrame, column: str) -> bool:
    return column in frame.collect_schema().names()


def _reason(frame: pl.LazyFrame, selection: Selection) -> pl.Expr:
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
        .when(~(pl.col(IN_POSTS) if _has(frame, IN_POSTS) else pl.lit(True)))
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
        (period_of(created, selection) == side)
        & _begin(created, selection.by)
        .dt.strftime(UNITS[selection.by])
        .is_in([m for m, p in selection.suppressed if p == side])
        for side in (BEFORE, AFTER)
    )


def _begin(created: pl.Expr, by: str) -> pl.Expr:
    """The first moment of the month or, a Monday, of the week."""
    return created.dt.truncate("1w" if by == "week" else "1mo")


def _month(created: pl.Expr, by: str) -> pl.Expr:
    """A month is made of whole weeks where those are shown, each in the month of its Thursday: else months
    less weeks would tell of the few days of a week that lie in another month."""
    return (
        _begin(_begin(created, by).dt.offset_by("3d"), "month")
        if by == "week"
        else _begin(created, by)
    )


def usable(
    frame: pl.LazyFrame, selection: Selection, where: str, carried: tuple[str, ...] = ()
) -> pl.LazyFrame:
    """The rows that are kept, ready for sums: `created_at`, `month`, `week`, `period`, `inside`, `author`,
    `who` (the author as a number), `kind`, `cluster`, `stratum`, `group`, `subreddit`, `sum_columns`, and columns
    to be carried where there are any. `inside` tells whether the row is in the windows compared.

    Raises InputError when a column that is needed is missing, SettingsError for a kind unknown.
    """
    check(frame, selection, where)
    weight = pl.col(selection.taxonomy.root.name).cast(pl.Float64)
    created = moment(frame)
    author = (pl.col("author") if _has(frame, "author") else pl.lit(None)).cast(pl.String)
    labels = [
        (weight * pl.col(column).cast(pl.Float64)).alias(column)
        for column in selection.taxonomy.score_columns[1:]
    ]
    return frame.filter(_reason(frame, selection) == "kept").select(
        created.alias("created_at"),
        _month(created, selection.by).alias("month"),
        _begin(created, "week").alias("week"),
        period_of(created, selection).alias("period"),
        _inside(created, selection).alias("inside"),
        author.alias("author"),
        author.hash(seed=0).alias("who"),
        _kind(frame).alias("kind"),
        _cluster(frame, author, selection).alias("cluster"),
        _as_text(selection.stratum).alias("stratum"),
        _as_text(selection.group).alias("group"),
        _as_text("subreddit" if _has(frame, "subreddit") else None).alias("subreddit"),
        pl.lit(1, pl.Int64).alias(_POSTS),
        (weight >= selection.threshold).cast(pl.Int64).alias(_ABOVE),
        weight.alias(selection.taxonomy.root.name),
        *labels,
        *(pl.col(name) for name in carried if _has(frame, name)),
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
            + ("; or give --posts" if missing[0] in set(in_posts) - set(_OF_SCORES) else ""),
        )
    found = frame.collect_schema()["created_at"]
    if not isinstance(found, pl.Datetime):
        raise InputError(f"column 'created_at' is of type {found}, not a timestamp", where=where)


def period_of(created: pl.Expr, selection: Selection) -> pl.Expr:
    """`before` or `after` the cut."""
    return pl.when(created < _begins(selection)).then(pl.lit(BEFORE)).otherwise(pl.lit(AFTER))


def _begins(selection: Selection) -> pl.Expr:
    """The first moment after the cut."""
    return pl.lit(datetime.combine(selection.cut, time(), UTC))


def _inside(created: pl.Expr, selection: Selection) -> pl.Expr:
    """Windows take in whole the month (or week) that their edge lies in: else a table of whole months, less
    the window, would tell of the few days and people that the edge cuts off."""
    begins, by, inside = _begins(selection), selection.by, pl.lit(True)
    if selection.pre is not None:
        inside &= created >= _begin(begins.dt.offset_by(f"-{selection.pre}mo"), by)
    if selection.post is not None:
        last = begins.dt.offset_by(f"{selection.post}mo").dt.offset_by("-1us")
        inside &= created < _begin(last, by).dt.offset_by("1w" if by == "week" else "1mo")
    return inside


def _cluster(frame: pl.LazyFrame, author: pl.Expr, selection: Selection) -> pl.Expr:
    """The author, or the post itself where none is known, marked so that it is nobody's name."""
    alone = (
        pl.col("post_id")
        if _has(frame, "post_id")
        else pl.struct("created_at", selection.taxonomy.root.name).hash()
    )
    key = pl.coalesce(author, pl.lit("\0") + alone.cast(pl.String))
    return (key.hash(seed=0) % DEALT_CLUSTERS).cast(pl.UInt16) if selection.dealt else key


def _as_text(column: str | None) -> pl.Expr:
    """A column that splits rows; empty when None."""
    if column is None:
        return pl.lit("")
    return pl.col(column).cast(pl.String).str.to_lowercase().fill_null("unknown")


def moment(frame: pl.LazyFrame) -> pl.Expr:
    """`created_at` in UTC; a moment without a zone is taken for UTC."""
    column = pl.col("created_at")
    if getattr(frame.collect_schema()["created_at"], "time_zone", None) is None:
        return column.dt.replace_time_zone("UTC")
    return column.dt.convert_time_zone("UTC")


def unit_keys(by: str) -> tuple[str, ...]:
    """What a row of `monthly_sums` is of."""
    return ("month", "period") if by == "month" else ("month", "week", "period")


def monthly_sums(rows: pl.LazyFrame, taxonomy: Taxonomy, by: str = "month") -> pl.LazyFrame:
    """Sums by month (or week) and period, with posts `without_author`, the `first` and the `last` moment.

    The month that holds the cut has a row for each side of it.
    """
    return rows.group_by(*unit_keys(by), maintain_order=True).agg(
        *(pl.col(name).sum() for name in sum_columns(taxonomy)),
        pl.col("author").is_null().sum().cast(pl.Int64).alias("without_author"),
        pl.col("created_at").min().alias("first"),
        pl.col("created_at").max().alias("last"),
    )


def period_counts(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Posts and posts without an author, by `period` and `inside`."""
    return rows.group_by("period", "inside", maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("posts"),
        pl.col("author").is_null().sum().cast(pl.Int64).alias("without_author"),
    )


def cluster_sums(
    rows: pl.LazyFrame, taxonomy: Taxonomy, by: tuple[str, ...] = CLUSTER_CELLS
) -> pl.LazyFrame:
    """Sums by cluster and `by`; a post without an author is a cluster."""
    return rows.group_by("cluster", *by, maintain_order=True).agg(
        pl.col(name).sum() for name in sum_columns(taxonomy)
    )


def named_months(sums: pl.DataFrame) -> pl.DataFrame:
    """With `month` as `YYYY-MM`, and `week` as the day of its Monday."""
    return sums.with_columns(
        pl.col(name).dt.strftime(form) for name, form in UNITS.items() if name in sums.columns
    )


def author_sums(rows: pl.LazyFrame, taxonomy: Taxonomy, share: float = 1.0) -> pl.LazyFrame:
    """Sums by known author and period, inside the windows; of a random `share` of the authors."""
    chosen = pl.col("author").is_not_null() & pl.col("inside")
    if share < 1:
        chosen &= pl.col("author").hash(seed=1) % 1_000_000 < round(share * 1_000_000)
    return (
        rows.filter(chosen)
        .group_by("author", "period", maintain_order=True)
        .agg(pl.col(name).sum() for name in sum_columns(taxonomy))
    )


def tidy(sums: pl.DataFrame, keys: list[str], taxonomy: Taxonomy) -> pl.DataFrame:
    """One row a set of posts and estimand: keys, group, label, measure, value, posts, authors.

    sums: `sum_columns`, `authors` and the keys. A value over nothing is null.
    """
    return pl.concat(
        sums.select(
            *keys,
            pl.lit(asked.group).alias("group"),
            pl.lit(asked.label).alias("label"),
            pl.lit(asked.measure).alias("measure"),
            (pl.col(asked.numerator) / pl.col(asked.denominator))
            .fill_nan(None)
            .round(DIGITS)
            .alias("value"),
            "posts",
            "authors",
        )
        for asked in estimands(taxonomy)
    )
