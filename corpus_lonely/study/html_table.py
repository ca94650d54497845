"""One table of a page as HTML, and how its numbers are written."""

from collections.abc import Collection, Iterator
from html import escape
from typing import Any


def table_html(
    caption: str,
    heads: list[str],
    rows: Iterator[list[str]],
    *,
    words: Collection[str] = (),
    kind: str = "",
) -> str:
    """In a frame that scrolls on a narrow screen. words: heads of columns read from the left; kind: the class."""
    of_words = [' class="text"' if name in words else "" for name in heads]
    head = "".join(
        f'<th scope="col"{own}>{escape(name)}</th>'
        for name, own in zip(heads, of_words, strict=True)
    )
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(map(_cell, row[1:], of_words[1:]))}</tr>'
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table class="{kind}">'
        f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(cell: str, told: str) -> str:
    return cell if cell.startswith("<td") else f"<td{told}>{cell}</td>"


def points(value: float | None, digits: int = 1) -> str:
    """A difference of shares in percentage points, with its sign."""
    return "-" if value is None else f"{100 * value:+.{digits}f}"


def interval(low: Any, high: Any, scale: int = 100, form: str = "+.1f") -> str:
    """Both ends, as points are; a dash where there is none."""
    if low is None or high is None:
        return "-"
    return f"{scale * low:{form}} to {scale * high:{form}}"


def p_value(value: float | None) -> str:
    """Without the zero before the point, as journals print it."""
    if value is None:
        return "-"
    return "&lt; .001" if value < 0.001 else f"{value:.3f}".lstrip("0")


def count(value: int | None) -> str:
    """With commas; a dash where there is none."""
    return "-" if value is None else f"{value:,}"
