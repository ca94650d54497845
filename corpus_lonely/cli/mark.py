"""The command `corpus-lonely mark`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from corpus_lonely.cli.options import FOLDER, common
from corpus_lonely.cli.progress import TerminalProgress

if TYPE_CHECKING:
    from corpus_lonely.marking.marks import MarkReport

_NAMED = 6
"""Languages that are told; all are in the table."""


@click.command(
    epilog="\b\nMark reposts and languages:\n"
    "  corpus-lonely mark --input posts/ --out marks/ --near-duplicates --language"
)
@click.option(
    "--input",
    "source",
    required=True,
    help="Posts: a Parquet file, a folder, a glob or a URL.",
)
@click.option("--out", required=True, type=FOLDER, help="Folder for marks.parquet.")
@click.option(
    "--near-duplicates",
    is_flag=True,
    help="Mark posts that repeat an earlier one, nearly or wholly.",
)
@click.option("--language", is_flag=True, help="Mark each post's language.")
@click.option(
    "--similarity",
    type=float,
    default=0.8,
    help="How alike near-duplicates are: runs of words in common, of all that either has.",
)
@click.option("--shingle-words", type=int, default=3, help="Words in a run.")
@click.option("--min-words", type=int, default=10, help="Shorter posts are not compared.")
@click.option("--overwrite", is_flag=True, help="Replace marks of other posts or settings.")
@common
def mark(
    source: str,
    out: Path,
    near_duplicates: bool,
    language: bool,
    similarity: float,
    shingle_words: int,
    min_words: int,
    overwrite: bool,
) -> None:
    """Mark near-duplicates and languages in a table beside the posts, which stay as they are.

    One row a post, joined by `post_id`: whether the post repeats an earlier one, which, how alike they
    are and whether the author is the same; its language and how sure that is. Give them to
    `study --marks` to leave posts out. Needs: pip install 'corpus-lonely[marks]'
    """
    from corpus_lonely.marking.run import mark_posts
    from corpus_lonely.marking.settings import MarkSettings

    settings = MarkSettings(
        source, out, near_duplicates, language, similarity, shingle_words, min_words, overwrite
    )
    with TerminalProgress() as progress:
        report = mark_posts(settings, progress)
    tell_marks(report)
    wanted = "near_duplicate=false" if near_duplicates else "language=en"
    click.echo(
        f"Next: corpus-lonely study --scores scores/ --marks {out} --where {wanted} --cut 2020-03-11 "
        "--out report/"
    )


def tell_marks(report: "MarkReport") -> None:
    """What was found, in lines."""
    there = " (already there)" if report.already_there else ""
    click.echo(f"Marks of {report.posts:,} posts in {report.out}{there}")
    if (alike := report.near_duplicates) is not None:
        short = report.posts - alike["compared"]
        told = "no post repeats an earlier one"
        if alike["later"]:
            told = (
                f"{alike['later']:,} posts repeat one of {alike['groups']:,} earlier ones, "
                f"{alike['largest'] - 1:,} of them the same one"
            )
        click.echo(f"Near-duplicates: {told}; {short:,} posts have too few words to tell")
    if (languages := report.languages) is not None:
        shares = [f"{code} {posts / report.posts:.1%}" for code, posts in languages[:_NAMED]]
        if rest := report.posts - sum(posts for _, posts in languages[:_NAMED]):
            shares.append(f"others or none {rest / report.posts:.1%}")
        click.echo(f"Languages: {', '.join(shares)}")
