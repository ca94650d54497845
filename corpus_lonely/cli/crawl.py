"""The command `corpus-lonely ingest reddit`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from corpus_lonely.cli.ingested import tell
from corpus_lonely.cli.options import common
from corpus_lonely.cli.progress import TerminalProgress
from corpus_lonely.cli.rows import end_options, out_option, row_options, row_settings
from corpus_lonely.ingest.crawl.settings import LISTINGS, QUERIES

if TYPE_CHECKING:
    from corpus_lonely.ingest.crawl.report import CrawlReport


@click.command(
    epilog="""\b
What one subreddit still shows of its posts, with their comments:
  corpus-lonely ingest reddit --subreddit lonely --comments --out posts/"""
)
@click.option(
    "--subreddit",
    "subreddits",
    multiple=True,
    required=True,
    metavar="NAME",
    help="A subreddit to crawl; repeat for several.",
)
@out_option
@click.option(
    "--listing",
    "listings",
    multiple=True,
    type=click.Choice(LISTINGS),
    default=LISTINGS,
    help="Read these listings alone; repeat for several. Each ends at 1,000 posts.",
)
@click.option(
    "--search",
    "queries",
    multiple=True,
    metavar="QUERY",
    default=QUERIES,
    help="What the listing `search` asks for; repeat for several.",
)
@click.option("--comments", is_flag=True, help="Read all comments too: a request a post or more.")
@row_options
@click.option("--site", metavar="NAME", help="The section of praw.ini with the credentials.")
@click.option("--restart", is_flag=True, help="Throw away what an interrupted crawl has fetched.")
@end_options("this crawl")
@common
def reddit(
    subreddits: tuple[str, ...],
    out: Path,
    listings: tuple[str, ...],
    queries: tuple[str, ...],
    comments: bool,
    site: str | None,
    report: Path | None,
    restart: bool,
    overwrite: bool,
    **rows: Any,
) -> None:
    """Fetch posts from Reddit's API into Parquet.

    Needs API access that Reddit has approved: since November 2025 nobody can make keys for
    themselves. Without it, and for anything older than Reddit's listings reach, take dumps:
    Arctic Shift and Academic Torrents have them, and `ingest dump` reads them.

    Credentials come from praw.ini or from the variables praw_client_id, praw_client_secret and
    praw_user_agent. Reading is all that is done with them. Reddit's limits are kept to, and
    requests that fail are made again, later and later. A subreddit that is private, banned or
    misspelled is told, the others are crawled, and the exit status is 1. Interrupted, the same
    command goes on after the last page. Run again later, it adds and updates: of the copies of a
    post the one fetched last is kept.
    """
    from corpus_lonely.files import write_json
    from corpus_lonely.ingest.crawl.run import crawl_reddit
    from corpus_lonely.ingest.crawl.settings import CrawlSettings

    kept = row_settings(rows, overwrite=overwrite)
    settings = CrawlSettings(subreddits, listings, queries, comments, kept, site, restart)
    with TerminalProgress() as progress:
        done = crawl_reddit(settings, out, progress)
    if report:
        write_json(report, done.as_json())
    _tell(done, out)
    if not done.whole:
        raise click.exceptions.Exit(1)


def _tell(done: "CrawlReport", out: Path) -> None:
    again = f", {done.repeated:,} of them made again" if done.repeated else ""
    click.echo(f"Reddit gave {done.fetched:,} posts in {done.requests:,} requests{again}")
    if done.ingest:
        tell(done.ingest, out)
    else:
        click.echo(f"{out}: nothing to add")
    for name, count in done.passed_over.items():
        click.echo(
            f"Note: r/{name}: {count:,} items were passed over, for they have no name, id or date",
            err=True,
        )
    for name, reason in done.refused.items():
        click.echo(f"Error: r/{name} {reason}", err=True)
    for name, things in done.set_aside.items():
        for thing in things:
            click.echo(f"Error: r/{name}: not fetched: {thing}", err=True)
