"""The command `corpus-lonely describe`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from corpus_lonely.cli.options import FOLDER, PLACE, common, device_option, threads_option
from corpus_lonely.cli.progress import TerminalProgress

if TYPE_CHECKING:
    from corpus_lonely.scoring.describe import Description
    from corpus_lonely.scoring.verify import Verification
    from corpus_lonely.storage import Place

_NAMED = 20
"""Parts that are named one by one; --json names all."""


@click.command(
    epilog="\b\nWhat these scores are, and whether they are whole:\n"
    "  corpus-lonely describe scores/\n"
    "The same, and 500 posts scored once more to compare:\n"
    "  corpus-lonely describe scores/ --verify 500 --model model/ --input posts/"
)
@click.argument("scores", type=PLACE)
@click.option(
    "--check/--no-check",
    default=True,
    help="Read every byte and every value of every part (two seconds for a million posts), or "
    "only what each part says of itself.",
)
@click.option(
    "--verify",
    type=click.IntRange(min=1),
    is_flag=False,
    flag_value=200,
    metavar="[POSTS]",
    show_default="200 when no number is given",
    help="Score a random sample of the posts once more, and compare.",
)
@click.option("--model", type=FOLDER, show_default="where it was", help="The model, for --verify.")
@click.option("--input", "source", show_default="where they were", help="The posts, for --verify.")
@click.option("--seed", type=int, default=0, help="Another number, another sample.")
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    show_default="0.01; 0.0001 in fp32 on the same kind of device",
    help="The greatest difference of a probability that --verify takes for rounding.",
)
@device_option("For --verify: auto, cpu, cuda, cuda:0 or mps.")
@threads_option("CPU threads, for --verify.")
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON.")
@common
def describe(
    scores: "Place",
    check: bool,
    verify: int | None,
    model: Path | None,
    source: str | None,
    seed: int,
    tolerance: float | None,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Tell what a folder of scores is, and verify it.

    Which model, posts, settings and versions made it, what stands and what is missing, and whether
    every part is whole and belongs to the rest. Exit status 1 when a part is bad, or when --verify
    finds other scores; parts that are only missing are told. No text of a post is ever shown.
    """
    from corpus_lonely.scoring.describe import inspect_scores
    from corpus_lonely.scoring.verify import VerifySettings, verify_scores

    with TerminalProgress() as progress:
        inspection = inspect_scores(scores, check, progress)
        found = None
        if verify is not None:
            settings = VerifySettings(verify, model, source, seed, tolerance, device, threads)
            found = verify_scores(scores, inspection, settings, progress)
    description = inspection.description
    if as_json:
        told: dict[str, Any] = description.to_dict()
        told["verification"] = found.to_dict() if found else None
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        _print(description, found)
    _judge(description, found)


def _print(description: "Description", found: "Verification | None") -> None:
    from rich.console import Console

    from corpus_lonely.cli.provenance import provenance

    console = Console(width=None if Console().is_terminal else 120, highlight=False)
    console.print(provenance(description, found))
    for title, reasons in (
        ("Bad", description.bad),
        ("Set aside", description.set_aside),
        ("Missing", dict.fromkeys(_only_missing(description), "")),
    ):
        _list(title, reasons)
    if not description.bad:
        click.echo(_following(description))


def _only_missing(description: "Description") -> list[str]:
    return [name for name in description.missing if name not in description.set_aside]


def _list(title: str, reasons: dict[str, str]) -> None:
    for name, reason in list(reasons.items())[:_NAMED]:
        click.echo(f"{title}: {name}: {reason}" if reason else f"{title}: {name}")
    if len(reasons) > _NAMED:
        click.echo(f"{title}: {len(reasons) - _NAMED:,} more; --json names them")


def _following(description: "Description") -> str:
    if description.complete:
        return f"Next: corpus-lonely study --scores {description.folder} --cut 2020-03-11 --out report/"
    return "Not all parts are there. Next: the same `corpus-lonely score` command again."


def _judge(description: "Description", found: "Verification | None") -> None:
    """Ends with status 1 when something is wrong."""
    from corpus_lonely.errors import ScoringError

    if description.bad:
        raise ScoringError(
            f"{len(description.bad):,} of {description.parts:,} parts are bad",
            where=description.folder,
            hint="Remove them and run the same `corpus-lonely score` command again",
        )
    if found and not found.agrees:
        raise ScoringError(
            f"scored once more, the sample is other by up to {found.greatest:.4g} ({found.where}); "
            f"{found.others:,} rows have another status, length or cut",
            where=description.folder,
            hint="Another version of a library may be at work: compare the versions above",
        )
