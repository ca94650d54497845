"""The command `corpus-lonely sample`."""

from datetime import date
from pathlib import Path

import click

from corpus_lonely.cli.options import DAY, FILE, common


@click.command(
    epilog="\b\n600 posts to be labelled, half of them from before the pandemic:\n"
    "  corpus-lonely sample --scores scores/ --posts posts/ --cut 2020-03-11 --out to_label.csv"
)
@click.option("--scores", required=True, help="Scores made by `corpus-lonely score`.")
@click.option("--posts", required=True, help="The posts that were scored; their text is copied.")
@click.option("--cut", required=True, type=DAY, help="The day of the study.")
@click.option("--out", required=True, type=FILE, help="A .csv or .parquet file to fill in.")
@click.option("--size", type=int, default=600, help="Posts to draw.")
@click.option(
    "--kind",
    type=click.Choice(["submission", "comment", "both"]),
    default="both",
    help="Which posts are drawn from.",
)
@click.option(
    "--pre",
    type=click.IntRange(min=1),
    help="Only of so many months before the cut, rounded up to whole ones.",
)
@click.option("--post", type=click.IntRange(min=1), help="Only of so many months from the cut on.")
@click.option(
    "--by",
    multiple=True,
    metavar="COLUMN",
    help="As many of each value of this column too: `subreddit`, `kind`, or any column of the scores or of --posts. May be "
    "repeated; the smallest values are pooled where --size does not reach for two posts of each.",
)
@click.option("--seed", type=int, default=0, help="Of the draw.")
@click.option("--overwrite", is_flag=True, help="Replace the file, and labels in it.")
@common
def sample(
    scores: str,
    posts: str,
    cut: date,
    out: Path,
    size: int,
    kind: str,
    pre: int | None,
    post: int | None,
    by: tuple[str, ...],
    seed: int,
    overwrite: bool,
) -> None:
    """Draw posts for people to label, so that `study --gold` can correct for the model's errors.

    As many from before the cut as from after it, as many of each of four ranges of P(lonely), and with
    `--by` as many of each value of a column: `weight`, how many posts each stands for, undoes that. Fill in `lonely` (1 or 0), and for lonely posts a label's name in each
    category's column (or leave a column empty in all rows). The file holds the text of posts, so
    only you can read it. Hide `period` and `stratum` from those who label.
    """
    from corpus_lonely.study.sample import SampleSettings, draw_sample

    settings = SampleSettings(
        scores,
        posts,
        cut,
        out,
        size,
        kind,
        pre=pre,
        post=post,
        seed=seed,
        overwrite=overwrite,
        by=by,
    )
    drawn = draw_sample(settings)
    counts = drawn.group_by("stratum").len().sort("stratum", descending=True)
    head = "period and P(lonely)" + "".join(f", {name}" for name in by)
    width = max(len(name) + 2 for name in (head, *counts["stratum"]))
    click.echo(f"{head:<{width}}{'posts':>6}")
    for name, rows in counts.iter_rows():
        click.echo(f"{name:<{width}}{rows:>6}")
    click.echo(
        f"Made {out}: {len(drawn):,} posts with their text, readable by you alone. Next: fill in the "
        "labels, then `corpus-lonely study --gold`"
    )
