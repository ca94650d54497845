"""The command `corpus-lonely ensemble`."""

from pathlib import Path

import click

from corpus_lonely.cli.options import FOLDER, common

_EPILOG = """\b
Example:
  corpus-lonely ensemble --model seed-0/ --model seed-1/ --model seed-2/ --out ensemble/
"""


@click.command(epilog=_EPILOG)
@click.option(
    "--model",
    "models",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path),
    help="A folder that `corpus-lonely train` made; twice or more.",
)
@click.option("--out", required=True, type=FOLDER, help="The model folder to make.")
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
@common
def ensemble(models: tuple[Path, ...], out: Path, overwrite: bool) -> None:
    """Join models into one that gives their mean.

    Models of several seeds err in different ways, and the mean of what they say is better than each. Models
    that learnt some groups alone (`train --only`) are asked for these, and the others are not: each group is the mean of the
    models that learnt it with the fewest others. What comes out is a model folder for `evaluate` and `score`, which takes as
    long as all its models together.
    """
    from corpus_lonely.training.ensemble import make_ensemble

    report = make_ensemble(models, out, overwrite)
    made = "is there already" if report.already_there else f"made of {report.members} models"
    click.echo(
        f"Model {out} {made}. Next:\n"
        f"  corpus-lonely evaluate --model {out} --labels LABELS --split dev"
    )
