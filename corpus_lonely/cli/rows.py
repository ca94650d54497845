"""What every door to posts asks alike: where to, which rows are kept, and how they are written."""

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from corpus_lonely.cli.options import DAY, FILE, FOLDER

if TYPE_CHECKING:
    from corpus_lonely.ingest.settings import IngestSettings

_OPTIONS = (
    click.option("--since", type=DAY, help="Keep posts from this day (UTC) on."),
    click.option(
        "--until", type=DAY, help="Keep posts up to this day (UTC), the whole day included."
    ),
    click.option(
        "--min-words",
        type=click.IntRange(min=0),
        default=0,
        help="Keep posts of so many words or more.",
    ),
    click.option(
        "--bots", type=FILE, help="Accounts to drop, one a line, instead of the list that ships."
    ),
    click.option(
        "--author-key",
        type=FILE,
        help="The key that authors are hashed with; made if it is not there.  [default: OUT.about/author.key]",
    ),
    click.option(
        "--keep-authors", is_flag=True, help="Write authors' names instead of their hashes."
    ),
    click.option(
        "--keep-permalinks",
        is_flag=True,
        help="Write each post's address, which leads to its author.",
    ),
    click.option(
        "--columns",
        metavar="NAME,...",
        help="Of the columns that may be left out, write these alone: title, score, num_comments, over_18, "
        "link_id, parent_id, edited_at, edited, crosspost, flair, author_flair. "
        "Text, author and the other columns are always written.  [default: all]",
    ),
    click.option(
        "--hash-ids",
        is_flag=True,
        help="Write keyed hashes for the ids of posts, which lead to no post and join as before.",
    ),
)


out_option = click.option(
    "--out", required=True, type=FOLDER, help="The folder of posts, new or made by `ingest`."
)
files_option = click.argument("files", nargs=-1, required=True, metavar="FILE...", type=FILE)
subreddit_option = click.option(
    "--subreddit",
    "subreddits",
    multiple=True,
    metavar="NAME",
    help="Keep this subreddit alone; repeat for several. Case does not matter.",
)
quarantine_option = click.option(
    "--quarantine-text", is_flag=True, help="Put bad lines themselves into the quarantine file."
)
processes_option = click.option(
    "--processes",
    type=click.IntRange(min=1),
    show_default="one a core for large files, half as many with --subreddit",
    help="Processes that read lines; each takes some 250 MB of memory.",
)


def end_options(of_what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """--report and --overwrite; `of_what`: what a folder is made anew from."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        report = click.option(
            "--report", type=FILE, help="Write the report of this run here as well, as JSON."
        )
        overwrite = click.option(
            "--overwrite", is_flag=True, help=f"Make the folder anew from {of_what} alone."
        )
        return report(overwrite(command))

    return add


def row_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options, which reach the command as `rows`, for `row_settings`."""
    return reduce(lambda decorated, option: option(decorated), reversed(_OPTIONS), command)


def row_settings(rows: dict[str, Any], **others: Any) -> "IngestSettings":
    """The settings that the options, and others of the command itself, make together."""
    from corpus_lonely.ingest.settings import IngestSettings, read_bots, shipped_bots

    bots: Path | None = rows["bots"]
    told = {**rows, "bots": read_bots(bots) if bots else shipped_bots()}
    if (columns := rows["columns"]) is not None:
        told["columns"] = frozenset(name.strip() for name in columns.split(",") if name.strip())
    return IngestSettings(**told, **others)
