"""The command `corpus-lonely experiment`."""

from pathlib import Path
from typing import Any

import click

from corpus_lonely.cli.options import FOLDER, common, device_option, threads_option
from corpus_lonely.cli.progress import TerminalProgress

_EPILOG = """\b
Examples:
  corpus-lonely experiment jobs/paper/experiment.toml --out results/
  corpus-lonely experiment jobs/paper/experiment.toml --out results/ --list
  corpus-lonely experiment jobs/paper/experiment.toml --out results/ --only-done
"""


@click.command(epilog=_EPILOG)
@click.argument("experiment", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--out", required=True, type=FOLDER, help="Models, tables, figures and a page go here."
)
@click.option(
    "--labels",
    metavar="PATH-OR-HUB-ID",
    help="Labelled posts, instead of those that the file names.",
)
@click.option(
    "--system",
    "systems",
    multiple=True,
    metavar="NAME",
    help="This system alone; may be repeated. Runs can so be shared out, and joined without it.",
)
@click.option("--seed", "seeds", multiple=True, type=int, help="This seed alone; may be repeated.")
@click.option(
    "--list", "listed", is_flag=True, help="List the runs and whether each is done; do none."
)
@click.option(
    "--only-done",
    is_flag=True,
    help="Write tables and figures of the runs that are done, and begin none.",
)
@device_option()
@threads_option()
@common
def experiment(
    experiment: Path,
    out: Path,
    labels: str | None,
    systems: tuple[str, ...],
    seeds: tuple[int, ...],
    listed: bool,
    only_done: bool,
    **machine: Any,
) -> None:
    """Train systems with several seeds and compare them.

    The file names encoders, systems and seeds. Each run can be interrupted and is skipped once it is done:
    the same command goes on. In the end there are the paper's tables 3 and 4 with its own rows beside, as
    Markdown, CSV and LaTeX, an interval over posts (paired bootstrap) and seeds for each difference, the weights
    over training (figure 4), learning curves, and what each group gains from the others' company.
    """
    from dataclasses import replace

    from corpus_lonely.training.experiment.run import narrowed, planned, run_experiment
    from corpus_lonely.training.experiment.spec import read_experiment

    found = narrowed(read_experiment(experiment), systems, seeds)
    if labels:
        found = replace(found, labels=labels)
    if listed:
        for name, seed, done in planned(found, out):
            click.echo(f"{'done' if done else 'to do'}\t{name}\tseed {seed}")
        return
    with TerminalProgress() as progress:
        report = run_experiment(found, out, progress=progress, only_done=only_done, **machine)
    click.echo(f"{report.runs} runs are done. Tables and figures: {report.page}")
