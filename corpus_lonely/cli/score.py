"""The command `corpus-lonely score`."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from corpus_lonely.cli.cluster_options import cluster_options, cluster_settings
from corpus_lonely.cli.options import (
    FILE,
    FOLDER,
    PLACE,
    PRECISIONS,
    Sectioned,
    common,
    device_option,
    precision_option,
)
from corpus_lonely.cli.progress import TerminalProgress

if TYPE_CHECKING:
    from corpus_lonely.scoring.job import ScoreReport
    from corpus_lonely.storage import Place

_SHARE = ("--shard-index", "--num-shards")
_WORDS = "corpus_lonely.score.words"


class _Remembered(Sectioned):
    """Keeps its command line, to be told again."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_WORDS] = list(args)  # click takes them out of the list
        return super().parse_args(ctx, args)


@click.command(
    cls=_Remembered,
    epilog="\b\nAll cores of this machine, or all its GPUs:\n"
    "  corpus-lonely score --input posts/ --model model/ --out scores/\n"
    "Eight workers in SLURM jobs:\n"
    "  corpus-lonely score --input posts/ --model model/ --out scores/ \\\n"
    "    --cluster slurm --workers 8 --partition normal --walltime 04:00:00\n"
    "A cluster that exists:\n"
    "  corpus-lonely score --input posts/ --model model/ --out scores/ \\\n"
    "    --scheduler tls://host:8786 --tls-ca ca.pem --tls-cert cert.pem --tls-key key.pem",
)
@click.option(
    "--input",
    "source",
    required=True,
    help="Posts: a Parquet file, a folder of them, a glob (quoted), or a URL such as s3://….",
)
@click.option("--model", type=FOLDER, required=True, help="A folder that `train` made.")
@click.option(
    "--out",
    type=PLACE,
    required=True,
    help="Where the scores go, as Parquet: a folder, or a URL such as s3://….",
)
@click.option("--text-column", default="text", help="The column that holds the posts.")
@click.option(
    "--keep",
    multiple=True,
    metavar="COLUMN",
    help="A column to carry along, besides post_id, kind, subreddit, author and created_at; "
    "repeatable.",
)
@click.option(
    "--shard-rows",
    type=click.IntRange(min=1),
    show_default="4096 (65536 on GPUs), fewer when there are few posts",
    help="Posts in a part: the most that a killed worker loses.",
)
@click.option(
    "--max-tokens",
    type=click.IntRange(min=8),
    show_default="as in training",
    help="Tokens kept per post; the rest is cut, and told in the column `truncated`.",
)
@click.option(
    "--batch-tokens",
    type=click.IntRange(min=512),
    show_default="2048 (65536 on GPUs)",
    help="Padded tokens in a batch; less needs less memory.",
)
@precision_option(
    *PRECISIONS,
    told="How precisely the model computes. mixed: bfloat16, then float32 for posts that may be lonely "
    "or not. auto: fp16 on a GPU, mixed on a CPU with bfloat16 units, else fp32.",
)
@device_option("cpu, cuda, cuda:0, mps; auto takes the fastest.")
@click.option(
    "--overwrite",
    is_flag=True,
    help="Replace scores of another model or of other settings that --out holds.",
)
@click.option(
    "--retry-failed",
    is_flag=True,
    help="Do only the parts that an earlier run could not score and has set aside.",
)
@click.option(
    "--shard-index",
    type=click.IntRange(min=0),
    metavar="I",
    help="With --num-shards: do only share I, counted from 0. For job arrays: several of these "
    "commands, each with its own I, fill the same --out.",
)
@click.option(
    "--num-shards",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many shares there are; without Dask between them.",
)
@click.option(
    "--report",
    type=FILE,
    metavar="FILE.html",
    help="Dask's own page about how busy the workers were; needs `pip install bokeh`.",
)
@cluster_options
@common
@click.pass_context
def score(
    context: click.Context,
    /,
    source: str,
    model: Path,
    out: "Place",
    keep: tuple[str, ...],
    **options: Any,
) -> None:
    """Score posts: distributions over forms of loneliness, one row a post.

    The scores keep the rows and the order of the input. Stopped or killed at any time, the same
    command goes on where it was; settings that are not given are then as the folder was begun.
    """
    from corpus_lonely.scoring.job import ScoreSettings, score_posts

    debug = bool(context.find_root().meta.get("corpus_lonely.debug"))
    cluster = cluster_settings(options, debug)
    settings = ScoreSettings(source, model, out, keep=keep, cluster=cluster, **options)
    with TerminalProgress() as progress:
        report = score_posts(settings, progress)
    click.echo(_summary(report, out))
    click.echo(_following(context, report, out))


def _summary(report: "ScoreReport", out: "Place") -> str:
    counts = report.counts
    if not counts.rows:
        return f"{out}: no part falls to this share."
    some = f", {report.shards} of its {report.parts} parts" if report.shards < report.parts else ""
    cut = f"{counts.truncated / counts.rows:.1%} cut at --max-tokens"
    if report.shards_before == report.shards:
        speed = "All of it was done before: nothing to do."
    else:
        speed = f"{report.posts_per_s:,.0f} posts/s over {report.seconds:,.1f} s."
        if report.shards_before:
            speed += f" {report.shards_before} of {report.shards} parts were done before."
    if report.halvings:
        times = "once" if report.halvings == 1 else f"{report.halvings} times"
        speed += (
            f"\nMemory ran out {times}; the batches were cut to {report.batch_tokens:,} tokens."
        )
    return (
        f"{out}{some}: {counts.rows:,} posts, {counts.ok:,} scored, {counts.empty:,} empty, "
        f"{counts.error:,} failed; {cut}.\n{speed}"
    )


def _following(context: click.Context, report: "ScoreReport", out: "Place") -> str:
    """What to do next: study the scores, or see that the other shares are there."""
    if report.standing == report.parts:
        return f"Next: corpus-lonely study --scores {out} --cut 2020-03-11 --out report/"
    when = "once the other shares have ended" if context.params["num_shards"] else "for the rest"
    return (
        f"{report.standing} of all {report.parts} parts stand.\n"
        f"Next, {when}: {_whole(context.meta[_WORDS])}"
    )


def _whole(words: list[str]) -> str:
    """This command for the whole folder: it does what is missing and writes the totals."""
    kept = [
        word
        for before, word in zip(["", *words], words, strict=False)
        if before not in _SHARE and word.split("=")[0] not in (*_SHARE, "--retry-failed")
    ]
    return shlex.join(["corpus-lonely", "score", *kept])
