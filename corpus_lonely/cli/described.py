"""`corpus-lonely describe` of posts, models and encoders."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from corpus_lonely.cli.progress import TerminalProgress
from corpus_lonely.errors import InputError

if TYPE_CHECKING:
    from corpus_lonely.ingest.describe.inspect import PostsDescription

BY = {
    "both": (("month",), ("subreddit",)),
    "month": (("month",),),
    "subreddit": (("subreddit",),),
    "all": (("month", "subreddit", "kind"),),
}
"""What `--by` names, and the tables that it makes."""
_NAMED = 40
"""Gaps that are told one by one; --json has all."""


def describe_posts(
    folder: Path, *, check: bool, by: str, figure: Path | None, as_json: bool
) -> None:
    """Prints it, draws it, and ends with status 1 when something is wrong."""
    from corpus_lonely.ingest.describe.inspect import inspect_posts

    if figure:
        from corpus_lonely.ingest.describe.figure import check_name

        check_name(figure)
    with TerminalProgress() as progress:
        description = inspect_posts(folder, check, progress)
    if figure:
        _draw(description, figure)
    if as_json:
        click.echo(json.dumps(description.to_dict(), indent=2, ensure_ascii=False))
    else:
        _print(description, by)
        if figure:
            click.echo(f"Drawn: {figure}")
        if not description.bad:
            click.echo(f"Next: corpus-lonely score --input {folder} --model model/ --out scores/")
    if description.bad:
        raise InputError(
            f"{len(description.bad):,} things are wrong with it, named above",
            where=folder,
            hint="Bring the months back from a copy, or make the folder anew with `ingest --overwrite`",
        )


def _draw(description: "PostsDescription", figure: Path) -> None:
    from corpus_lonely.ingest.describe.figure import draw_coverage, save

    if description.coverage["month"].drop_nulls().is_empty():
        raise InputError("holds no month that could be drawn", where=description.folder)
    save(draw_coverage(description), figure)


def _print(description: "PostsDescription", by: str) -> None:
    from rich.console import Console

    from corpus_lonely.cli.posts_table import (
        coverage_table,
        facts_table,
        gap_lines,
        gap_summary,
    )
    from corpus_lonely.ingest.gaps import RULE

    console = Console(width=None if Console().is_terminal else 160, highlight=False)
    console.print(facts_table(description))
    for names in BY[by]:
        console.print()
        console.print(coverage_table(description, names))
    click.echo()
    gaps = list(gap_lines(description))
    for line in gaps[:_NAMED]:
        click.echo(line)
    if len(gaps) > _NAMED:
        click.echo(f"Gap: {len(gaps) - _NAMED:,} more; --json names them")
    days = "" if description.checked else " Days were not looked at (--no-check)."
    click.echo(f"{'No gap found. ' if not gaps else ''}{RULE}.{days}")
    if not description.checked and (summary := gap_summary(description.coverage)):
        click.echo(f"{summary}, as the coverage table tells")
    for name, reason in description.broken.items():
        click.echo(
            f"Broken: {name}: {reason}. What stands before is here; get the file again, and ingest it"
        )
    for name, reason in description.bad.items():
        click.echo(f"Bad: {name}: {reason}")
    dropped = sum(description.dropped.values())
    click.echo(
        f"read {description.read:,} = kept {description.read - dropped:,} + dropped {dropped:,}"
    )


def describe_marks(folder: Path, as_json: bool) -> None:
    """Prints what a table of marks tells, and what it was made from."""
    from corpus_lonely.cli.mark import tell_marks
    from corpus_lonely.marking.marks import MarkReport

    report = MarkReport.read(folder)
    report.check()
    if as_json:
        click.echo(json.dumps(report.facts, indent=2, ensure_ascii=False))
        return
    tell_marks(report)
    versions = report.facts["versions"].items()
    click.echo(f"Made with {', '.join(f'{name} {version}' for name, version in versions)}")
    if purged := report.facts.get("purged"):
        click.echo(
            f"{purged:,} rows were purged since; near-duplicates and languages are told as they were found"
        )


def describe_model(folder: Path, kind: str, as_json: bool) -> None:
    """Prints what a model or an encoder is."""
    from corpus_lonely.cli.model_table import encoder_told, lines, model_told

    told: dict[str, Any] = model_told(folder) if kind == "model" else encoder_told(folder)
    if as_json:
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    for line in lines(told):
        click.echo(line)
