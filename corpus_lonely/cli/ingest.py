"""The commands `corpus-lonely ingest ...`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from corpus_lonely.cli.crawl import reddit
from corpus_lonely.cli.doors import convokit, table
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

if TYPE_CHECKING:
    from corpus_lonely.ingest.report import IngestReport


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
    from corpus_lonely.files import write_json
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
    if report:
        write_json(report, done.as_json())
    tell(done, out)
    if done.broken:
        raise click.exceptions.Exit(1)


ingest.add_command(reddit)
ingest.add_command(table)
ingest.add_command(convokit)


def tell(done: "IngestReport", out: Path) -> None:
    """Says what became of the lines, and what to run next."""
    from corpus_lonely.files import about_folder
    from corpus_lonely.ingest.report import table

    for left_out, taken in done.same_content:
        click.echo(f"{left_out}: left out, its content is that of {taken}")
    for file in done.files:
        if file.skipped:
            click.echo(f"{file.name}: in the folder already, not read again")
    for line in table(done):
        click.echo(line)
    dropped = sum(done.dropped.values())
    click.echo(f"read {done.read:,} = kept {done.kept:,} + dropped {dropped:,}")
    about = about_folder(out)
    if done.dropped.keys() & {"bad_json", "not_a_post", "bad_date"}:
        click.echo(f"Lines that could not be used are named in {about}/quarantine.jsonl")
    for file in done.broken:
        click.echo(
            f"Error: {file.name}: {file.broken}. What stands before is in the folder", err=True
        )
    if done.author_key_file:
        click.echo(
            f"Authors are hashed with {done.author_key_file} (fingerprint {done.author_key}): whoever "
            "holds it can test names against the hashes, so keep it private"
        )
    if not done.posts:
        click.echo(f"Made {out}, with no post in it: nothing passed the filters")
        return
    span = f"{done.months[0]} to {done.months[-1]}"
    click.echo(
        f"{out} holds {done.posts:,} posts, {span}. "
        f"Next: corpus-lonely score --input {out} --model model/ --out scores/"
    )
