"""The report as one HTML file: figures and tables inside, nothing fetched, nothing of any post or author."""

import re
from collections.abc import Iterator, Mapping
from html import escape

import polars as pl

from corpus_lonely.study.charts import named
from corpus_lonely.study.estimates import TITLES
from corpus_lonely.study.html_table import interval, points
from corpus_lonely.study.methods import methods
from corpus_lonely.study.page_changes import (
    apart_html,
    corrected_html,
    estimators_html,
    mix_html,
    periods_html,
)
from corpus_lonely.study.page_months import coverage_html, heat_html
from corpus_lonely.study.report import StudyReport, percent

_STYLE = """
:root { color-scheme: light; }
body { font: 1rem/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 62rem;
  margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; line-height: 1.2; } h2 { font-size: 1.25rem; margin-top: 2.2rem; }
h3 { font-size: 1rem; } figure { margin: 1rem 0; } svg { max-width: 100%; min-width: 38rem; height: auto; }
figcaption, .note { color: #555; font-size: .9rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .88rem; }
th, td { padding: .2rem .5rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }
tbody th { font-weight: 400; } dt { font-weight: 600; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: #fff; }
thead th { border-bottom: 2px solid #555; } caption { text-align: left; font-weight: 600; padding: .4rem 0; }
code { white-space: nowrap; } td.text, th.text { text-align: left; } td.text { white-space: normal; min-width: 8rem; }
nav ul { padding-left: 1.2rem; } a { color: #00558a; } :focus-visible { outline: 3px solid #D55E00; }
.limits { border-left: .3rem solid #D55E00; padding-left: 1rem; } .strong { font-weight: 700; }
.heat td { min-width: 2.6rem; }
@media print { body { max-width: none; font-size: 10pt; } nav { display: none; }
  svg { min-width: 0; } figure, tr, section.limits { break-inside: avoid; } h2, h3, caption { break-after: avoid; }
  table { font-size: 8pt; } table.heat { font-size: 5pt; } th, td { padding: .1rem .25rem; } .heat td { min-width: 0; } .scroll { overflow: visible; }
  th:first-child, td:first-child { position: static; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""


def page(report: StudyReport, figures: Mapping[str, tuple[str, str, str]], made_by: str) -> str:
    """The whole file. figures: by name, an SVG, a heading, and what it shows in words."""
    sections = list(_sections(report, figures))
    contents = "".join(f'<li><a href="#{name}">{title}</a></li>' for name, title, _ in sections)
    body = "".join(
        f'<section id="{name}"{_class(name)}><h2>{title}</h2>{content}</section>'
        for name, title, content in sections
    )
    title = f"Loneliness before and after {report.cut}"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><header><h1>{title}</h1>"
        f"{_lead(report)}</header>"
        f'<nav aria-label="Contents"><ul>{contents}</ul></nav><main>{body}</main>'
        f'<footer class="note"><p>{escape(made_by)}</p></footer></body></html>\n'
    )


def _class(name: str) -> str:
    return ' class="limits"' if name == "limits" else ""


def _lead(report: StudyReport) -> str:
    root = report.taxonomy.root
    row = report.periods.row(
        by_predicate=(pl.col("label") == root.name) & (pl.col("measure") == "mean_probability"),
        named=True,
    )
    labels = report.periods.filter(pl.col("measure") == "share_of_lonely")
    moved = labels.filter(pl.col("q") < 0.05).sort(pl.col("difference").abs(), descending=True)
    names = ", ".join(
        f"{named(g, b)} ({100 * d:+.1f})"
        for g, b, d in moved.select("group", "label", "difference").head(6).iter_rows()
    )
    said = (
        f"Of {len(labels)} kinds of loneliness, {len(moved)} changed their share of the lonely posts by more than chance alone would "
        f"easily do, with their number adjusted for (q below .05){f': {escape(names)} percentage points' if names else ''}"
        f"{', and others in the table' if len(moved) > 6 else ''}."
    )
    coverage = report.coverage
    stands = (
        f"<p>{row['posts_before']:,} posts by {row['authors_before']:,} authors before {report.cut} are compared with "
        f"{row['posts_after']:,} posts by {row['authors_after']:,} authors from that day on; the scores reach from "
        f"{coverage.first[:10]} to {coverage.last[:10]}. A model scored each post for how likely it expresses loneliness, "
        "and, if it does, what kind.</p>"
    )
    return stands + (
        f"<p>The mean probability that a post is {escape(root.labels[1])} was {percent(row['before'])} before and "
        f"{percent(row['after'])} after: {points(row['difference'])} percentage points, 95 % interval "
        f"{interval(row['difference_low'], row['difference_high'])}. {_corrected(report)}{said} "
        'A change is not yet an effect: read <a href="#limits">what this cannot say</a> first.</p>'
    )


def _corrected(report: StudyReport) -> str:
    """Loneliness once more, corrected, where it is."""
    if report.corrected is None or report.labelled is None:
        return ""
    told = report.corrected.filter(
        pl.col("measure") == "mean_probability", pl.col("method") == "prediction_powered", pl.col("period") == "difference"
    )  # fmt: skip
    if told["corrected"].drop_nulls().is_empty():
        return ""
    row = told.row(0, named=True)
    return (
        f"Corrected for the model's errors by {len(report.labelled.rows):,} labelled posts it is {points(row['corrected'])}, "
        f"95 % interval {interval(row['low'], row['high'])}. The shares that follow are not corrected. "
    )


def _sections(
    report: StudyReport, figures: Mapping[str, tuple[str, str, str]]
) -> Iterator[tuple[str, str, str]]:
    limits = "".join(f"<li>{_marked(sentence)}</li>" for sentence in report.caveats)
    yield "limits", "What this cannot say", f"<ul>{limits}</ul>"
    for name, (svg, title, words) in figures.items():
        yield f"figure-{name}", escape(title), _figure(svg, name, title, words)
        if name == "effects":
            yield "periods", "Before against after, in numbers", periods_html(report)
            if report.mix["column"].is_duplicated().any():
                yield "mix", "Is the same compared with the same?", mix_html(report)
            if report.kinds is not None and not report.kinds.is_empty():
                kinds = apart_html(report.kinds, report, "kinds.csv", "kind")
                yield "kinds", "Each kind of post by itself", kinds
            if report.groups is not None and not report.groups.is_empty():
                column = report.grouped_by or ""
                groups = apart_html(report.groups, report, "groups.csv", column)
                yield "groups", f"Each {escape(column)} by itself", groups
            yield "estimators", "The same change by every estimator", estimators_html(report)
    if report.is_corrected:
        yield "corrected", "Corrected for the classifier's errors", corrected_html(report)
    yield "months", "Labels by month", heat_html(report)
    yield "coverage", "What the numbers stand on", coverage_html(report)
    yield "methods", "Methods, ready to paste", f"<p>{escape(methods(report))}</p>"


def _marked(sentence: str) -> str:
    """As HTML: names between backticks, and options, as code that no line breaks."""
    names = re.sub(r"`([^`]+)`", _name, escape(sentence))
    return re.sub(r"(?<![\w-])(--[a-z]+)", r"<code>\1</code>", names)


def _name(found: re.Match[str]) -> str:
    """An estimator by what the tables call it."""
    title = TITLES.get(found[1])
    return f"<code>{found[1]}</code>" if title is None else f"“{escape(title)}”"


def _figure(svg: str, name: str, title: str, words: str) -> str:
    """The SVG with a name for screen readers, and ids that no other figure on the page has."""
    inner = svg[svg.index("<svg") :]
    inner = inner.replace(' id="cut"', "")  # of the line in every panel, and an id stands once
    inner = re.sub(r'id="', f'id="{name}-', inner)
    inner = re.sub(r"(url\(#|href=\"#)", rf"\g<1>{name}-", inner)
    inner = inner.replace(
        "<svg", f'<svg role="img" aria-label="{escape(title)}. {escape(words)}"', 1
    )
    # on a phone a figure keeps its size, and is moved in a frame that keys can move too
    return (
        f'<figure><div class="scroll" tabindex="0" role="group" aria-label="{escape(title)}, figure">{inner}</div>'
        f"<figcaption>{escape(words)}</figcaption></figure>"
    )
