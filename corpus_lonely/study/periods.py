"""The cut in time, the months or weeks around it, and the windows that are compared."""

from datetime import UTC, date, datetime, time

import polars as pl

UNITS = {"month": "%Y-%m", "week": "%Y-%m-%d"}
"""Units of time by name, and how one of them is written: a week by its Monday."""
BEFORE, AFTER = "before", "after"


def moment(frame: pl.LazyFrame) -> pl.Expr:
    """`created_at` in UTC; a moment without a zone is taken for UTC."""
    column = pl.col("created_at")
    if getattr(frame.collect_schema()["created_at"], "time_zone", None) is None:
        return column.dt.replace_time_zone("UTC")
    return column.dt.convert_time_zone("UTC")


def begin(created: pl.Expr, by: str) -> pl.Expr:
    """The first moment of the month or, a Monday, of the week."""
    return created.dt.truncate("1w" if by == "week" else "1mo")


def month(created: pl.Expr, by: str) -> pl.Expr:
    """A month is made of whole weeks where those are shown, each in the month of its Thursday: else months
    less weeks would tell of the few days of a week that lie in another month."""
    return (
        begin(begin(created, by).dt.offset_by("3d"), "month")
        if by == "week"
        else begin(created, by)
    )


def period_of(created: pl.Expr, cut: date) -> pl.Expr:
    """`before` or `after` the cut."""
    return pl.when(created < _first_after(cut)).then(pl.lit(BEFORE)).otherwise(pl.lit(AFTER))


def _first_after(cut: date) -> pl.Expr:
    """The first moment after the cut."""
    return pl.lit(datetime.combine(cut, time(), UTC))


def inside(created: pl.Expr, cut: date, by: str, *, pre: int | None, post: int | None) -> pl.Expr:
    """Windows take in whole the month (or week) that their edge lies in: else a table of whole months, less
    the window, would tell of the few days and people that the edge cuts off."""
    begins, compared = _first_after(cut), pl.lit(True)
    if pre is not None:
        compared &= created >= begin(begins.dt.offset_by(f"-{pre}mo"), by)
    if post is not None:
        last = begins.dt.offset_by(f"{post}mo").dt.offset_by("-1us")
        compared &= created < begin(last, by).dt.offset_by("1w" if by == "week" else "1mo")
    return compared
