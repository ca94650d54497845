"""The page's tables of before against after, by every way of telling it."""

from collections.abc import Callable, Iterator
from html import escape
from typing import Any

import polars as pl

from corpus_lonely.study.charts import named
from corpus_lonely.study.estimates import ESTIMATORS, TITLES
from corpus_lonely.study.figures import worded
from corpus_lonely.study.html_table import interval, p_value, points, table_html
from corpus_lonely.study.periods import AFTER, BEFORE
from corpus_lonely.study.report import StudyReport, percent


def periods_html(report: StudyReport) -> str:
    """Before against after, a table a group."""
    heads = [
        "label",
        "before",
        "after",
        "difference (pp)",
        "95 % interval",
        "ratio",
        "95 % interval",
        "p",
        "q",
    ]
    parts = []
    for group in report.taxonomy.groups:
        root = group is report.taxonomy.root
        measures = ("mean_probability", "share_at_threshold") if root else ("share_of_lonely",)
        rows = report.periods.filter(
            pl.col("group") == group.name, pl.col("measure").is_in(measures)
        )
        of = "all posts" if root else "lonely posts, each weighed by how likely it is lonely"
        parts.append(
            table_html(
                f"{group.title}: share of {of}",
                heads,
                _period_rows(rows, report.threshold, root=root),
            )
        )
    note = (
        '<p class="note">Authors are resampled. q is p adjusted for the number of labels (Benjamini and '
        "Hochberg); bold with a star: q below .05. n/a: none of these, or not to be told. Shares of all posts are in periods.csv.</p>"
    )
    return "".join(parts) + note


def _period_rows(rows: pl.DataFrame, threshold: float, *, root: bool) -> Iterator[list[str]]:
    for row in rows.iter_rows(named=True):
        name = _of_root(row["measure"], threshold) if root else row["label"]
        strong = row["q"] is not None and row["q"] < 0.05
        shown = escape(worded(name))
        ratio = "-" if row["ratio"] is None else f"{row['ratio']:.2f}"
        yield [
            f'<span class="strong">{shown} *</span>' if strong else shown,
            percent(row["before"]),
            percent(row["after"]),
            points(row["difference"]),
            interval(row["difference_low"], row["difference_high"]),
            ratio,
            interval(row["ratio_low"], row["ratio_high"], scale=1, form=".2f"),
            p_value(row["p"]),
            p_value(row["q"]),
        ]


def _of_root(measure: str, threshold: float) -> str:
    """What is told of loneliness itself."""
    return (
        f"share at {threshold:g} or above" if measure == "share_at_threshold" else worded(measure)
    )


def apart_html(table: pl.DataFrame, report: StudyReport, file: str, heading: str) -> str:
    """Loneliness, and the labels that moved most in any kind of post or group."""
    root, value = report.taxonomy.root.name, table.columns[3]
    moved = table.filter(pl.col("measure") == "share_of_lonely", pl.col("p").is_not_null())
    names = moved.group_by("group", "label").agg(pl.col("p").min()).sort("p", "group", "label")
    labels = [(root, root, "mean_probability")]
    labels += [(*name, "share_of_lonely") for name in names.select("group", "label").head(5).rows()]

    def rows() -> Iterator[list[str]]:
        for group, label, measure in labels:
            of_label = table.filter(
                pl.col("group") == group, pl.col("label") == label, pl.col("measure") == measure
            )
            for row in of_label.iter_rows(named=True):
                yield [
                    escape(named(group, label)), escape(row[value]), percent(row["before"]), percent(row["after"]),
                    points(row["difference"]), interval(row["low"], row["high"]), p_value(row["p"]), p_value(row["q"]),
                ]  # fmt: skip

    counts = table.select(value, "posts_before", "posts_after").unique(maintain_order=True)
    told = "; ".join(
        f"{name}: {before:,} posts before, {after:,} after" for name, before, after in counts.rows()
    )
    heads = ["label", heading, "before", "after", "difference (pp)", "95 % interval", "p", "q"]
    note = (
        f'<p class="note">{escape(told)}. Authors are resampled; q adjusts p for the labels of every {escape(heading)}. '
        f"All labels are in {file}.</p>"
    )
    caption = (
        "Loneliness (share of all posts), and the labels that moved most (share of lonely posts)"
    )
    return table_html(caption, heads, rows(), words=[heading]) + note


def estimators_html(report: StudyReport) -> str:
    """Loneliness and the labels that moved most, every estimator in the rows."""
    parts = []
    root = report.taxonomy.root.name
    moved = report.periods.filter(pl.col("measure") == "share_of_lonely", pl.col("p").is_not_null())
    labels = [(root, root, "mean_probability")]
    labels += moved.sort("p").select("group", "label", "measure").head(3).rows()
    for group, label, measure in labels:
        rows = report.estimates.filter(
            pl.col("group") == group, pl.col("label") == label, pl.col("measure") == measure,
            pl.col("estimator") != "ratio",
        )  # fmt: skip
        heads = ["estimator", "estimate (pp)", "95 % interval", "p", "stands on"]
        of = "all posts" if group == root else "lonely posts"
        caption = f"{named(group, label)}, share of {of}"
        parts.append(table_html(caption, heads, _estimator_rows(rows), words=["stands on"]))
    there = set(report.estimates["estimator"])
    told = "".join(
        f"<dt>{escape(TITLES[name])}</dt><dd>{escape(what)}. In estimates.csv: <code>{name}</code></dd>"
        for name, what in ESTIMATORS.items()
        if name in there and name in TITLES
    )
    said = (
        "<p>Where these agree, the change does not hang on how it is estimated (a change of the trend is points a month, "
        "and no rival of the others). All labels are in estimates.csv; how "
        "often each interval holds the truth is measured by simulation, in docs/study.md of the package.</p>"
    )
    return said + "".join(parts) + f"<h3>What each is</h3><dl>{told}</dl>"


def _estimator_rows(rows: pl.DataFrame) -> Iterator[list[str]]:
    for row in rows.iter_rows(named=True):
        yield [
            escape(TITLES[row["estimator"]]),
            points(row["estimate"], digits=2),
            interval(row["low"], row["high"], form="+.2f"),
            p_value(row["p"]),
            escape(row["note"]),
        ]


_METHODS = {"prediction_powered": "prediction powered", "rogan_gladen": "Rogan and Gladen"}


def corrected_html(report: StudyReport) -> str:
    """Raw and corrected shares, by the labelled sample."""
    heads = ["label", "method", "before", "after", "difference (pp)", "95 % interval"]
    said = (
        "<p>Two ways to undo the model's errors with posts that people labelled. They stand on different assumptions: believe a change "
        "that both show. <em>Prediction powered</em> holds whatever the errors are, if the sample was drawn as the package draws it; "
        "<em>Rogan and Gladen</em> takes posts that are equally labelled to score alike in the sample and in the corpus, and may leave the "
        "range from 0 to 100 % where few labelled posts have the label. The interval is of the corrected difference; those of both "
        "periods are in corrected.csv. A dash: too few labelled posts have the label.</p>"
    )
    caption = "As scored → corrected: loneliness of all posts, labels of lonely posts"
    return said + table_html(caption, heads, _corrected_rows(report), words=["method"])


def _corrected_rows(report: StudyReport) -> Iterator[list[str]]:
    root = report.taxonomy.root.name
    corrected = pl.DataFrame() if report.corrected is None else report.corrected
    shown = corrected.filter(pl.col("measure") != "share_of_all")
    keys = ("group", "label", "measure", "method")
    for (group, label, measure, method), own in shown.group_by(keys, maintain_order=True):
        told = {row["period"]: row for row in own.iter_rows(named=True)}
        name = named(str(group), str(label))
        yield [
            escape(
                f"{name}, {_of_root(str(measure), report.threshold)}" if group == root else name
            ),
            _METHODS[str(method)],
            *(_both(told[side], percent) for side in (BEFORE, AFTER)),
            _both(told["difference"], points),
            interval(told["difference"]["low"], told["difference"]["high"]),
        ]


def _both(row: dict[str, Any], form: Callable[[float | None], str]) -> str:
    return f"{form(row['raw'])} → {form(row['corrected'])}"


def mix_html(report: StudyReport) -> str:
    """What posts are of, before and after."""

    def rows(own: pl.DataFrame) -> Iterator[list[str]]:
        for row in own.iter_rows(named=True):
            moved = points(row["share_after"] - row["share_before"])
            yield [
                escape(row["value"]), f"{row['posts_before']:,}", f"{row['posts_after']:,}",
                f"{row['authors_before']:,}", f"{row['authors_after']:,}",
                percent(row["share_before"]), percent(row["share_after"]), moved,
            ]  # fmt: skip

    heads = [
        "posts before", "posts after", "authors before", "authors after", "of posts before",
        "of posts after", "change (pp)",
    ]  # fmt: skip
    tables = [
        table_html(f"By {name}", [name, *heads], rows(report.mix.filter(pl.col("column") == name)))
        for name in report.mix["column"].unique(maintain_order=True)
    ]
    said = (
        "<p>If the posts after the cut come from other places than those before it, the numbers move without anybody being "
        "lonelier. Values with too few authors are pooled.</p>"
    )
    return said + "".join(tables)
