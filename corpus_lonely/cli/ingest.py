"""The commands `corpus-lonely ingest ...`."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from corpus_lonely.cli.options import DAY, FILE, FOLDER, common
from corpus_lonely.cli.progress import TerminalProgress

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
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=FILE)
@click.option(
    "--out", required=True, type=FOLDER, help="The folder of posts, new or made by this command."
)
@click.option(
    "--subreddit",
    "subreddits",
    multiple=True,
    metavar="NAME",
    help="Keep this subreddit alone; repeat for several. Case does not matter.",
)
@click.option("--since", type=DAY, help="Keep posts from this day (UTC) on.")
@click.option("--until", type=DAY, help="Keep posts up to this day (UTC), the whole day included.")
@click.option(
    "--min-words",
    type=click.IntRange(min=0),
    default=0,
    help="Keep posts of so many words or more.",
)
@click.option(
    "--bots", type=FILE, help="Accounts to drop, one a line, instead of the list that ships."
)
@click.option(
    "--author-key",
    type=FILE,
    help="The key that authors are hashed with; made if it is not there.  [default: OUT.about/author.key]",
)
@click.option("--keep-authors", is_flag=True, help="Write authors' names instead of their hashes.")
@click.option(
    "--keep-permalinks", is_flag=True, help="Write each post's address, which leads to its author."
)
@click.option(
    "--quarantine-text", is_flag=True, help="Put bad lines themselves into the quarantine file."
)
@click.option("--report", type=FILE, help="Write the report of this run here as well, as JSON.")
@click.option("--overwrite", is_flag=True, help="Make the folder anew from these files alone.")
@common
def dump(
    files: tuple[Path, ...],
    out: Path,
    subreddits: tuple[str, ...],
    since: date | None,
    until: date | None,
    min_words: int,
    bots: Path | None,
    author_key: Path | None,
    keep_authors: bool,
    keep_permalinks: bool,
    quarantine_text: bool,
    report: Path | None,
    overwrite: bool,
) -> None:
    """Read Reddit dumps into Parquet.

    Files may be zstd, xz, bz2, gzip or plain, one JSON object a line. Submissions and comments are told apart by their content. Every line is counted: read = kept +
    dropped, with the reason of each drop. A broken file is read up to its break and the exit status
    is 1. Interrupted, the same command goes on; a file that is in the folder already is skipped.
    """
    from corpus_lonely.files import write_json
    from corpus_lonely.ingest.run import ingest_dumps
    from corpus_lonely.ingest.settings import IngestSettings, read_bots, shipped_bots

    settings = IngestSettings(
        subreddits=frozenset(subreddits),
        since=since,
        until=until,
        min_words=min_words,
        bots=read_bots(bots) if bots else shipped_bots(),
        keep_authors=keep_authors,
        author_key=author_key,
        keep_permalinks=keep_permalinks,
        quarantine_text=quarantine_text,
        overwrite=overwrite,
    )
    with TerminalProgress() as progress:
        done = ingest_dumps(files, out, settings, progress)
    if report:
        write_json(report, done.as_json())
    _tell(done, out)
    if done.broken:
        raise click.exceptions.Exit(1)


def _tell(done: "IngestReport", out: Path) -> None:
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
