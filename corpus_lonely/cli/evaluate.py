"""The command `corpus-lonely evaluate`."""

from pathlib import Path

import click

from corpus_lonely.cli.options import (
    FILE,
    PRECISIONS,
    common,
    device_option,
    precision_option,
    threads_option,
)
from corpus_lonely.cli.progress import TerminalProgress

_EPILOG = """\b
Example:
  corpus-lonely evaluate --model model/ --labels fig-loneliness/ --split dev --out dev.json
"""


@click.command(epilog=_EPILOG)
@click.option(
    "--model",
    required=True,
    type=click.Path(path_type=Path),
    help="A folder that `corpus-lonely train` made.",
)
@click.option(
    "--labels",
    required=True,
    metavar="PATH-OR-HUB-ID",
    help="Labelled posts; a folder that holds the one split is enough.",
)
@click.option(
    "--split",
    type=click.Choice(["train", "dev", "test"]),
    default="dev",
    help="The split to judge on. The test split is for the final measurement only.",
)
@click.option("--out", type=FILE, help="Write all figures as JSON too.")
@click.option(
    "--reliability",
    type=FILE,
    help="Draw the share of votes against the probability given, a panel a group (PNG, SVG or PDF).",
)
@click.option(
    "--batch-tokens",
    type=int,
    show_default="2048 (65536 on a GPU)",
    help="Padded tokens in a batch (memory, not scores).",
)
@precision_option(*PRECISIONS, told="As in `score`: auto is the fastest that agrees with fp32.")
@device_option()
@threads_option()
@common
def evaluate(
    model: Path,
    labels: str,
    split: str,
    out: Path | None,
    reliability: Path | None,
    batch_tokens: int | None,
    precision: str,
    device: str,
    threads: int | None,
) -> None:
    """Judge a model on labelled posts.

    The paper's metrics beside guesses that read no text, and the floors of Clark and Canberra, which no
    prediction without exact zeros can get below. Categories are judged on truly lonely posts.
    """
    from rich.console import Console

    from corpus_lonely.cli.results import result_tables
    from corpus_lonely.files import atomic_path, finite, write_json
    from corpus_lonely.inference.engine import EngineSettings
    from corpus_lonely.training.calibration import draw_reliability
    from corpus_lonely.training.evaluate import evaluate_model

    settings = EngineSettings(
        batch_tokens=batch_tokens, precision=precision, device=device, threads=threads
    )
    with TerminalProgress() as progress:
        evaluation = evaluate_model(model, labels, split, settings, progress)
    console = Console(width=None if Console().is_terminal else 120)
    for table in result_tables(evaluation):
        console.print(table)
    if out is not None:
        write_json(out, finite(evaluation.to_dict()))
    if reliability is not None:
        with atomic_path(reliability) as temporary:
            draw_reliability(evaluation.reliability, temporary, reliability.suffix[1:] or "png")
    written = f" Figures: {out}." if out else ""
    click.echo(
        f"{evaluation.posts} posts of the {split} split, {evaluation.lonely_posts} of them lonely, "
        f"{evaluation.truncated} cut at the model's length.{written} Next:\n"
        f"  corpus-lonely score --input posts/ --model {model} --out scores/"
    )
