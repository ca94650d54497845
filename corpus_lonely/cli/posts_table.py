"""A description of posts as tables for people: what it is, by month, by subreddit, and its gaps."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from rich.table import Table
from rich.text import Text

from corpus_lonely.ingest.gaps import months_between
from corpus_lonely.ingest.record import shown_setting

if TYPE_CHECKING:
    from corpus_lonely.ingest.describe.inspect import PostsDescription

_DROPPED = "dropped_"
_SUBREDDITS = 20
"""Named one by one; the rest are pooled."""
_OF_A_GAP = 3
"""Subreddits named for each gap."""


def facts_table(description: "PostsDescription") -> Table:
    """Two columns: what it is about, and what is so."""
    table = Table(
        title=Text(description.folder), title_justify="left", title_style="bold",
        show_header=False, box=None, padding=(0, 2, 0, 0),
    )  # fmt: skip
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _facts(description):
        table.add_row(name, Text(value))
    return table


def _facts(description: "PostsDescription") -> Iterator[tuple[str, str]]:
    months, settings = description.months, description.settings
    span = f", {months[0]} to {months[-1]}" if months else ""
    names = description.coverage["subreddit"].n_unique()
    yield "Posts", f"{description.posts:,}{span}; {names:,} subreddit{'s' * (names != 1)}"
    told = [
        f"{what}: {', '.join(Path(name).name for name in names)}"
        for what, names in (
            ("broken off", description.broken),
            ("broken off once, read whole later", description.repaired),
        )
        if names
    ]
    yield "Files", "; ".join([f"{len(description.files):,} read", *told])
    yield (
        "Settings",
        ", ".join(f"{key} {shown_setting(key, value)}" for key, value in settings.items()),
    )
    key = description.author_key
    yield "Authors", f"hashed, key {key}" if key else "names in plain text (--keep-authors)"
    yield "Gone", f"{description.gone:,} deleted or removed posts are remembered by id"
    how = "every value checked" if description.checked else "footers checked"
    bad = f", {len(description.bad):,} bad" if description.bad else ""
    good = len(months) - sum(name.startswith("month=") for name in description.bad)
    yield "Months", f"{good:,} of {len(months):,} good ({how}){bad}"
    if description.unfinished:
        yield "Unfinished", description.unfinished
    if description.others:
        yield "Other files", ", ".join(description.others[:5])


def coverage_table(description: "PostsDescription", by: tuple[str, ...]) -> Table:
    """A row for each month, subreddit, or both: read, kept, dropped by reason, authors."""
    table = description.coverage
    reasons = [name for name in table.columns if name.startswith(_DROPPED) and table[name].sum()]
    counts = ["read", "kept", *reasons]
    rows = table.group_by(*by).agg(pl.col(counts).sum(), pl.col("authors").sum())
    drawn = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in by:
        drawn.add_column(name, no_wrap=True)
    # people who write in several subreddits, or in several months, would count more than once
    exact = "kind" in by or (by == ("month",) and bool(description.authors))
    heads = [*(name.removeprefix(_DROPPED).replace("_", " ") for name in counts)]
    for name in [*heads, *(["authors"] if exact else [])]:
        drawn.add_column(name, justify="right")
    for row in _ordered(rows, by).iter_rows(named=True):
        cells = [_cell(row[name]) for name in by] + [f"{row[name]:,}" for name in counts]
        if by == ("month",) and exact:
            cells.append(f"{description.authors.get(row['month'], 0):,}" if row["month"] else "")
        elif exact:
            cells.append(f"{row['authors']:,}")
        drawn.add_row(*cells)
    return drawn


def _cell(value: str | None) -> str:
    return "no date" if value is None else value


def _ordered(rows: pl.DataFrame, by: tuple[str, ...]) -> pl.DataFrame:
    if by != ("subreddit",):
        return rows.sort(by, nulls_last=True)
    rows = rows.sort("read", "subreddit", descending=[True, False])
    if len(rows) <= _SUBREDDITS:
        return rows
    rest = rows.slice(_SUBREDDITS).select(pl.exclude("subreddit").sum())
    name = pl.lit(f"{len(rows) - _SUBREDDITS:,} others").alias("subreddit")
    return pl.concat([rows.head(_SUBREDDITS), rest.select(name, pl.all()).select(rows.columns)])


def _runs(months: list[str]) -> Iterator[tuple[str, str]]:
    """The first and the last of months that follow each other."""
    begin = 0
    for place in range(1, len(months) + 1):
        if place == len(months) or months_between(months[place - 1], months[place])[2:]:
            yield months[begin], months[place - 1]
            begin = place


def gap_lines(description: "PostsDescription") -> Iterator[str]:
    """A line for each gap, those of several subreddits at the same time together."""
    for first, last in _runs(description.empty_months):
        span = first if first == last else f"{first} to {last}"
        yield f"Gap: {span}: nothing at all was read: is a file missing?"
    shared = defaultdict(list)
    for gap in description.gaps:
        if gap.begin not in description.empty_months or gap.unit == "day":
            shared[gap.begin, gap.end, gap.unit].append(gap)
    for (begin, end, unit), gaps in shared.items():
        gaps.sort(key=lambda gap: (-gap.usual, gap.subreddit))
        named = [f"r/{gap.subreddit} {gap.kind}s" for gap in gaps[:_OF_A_GAP]]
        more = f" and {len(gaps) - _OF_A_GAP:,} more" if len(gaps) > _OF_A_GAP else ""
        posts, usual = sum(gap.posts for gap in gaps), sum(gap.usual for gap in gaps)
        yield (
            f"Gap: {begin if begin == end else f'{begin} to {end}'}: {', '.join(named)}{more}: "
            f"{posts:,} posts, usual are {usual:,} a {unit}"
        )


def gap_summary(coverage: pl.DataFrame) -> str | None:
    """The widest gaps of a table of coverage in a line; None where there is none."""
    found = coverage.filter(pl.col("gap") | (pl.col("gap_days") > 0)).sort(
        "gap", "gap_days", "month", "subreddit", "kind", descending=[True, True, *[False] * 3]
    )
    if found.is_empty():
        return None
    named = [
        f"r/{subreddit} {kind}s {month} ({'all' if whole else '1 day' if days == 1 else f'{days} days'})"
        for subreddit, kind, month, whole, days in found.select(
            "subreddit", "kind", "month", "gap", "gap_days"
        )
        .head(_OF_A_GAP)
        .iter_rows()
    ]
    more = f" and {len(found) - _OF_A_GAP:,} more" if len(found) > _OF_A_GAP else ""
    return f"Far fewer posts than usual: {', '.join(named)}{more}"
