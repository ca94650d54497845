"""The command `corpus-lonely purge`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from corpus_lonely.cli.kinds import kind_of
from corpus_lonely.cli.options import FILE, PLACE, common
from corpus_lonely.cli.progress import TerminalProgress
from corpus_lonely.errors import InputError, OutputError

if TYPE_CHECKING:
    from corpus_lonely.ingest.purge import PostsPurge
    from corpus_lonely.scoring.purge import ScoresPurge
    from corpus_lonely.storage import Place


@click.command(
    epilog="\b\nPosts that their authors deleted, out of the posts, their marks and scores:\n"
    "  corpus-lonely purge --ids deleted.txt posts/ marks/ scores/"
)
@click.argument("folders", nargs=-1, required=True, metavar="FOLDER...", type=PLACE)
@click.option(
    "--ids", type=FILE, help="A file of ids, one a line: t3_... or t1_...; # for comments."
)
@click.option(
    "--prefix",
    type=click.Choice(["t3", "t1"]),
    help="Put before ids that have none: t3 for submissions, t1 for comments. Else they are refused.",
)
@click.option(
    "--authors", type=FILE, help="A file of authors' names, one a line: all of their posts go."
)
@click.option(
    "--author-key",
    type=FILE,
    show_default="POSTS.about/author.key",
    help="The key that authors were hashed with.",
)
@common
def purge(
    folders: tuple["Place", ...],
    ids: Path | None,
    prefix: str | None,
    authors: Path | None,
    author_key: Path | None,
) -> None:
    """Take posts out of folders of posts, marks and scores for good.

    Posts remember what was purged, so that no later `ingest` brings it back, --overwrite included. Scores
    stay whole and verifiable; name them beside their posts. Interrupted, the same command goes on; run
    again, it changes nothing. The dumps themselves, reports, copies that you made elsewhere, and models
    that were trained on the posts are not touched.
    """
    from corpus_lonely.deletions import read_authors, read_ids

    if not ids and not authors:
        raise click.UsageError("name what to purge with --ids, --authors or both")
    kinds = _kinds(folders, by_author=authors is not None)
    wanted = read_ids(ids, prefix) if ids else []
    names = read_authors(authors) if authors else []
    hashes, hidden = set[str](), set(wanted)
    # what former runs took out as well: one that was stopped had no time for the scores
    gone = set[str]() if "posts" in kinds else None
    if "posts" not in kinds and (names or author_key):
        hashes, others = _hashes_of_scores(names, wanted, author_key)
        hidden |= others
    bad = False
    # posts first: they tell which posts are the authors'
    ordered = sorted(zip(folders, kinds, strict=True), key=lambda pair: pair[1] != "posts")
    for folder, kind in ordered:
        with TerminalProgress() as progress:
            if kind == "posts" and isinstance(folder, Path):
                from corpus_lonely.ingest.purge import purge_posts

                done = purge_posts(folder, wanted, names, author_key, progress)
                hashes |= set(done.authors)
                hidden |= set(done.ids)
                if gone is not None:
                    gone |= set(done.gone)
                _tell_posts(folder, done)
            elif kind == "marks" and isinstance(folder, Path):
                _purge_marks(folder, hidden | (gone or set()))
            else:
                from corpus_lonely.scoring.purge import purge_scores

                purged = purge_scores(folder, hidden, hashes, progress, gone)
                _tell_scores(folder, purged)
                bad |= bool(purged.bad)
    if bad:
        raise click.exceptions.Exit(1)
    click.echo(f"Next: corpus-lonely describe {folders[-1]}")


def _kinds(folders: tuple["Place", ...], by_author: bool) -> list[str]:
    kinds: list[str] = []
    for folder in folders:
        kinds.append(kind_of(folder))
        if kinds[-1] not in ("posts", "marks", "scores"):
            raise InputError("is no folder of posts, marks or scores", where=folder)
    if by_author and "marks" in kinds and "posts" not in kinds:
        raise click.UsageError(
            "--authors needs the folder of posts: marks do not say whose they are"
        )
    return kinds


def _hashes_of_scores(
    names: list[str], ids: list[str], author_key: Path | None
) -> tuple[set[str], set[str]]:
    """What names and ids are in scores whose posts are not among the folders, if they are hashed there."""
    from corpus_lonely.ingest.authors import read_key

    if author_key is None:
        raise click.UsageError("--authors needs the folder of posts, or its key with --author-key")
    key = read_key(author_key)
    return set(map(key.hash, names)), set(map(key.hash_id, ids))


def _purge_marks(folder: Path, ids: set[str]) -> None:
    from corpus_lonely.marking.purge import purge_marks

    done = purge_marks(folder, ids)
    click.echo(
        f"{folder}: {done.removed:,} rows taken out; {done.unnamed:,} others no longer name such a post"
    )


def _tell_posts(folder: "Place", done: "PostsPurge") -> None:
    click.echo(
        f"{folder}: {done.removed:,} posts taken out of {done.months:,} months; "
        f"{done.remembered:,} ids and authors are remembered, so that no dump brings them back"
    )


def _tell_scores(folder: "Place", done: "ScoresPurge") -> None:
    click.echo(f"{folder}: {done.removed:,} rows taken out of {done.parts:,} parts")
    for name, reason in done.bad.items():
        told = OutputError(
            f"{name} {reason}: nothing was taken out of it",
            where=folder,
            hint="Remove it, purge the posts, and score those that are left into another folder",
        )
        click.echo(f"Error: {told}", err=True)
    if not done.complete and not done.bad:
        click.echo(
            f"{folder} is not finished, and `score` cannot go on with posts that have changed: score "
            "those that are left into another folder, or with --overwrite"
        )
