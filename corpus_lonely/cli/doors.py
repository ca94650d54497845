"""The commands `corpus-lonely ingest table` and `ingest convokit`: posts that are no dump."""

from pathlib import Path
from typing import Any

import click

from corpus_lonely.cli.ingested import end
from corpus_lonely.cli.options import common
from corpus_lonely.cli.progress import TerminalProgress
from corpus_lonely.cli.rows import (
    end_options,
    files_option,
    out_option,
    processes_option,
    quarantine_option,
    row_options,
    row_settings,
    subreddit_option,
)


@click.command(
    epilog="""\b
A spreadsheet of posts, its times in Berlin's:
  corpus-lonely ingest table posts.csv --map text=body,created_at=ts,post_id=id \\
      --fill subreddit=lonely --timezone Europe/Berlin --out posts/"""
)
@files_option
@click.option(
    "--map",
    "names",
    multiple=True,
    metavar="OURS=THEIRS",
    help="Which of their columns is which of ours, as text=body,created_at=ts; meta.score reaches into "
    "JSON. Columns of the same name as ours are taken without.",
)
@click.option(
    "--fill",
    multiple=True,
    metavar="OURS=VALUE",
    help="A value for all rows, as subreddit=lonely or kind=comment.",
)
@click.option("--timezone", metavar="ZONE", help="Of times that tell none: UTC, Europe/Berlin, ...")
@click.option(
    "--time-unit",
    type=click.Choice(["s", "ms", "us", "ns"]),
    default="s",
    help="What numbers count, from 1970 on, UTC.",
)
@click.option(
    "--time-format", metavar="FORMAT", help="Of times as text, if not ISO 8601: '%d.%m.%Y'."
)
@click.option(
    "--delimiter", metavar="CHARACTER", help="Between the fields of CSV.  [default: , or a tab]"
)
@click.option(
    "--encoding",
    metavar="NAME",
    default="utf-8",
    show_default=True,
    help="How characters of CSV and JSON lines are coded: cp1252 is Excel's on Windows.",
)
@click.option(
    "--na",
    multiple=True,
    metavar="TEXT",
    help="Cells of CSV that mean nothing, beside empty ones; repeat for several.  [default: NA, but not in "
    "text, title, subreddit and flairs]",
)
@out_option
@subreddit_option
@row_options
@quarantine_option
@processes_option
@end_options("these files")
@common
def table(
    files: tuple[Path, ...],
    names: tuple[str, ...],
    fill: tuple[str, ...],
    timezone: str | None,
    time_unit: str,
    time_format: str | None,
    delimiter: str | None,
    encoding: str,
    na: tuple[str, ...],
    out: Path,
    subreddits: tuple[str, ...],
    processes: int | None,
    report: Path | None,
    **rows: Any,
) -> None:
    """Read any table of posts into Parquet: CSV, JSON lines or Parquet.

    The same rows come out as from dumps, by the same rules: text normalised, authors hashed, every row
    counted, copies by id left out, partitioned by month. Needed are times (created_at), a subreddit or
    the like, and text or title. Times are turned into UTC; one that does not tell its zone is refused
    unless --timezone does. A post without post_id gets one made from its time and text. What answers
    another post (parent_id, link_id) is a comment, unless a column kind tells. Of a file that ends within
    a row the others are taken, and the exit status is 1.
    """
    from corpus_lonely.ingest.tables.columns import Columns, assignments
    from corpus_lonely.ingest.tables.layout import Layout
    from corpus_lonely.ingest.tables.run import ingest_tables
    from corpus_lonely.ingest.tables.times import TimeReader

    columns = Columns(assignments(names, "--map"), assignments(fill, "--fill"))
    times = TimeReader(timezone, time_unit, time_format)
    layout = Layout(delimiter, encoding, na or None)
    settings = row_settings(rows, subreddits=frozenset(subreddits))
    with TerminalProgress() as progress:
        done = ingest_tables(
            files, out, columns, times, settings, progress, layout=layout, processes=processes
        )
    end(done, out, report)


@click.command(
    epilog="""\b
A subreddit as ConvoKit has it, unpacked:
  corpus-lonely ingest convokit subreddit-lonely/ --out posts/"""
)
@click.argument(
    "corpora", nargs=-1, required=True, metavar="CORPUS...", type=click.Path(path_type=Path)
)
@out_option
@subreddit_option
@row_options
@quarantine_option
@processes_option
@end_options("these corpora")
@common
def convokit(
    corpora: tuple[Path, ...],
    out: Path,
    subreddits: tuple[str, ...],
    processes: int | None,
    report: Path | None,
    **rows: Any,
) -> None:
    """Read ConvoKit's subreddit corpora into Parquet.

    A corpus is a folder with utterances.jsonl and conversations.json, which has the titles; without it they
    are missing, which is said. The same rows
    come out as from dumps, by the same rules; a conversation's first utterance is a submission, the
    others are comments.
    """
    from corpus_lonely.ingest.tables.run import ingest_convokit

    settings = row_settings(rows, subreddits=frozenset(subreddits))
    with TerminalProgress() as progress:
        done = ingest_convokit(corpora, out, settings, progress, processes=processes)
    end(done, out, report)
