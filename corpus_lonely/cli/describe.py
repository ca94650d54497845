"""The command `corpus-lonely describe`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from corpus_lonely.cli.described import describe_marks, describe_model, describe_posts
from corpus_lonely.cli.kinds import kind_of
from corpus_lonely.cli.options import FILE, FOLDER, PLACE, common, device_option, threads_option
from corpus_lonely.cli.progress import TerminalProgress
from corpus_lonely.errors import InputError

if TYPE_CHECKING:
    from corpus_lonely.scoring.describe import Description
    from corpus_lonely.scoring.verify import Verification, VerifySettings
    from corpus_lonely.storage import Place

_NAMED = 20
"""Parts that are named one by one; --json names all."""


@click.command(
    epilog="\b\nWhat these posts cover, with a figure:\n"
    "  corpus-lonely describe posts/ --figure coverage.svg\n"
    "What these scores are, and whether they are whole:\n"
    "  corpus-lonely describe scores/\n"
    "The same, and 500 posts scored once more to compare:\n"
    "  corpus-lonely describe scores/ --verify 500 --model model/ --input posts/"
)
@click.argument("folder", type=PLACE)
@click.option(
    "--check/--no-check",
    default=True,
    help="Read every byte and every value of every part (two seconds for a million posts), or "
    "only what each part says of itself.",
)
@click.option(
    "--by",
    type=click.Choice(["both", "month", "subreddit", "all"]),
    default="both",
    help="Posts: a table by month and one by subreddit, one of them, or each month of each subreddit.",
)
@click.option(
    "--figure", type=FILE, help="Posts: draw kept and dropped by month here, .svg, .png or .pdf."
)
@click.option(
    "--verify",
    type=click.IntRange(min=1),
    is_flag=False,
    flag_value=200,
    metavar="[POSTS]",
    show_default="200 when no number is given",
    help="Scores: score a random sample of the posts once more, and compare.",
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
@click.pass_context
def describe(
    context: click.Context,
    folder: "Place",
    check: bool,
    by: str,
    figure: Path | None,
    verify: int | None,
    model: Path | None,
    source: str | None,
    seed: int,
    tolerance: float | None,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Tell what a folder is, and verify it: posts, marks, scores, a model or an encoder.

    Posts: how many were read, kept and dropped for which reason, by month and subreddit; where there are
    gaps; whether every month is whole and the numbers add up. Scores: which model, posts, settings and
    versions made them, what stands and what is missing, and whether every part is whole and belongs to the
    rest. A model or an encoder: what it was made from. Exit status 1 when a part is bad, or when --verify
    finds other scores; parts of scores that are only missing, and files of posts that broke off, are told.
    No text of a post is ever shown.
    """
    kind = kind_of(folder)
    _check_options(context, kind)
    if isinstance(folder, Path) and kind == "posts":
        describe_posts(folder, check=check, by=by, figure=figure, as_json=as_json)
    elif isinstance(folder, Path) and kind in ("model", "encoder"):
        describe_model(folder, kind, as_json)
    elif isinstance(folder, Path) and kind == "marks":
        describe_marks(folder, as_json)
    elif kind == "unknown":
        what = "is no folder of posts, marks, scores, a model or an encoder"
        raise InputError(what if folder.exists() else "does not exist", where=folder)
    elif kind == "report":
        raise InputError("is a report: open its report.html", where=folder)
    else:
        from corpus_lonely.scoring.verify import VerifySettings

        again = None
        if verify is not None:
            again = VerifySettings(verify, model, source, seed, tolerance, device, threads)
        _describe_scores(folder, check, again, as_json)


_OF_POSTS, _OF_SCORES = ("by", "figure"), ("verify", "model", "source", "tolerance")


def _check_options(context: click.Context, kind: str) -> None:
    """Refuses an option that has no use for such a folder, rather than pass it over."""
    others = {"posts": _OF_SCORES, "scores": _OF_POSTS}.get(kind, (*_OF_POSTS, *_OF_SCORES))
    if kind == "unknown":
        others = ()
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "")
        if parameter.name in others and given is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{parameter.opts[-1]} has no use for {kind}")


def _describe_scores(
    scores: "Place", check: bool, again: "VerifySettings | None", as_json: bool
) -> None:
    from corpus_lonely.scoring.describe import inspect_scores
    from corpus_lonely.scoring.verify import verify_scores

    with TerminalProgress() as progress:
        inspection = inspect_scores(scores, check, progress)
        found = verify_scores(scores, inspection, again, progress) if again else None
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
            f"{found.others:,} rows have another status, length or cut, and {found.carried:,} other "
            "columns carried along",
            where=description.folder,
            hint="Another version of a library may be at work: compare the versions above",
        )
