"""The page's tables by month: labels, posts and authors."""

from collections.abc import Iterator
from html import escape

import polars as pl

from corpus_lonely.study.charts import named
from corpus_lonely.study.html_table import count, table_html
from corpus_lonely.study.report import StudyReport

_MONTHS_A_TABLE = 25
"""Of the heat map, so that paper holds it; two years, and one month in two parts."""


def heat_html(report: StudyReport) -> str:
    """Labels in rows, months in columns; each row is shaded from its own lowest to its highest value."""
    shown = report.monthly.filter(pl.col("measure").is_in(["mean_probability", "share_of_lonely"]))
    columns = shown.select("month", "period").unique(maintain_order=True).rows()
    split = set(report.monthly.filter("holds_cut")["month"])

    def rows(columns: list[tuple[str, str]]) -> Iterator[list[str]]:
        for (group, label), own in shown.group_by("group", "label", maintain_order=True):
            values = {(m, p): v for m, p, v in own.select("month", "period", "value").iter_rows()}
            known = [value for value in values.values() if value is not None]
            low, high = (min(known), max(known)) if known else (0.0, 0.0)
            yield [
                escape(named(str(group), str(label))),
                *(_shade(values.get(key), low, high) for key in columns),
            ]

    note = (
        '<p class="note">Each row is shaded from its own lowest to its highest value. - : too few authors.'
        f"{'' if report.weekly is None else ' Months are made of whole weeks, each in the month of its Thursday.'}</p>"
    )
    parts = []
    tables = max(1, -(-len(columns) // _MONTHS_A_TABLE))
    wide = -(-len(columns) // tables)  # alike, for a table of one month is none
    for start in range(0, len(columns), wide):
        some = columns[start : start + wide]
        heads = ["percent"] + [f"{m} {p}" if m in split else m for m, p in some]
        told = f"Shares by month, percent, {some[0][0]} to {some[-1][0]}"
        parts.append(table_html(told, heads, rows(some), kind="heat"))
    return "".join(parts) + note


def _shade(value: float | None, low: float, high: float) -> str:
    if value is None:
        return "<td>-</td>"
    depth = 0.0 if high == low else (value - low) / (high - low)
    # from white to the blue of Okabe and Ito, by lightness, so that it survives any vision and any printer
    red, green, blue = (round(255 + depth * (end - 255)) for end in (0, 114, 178))
    ink = "#fff" if depth > 0.75 else "#1a1a1a"
    return f'<td style="background:rgb({red},{green},{blue});color:{ink}">{100 * value:.1f}</td>'


def coverage_html(report: StudyReport) -> str:
    """What the numbers stand on: posts and authors by month."""
    months = report.monthly.filter(pl.col("measure") == "mean_probability")

    def rows() -> Iterator[list[str]]:
        for row in months.iter_rows(named=True):
            side = f" ({row['period']})" if row["holds_cut"] else ""
            counts = [count(row["posts"]), count(row["authors"])]
            yield [row["month"] + side, *counts, "left out" if row["suppressed"] else "yes"]

    coverage = report.coverage
    kinds = " and ".join(f"{n:,} {escape(k)}s" for k, n in coverage.kinds.items())
    said = (
        f"<p>{kinds} by {coverage.authors:,} known authors, from {coverage.first[:10]} to {coverage.last[:10]}; "
        f"{coverage.posts_without_author:,} posts are without an author.</p>"
    )
    return said + table_html(
        "Posts and authors by month", ["month", "posts", "authors", "shown"], rows()
    )
