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
    help="Labelled posts, instead of those that the file names as labels.",
)
@click.option(
    "--system",
    "systems",
    multiple=True,
    metavar="NAME",
    help="Train this system alone; may be repeated. Several machines can so share the runs out in one "
    "--out; tables and figures are of all that is done.",
)
@click.option(
    "--seed", "seeds", multiple=True, type=int, help="Train this seed alone; may be repeated."
)
@click.option(
    "--list",
    "listed",
    is_flag=True,
    help="List the runs: done, to do, in progress, or done with other settings than the file's; do none.",
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
    the same command goes on, and leaves runs that another process is at to it. In the end there are the paper's
    tables 3 and 4 with its own rows beside, as Markdown, CSV and LaTeX, an interval over posts (paired bootstrap)
    and seeds for each difference, the weights over training (figure 4), learning curves, and what each group
    gains from the others' company.
    """
    from corpus_lonely.training.experiment.file import read_experiment
    from corpus_lonely.training.experiment.run import narrowed, planned, run_experiment

    whole = read_experiment(experiment)
    if labels:
        whole = whole.with_labels(labels)
    some = narrowed(whole, systems, seeds)
    if listed:
        for name, seed, state in planned(some, out):
            click.echo(f"{state}\t{name}\tseed {seed}")
        return
    with TerminalProgress() as progress:
        report = run_experiment(
            whole, out, progress=progress, only_done=only_done, some=some, **machine
        )
    click.echo(
        f"{report.runs} of {report.all_runs} runs are done. Tables and figures: {report.page}"
    )
    if report.left:
        click.echo(
            f"{report.left} are left to other processes: once those are done, run the same command again."
        )
