"""The command `corpus-lonely purge`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from corpus_lonely.cli.kinds import kind_of
from corpus_lonely.cli.options import FILE, PLACE, common
from corpus_lonely.cli.progress import TerminalProgress
from corpus_lonely.cli.purge_keys import Wanted, hide
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
    help="The key that authors, and ids with --hash-ids, were hashed with: needed for marks and scores "
    "without their posts.",
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
    wanted = Wanted(read_ids(ids, prefix) if ids else [], read_authors(authors) if authors else [])
    hide(wanted, folders, kinds, author_key)
    taken, bad = _purge(folders, kinds, wanted, author_key)
    if not taken and not bad:
        theirs = ", and that the key is theirs" if author_key else ""
        click.echo(
            "No rows matched: nothing of what was asked for is there, or it was taken out before. Check "
            f"that ids have the form t3_... or t1_..., as the posts have them, that names are whole{theirs}"
        )
    if bad:
        raise click.exceptions.Exit(1)
    click.echo(f"Next: corpus-lonely describe {folders[-1]}")


def _purge(
    folders: Sequence["Place"], kinds: Sequence[str], wanted: Wanted, author_key: Path | None
) -> tuple[int, bool]:
    """How many rows were taken out or changed, and whether some could not be."""
    taken, bad = 0, False
    # what former runs took out as well: one that was stopped had no time for the scores
    gone = set[str]() if "posts" in kinds else None
    # posts first: they tell which posts are the authors'
    ordered = sorted(zip(folders, kinds, strict=True), key=lambda pair: pair[1] != "posts")
    for folder, kind in ordered:
        with TerminalProgress() as progress:
            if kind == "posts" and isinstance(folder, Path):
                from corpus_lonely.ingest.purge import purge_posts

                told = (wanted.named_ids, wanted.named_authors)
                done = purge_posts(folder, *told, author_key, progress)
                wanted.authors |= set(done.authors)
                wanted.ids |= set(done.ids)
                if gone is not None:
                    gone |= set(done.gone)
                taken += done.removed
                _tell_posts(folder, done)
            elif kind == "marks" and isinstance(folder, Path):
                taken += _purge_marks(folder, wanted.ids | (gone or set()))
            else:
                from corpus_lonely.scoring.purge import purge_scores

                purged = purge_scores(folder, wanted.ids, wanted.authors, progress, gone)
                taken += purged.removed
                _tell_scores(folder, purged)
                bad |= bool(purged.bad)
    return taken, bad


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


def _purge_marks(folder: Path, ids: set[str]) -> int:
    from corpus_lonely.marking.purge import purge_marks

    done = purge_marks(folder, ids)
    click.echo(
        f"{folder}: {done.removed:,} rows taken out; {done.unnamed:,} others no longer name such a post"
    )
    return done.removed + done.unnamed


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
