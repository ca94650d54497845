"""Whether there is enough to compare: each check raises InputError or SettingsError where what it says does not hold."""

import polars as pl

from corpus_lonely.errors import InputError, SettingsError
from corpus_lonely.study.asked import Asked
from corpus_lonely.study.labelled import Labelled
from corpus_lonely.study.periods import AFTER, BEFORE


def check_cut(months: pl.DataFrame, settings: Asked) -> None:
    """Posts lie on both sides of the cut."""
    if months.is_empty():
        raise InputError(
            "has no row with status ok and a date"
            + ("" if settings.kind == "both" else f" that is a {settings.kind}")
            + (" and fits --where" if settings.where else "")
            + (" and has its post in --posts" if settings.posts else "")
            + (" and in --marks" if settings.marks else ""),
            where=settings.scores,
        )
    sides = set(months["period"])
    if len(sides) == 1:
        first, last = (months[end].dt.date().sort() for end in ("first", "last"))
        raise SettingsError(
            f"--cut must have posts before and after it, got {settings.cut}: all posts of "
            f"{settings.scores} lie {sides.pop()} it ({first[0]} to {last[-1]})"
        )


def check_authors(months: pl.DataFrame, settings: Asked) -> None:
    """Each period has a month (or week) of enough authors."""
    unit = "authors" if months["authors"].sum() else "posts"
    for period in (BEFORE, AFTER):
        if months.filter(pl.col("period") == period)["suppressed"].all():
            raise InputError(
                f"has {period} {settings.cut} only {settings.by}s with fewer than --min-authors "
                f"{settings.min_authors} {unit}",
                where=settings.scores,
                hint="Choose another --cut, or score more posts",
            )


def check_windows(periods: pl.DataFrame, settings: Asked) -> None:
    """The windows hold posts of both periods."""
    for period, name in ((BEFORE, "pre"), (AFTER, "post")):
        if periods.filter((pl.col("period") == period) & pl.col("inside")).is_empty():
            raise SettingsError(
                f"--{name} must reach posts {period} {settings.cut}, got {getattr(settings, name)}"
            )


def check_labelled(labelled: Labelled, settings: Asked) -> None:
    """A labelled post is among those compared."""
    if labelled.rows.is_empty():
        raise InputError(
            f"holds no labelled post of the periods compared: of {labelled.read} rows "
            f"{labelled.blank} are not filled in, and {labelled.unknown} have no score there",
            where=settings.gold,
        )
