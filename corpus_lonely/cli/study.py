"""The command `corpus-lonely study`."""

from datetime import date
from pathlib import Path

import click

from corpus_lonely.cli.options import ASSIGNMENT, DAY, EXISTING, FOLDER, common


@click.command(
    epilog="\b\nHow did loneliness change with the pandemic?\n"
    "  corpus-lonely study --scores scores/ --cut 2020-03-11 --out report/"
)
@click.option(
    "--scores",
    required=True,
    help="Scores made by `corpus-lonely score`: a folder, a file, a glob or a URL.",
)
@click.option(
    "--cut",
    required=True,
    type=DAY,
    help="The day (UTC) on which the second period begins.",
)
@click.option("--out", required=True, type=FOLDER, help="Where the report goes.")
@click.option(
    "--kind",
    type=click.Choice(["submission", "comment", "both"]),
    default="both",
    help="Which posts count; `both` pools them, and shows each beside.",
)
@click.option(
    "--min-authors",
    type=int,
    default=5,
    help="Leave out months with fewer different authors.",
)
@click.option(
    "--threshold",
    type=float,
    default=0.5,
    help="P(lonely) from which a post counts as lonely, for the share at a threshold alone.",
)
@click.option(
    "--pre",
    type=click.IntRange(min=1),
    help="Compare only so many months before the cut, rounded up to whole calendar months (weeks with `--by week`); by "
    "default all. Earlier ones still serve trend and season.",
)
@click.option(
    "--post",
    type=click.IntRange(min=1),
    help="Compare only so many months from the cut on, rounded up likewise; by default all.",
)
@click.option(
    "--standardise",
    type=click.Choice(["subreddit", "kind"]),
    help="One more estimate, with the mix of these held at that of before.",
)
@click.option(
    "--where",
    multiple=True,
    type=ASSIGNMENT,
    help="Only rows with this value in a column of the scores (or of --posts or --marks), as `subreddit=lonely`; give it several "
    "times: values of one column are alternatives, columns must all fit.",
)
@click.option(
    "--group",
    metavar="COLUMN",
    help="Compare each value of this column by itself too: `subreddit`, or any column of the scores, of --posts or of --marks.",
)
@click.option(
    "--posts",
    help="The posts that were scored, for columns that the scores lack; joined by `post_id`.",
)
@click.option(
    "--marks",
    help="Their marks by `corpus-lonely mark`: `--where near_duplicate=false` leaves reposts out, "
    "`--where language=en` other languages.",
)
@click.option(
    "--by",
    type=click.Choice(["month", "week"]),
    default="month",
    help="Unit of the trends; weeks with too few authors are left out then. Estimates stay by month.",
)
@click.option(
    "--gold",
    type=EXISTING,
    help="Posts labelled by people, made by `corpus-lonely sample`: correct for the model's errors.",
)
@click.option("--replicates", type=int, default=2000, help="Bootstrap replicates.")
@click.option("--seed", type=int, default=0, help="Of the bootstrap.")
@common
def study(
    scores: str,
    cut: date,
    out: Path,
    kind: str,
    min_authors: int,
    threshold: float,
    pre: int | None,
    post: int | None,
    standardise: str | None,
    where: tuple[tuple[str, str], ...],
    group: str | None,
    posts: str | None,
    marks: str | None,
    by: str,
    gold: Path | None,
    replicates: int,
    seed: int,
) -> None:
    """Compare scores before and after a day.

    Writes report.html, which opens in any browser, with all its figures and tables as files beside it:
    months, the two periods with their difference and its 95 % interval (authors resampled), and
    estimates that reckon with trend, season, common shocks and authors who come and go. A label's share
    is among lonely posts, each counted by how likely it is lonely; the tables hold its share of all posts too.
    """
    from corpus_lonely.cli.progress import TerminalProgress
    from corpus_lonely.study.run import run_study
    from corpus_lonely.study.settings import StudySettings

    settings = StudySettings(
        scores, cut, out, kind, min_authors, threshold, replicates, seed,
        pre=pre, post=post, standardise=standardise, gold=gold, where=where,
        posts=posts, marks=marks, group=group, by=by,
    )  # fmt: skip
    with TerminalProgress() as progress:
        report = run_study(settings, progress)
    click.echo(report.text())
    click.echo("\nWhat this cannot say")
    for caveat in report.caveats:
        click.echo(f"- {caveat}")
    names = ", ".join(path.name for path in report.files)
    click.echo(f"\nMade {out}: {names}. Next: open {out / 'report.html'}")
