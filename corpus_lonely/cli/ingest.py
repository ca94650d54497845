"""The commands `corpus-lonely ingest ...`."""

from pathlib import Path
from typing import Any

import click

from corpus_lonely.cli.crawl import reddit
from corpus_lonely.cli.doors import convokit, table
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


@click.group(
    epilog="\b\nExample:\n  corpus-lonely ingest dump RS_2020-03.zst --subreddit lonely --out posts/"
)
def ingest() -> None:
    """Bring posts into Parquet, partitioned by month."""


@ingest.command(
    epilog="""\b
Two monthly dumps, one subreddit, nothing from before 2019:
  corpus-lonely ingest dump RS_2020-03.zst RC_2020-03.zst \\
      --subreddit lonely --since 2019-01-01 --out posts/"""
)
@files_option
@out_option
@subreddit_option
@row_options
@quarantine_option
@processes_option
@end_options("these files")
@common
def dump(
    files: tuple[Path, ...],
    out: Path,
    subreddits: tuple[str, ...],
    quarantine_text: bool,
    processes: int | None,
    report: Path | None,
    overwrite: bool,
    **rows: Any,
) -> None:
    """Read Reddit dumps into Parquet.

    Files may be zstd, xz, bz2, gzip or plain, one JSON object a line. Submissions and comments are told
    apart by their content. Every line is counted: read = kept + dropped, with the reason of each drop. A broken file is read up to its break and the exit status
    is 1. Interrupted, the same command goes on; a file that is in the folder already is skipped.
    Downloads of Arctic Shift are such files, too.
    """
    from corpus_lonely.ingest.pool import spare_pandas
    from corpus_lonely.ingest.run import ingest_dumps

    spare_pandas()
    settings = row_settings(
        rows,
        subreddits=frozenset(subreddits),
        quarantine_text=quarantine_text,
        overwrite=overwrite,
    )
    with TerminalProgress() as progress:
        done = ingest_dumps(files, out, settings, progress, processes=processes)
    end(done, out, report)


ingest.add_command(reddit)
ingest.add_command(table)
ingest.add_command(convokit)
