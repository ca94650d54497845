"""What commands share: --config, --debug, options of those that compute, and types of options."""

import tomllib
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from corpus_lonely.storage import Place

Command = TypeVar("Command", bound=Callable[..., Any])

EXISTING = click.Path(exists=True, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
PRECISIONS = ("fp32", "mixed", "bf16", "fp16")
"""Of a model that is trained."""


class _Day(click.ParamType[date]):
    """YYYY-MM-DD; TOML has dates of its own."""

    name = "date"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:  # noqa: ARG002  (click's)
        return "YYYY-MM-DD"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        if isinstance(value, datetime):
            return value.date()
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no day; write it like 2020-03-11", param, ctx)


DAY = _Day()


class _Assignment(click.ParamType[tuple[str, str]]):
    """COLUMN=VALUE, as a pair."""

    name = "column=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        column, equals, wanted = str(value).partition("=")
        if not column or not equals:
            self.fail(f"{value!r} is no column=value", param, ctx)
        return column.strip(), wanted.strip()


ASSIGNMENT = _Assignment()


class _Place(click.ParamType["Place"]):
    """A folder on this machine, or the address of one in a store."""

    name = "folder or url"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "Place":
        from corpus_lonely.storage import place

        if "://" not in str(value):
            value = FOLDER.convert(value, param, ctx)
        return place(value)


PLACE = _Place()


class SectionOption(click.Option):
    """An option that `--help` shows under a heading of its own, when its command is `Sectioned`."""

    def __init__(self, *declarations: Any, section: str, **attributes: Any) -> None:
        super().__init__(*declarations, **attributes)
        self.section = section


class Sectioned(click.Command):
    """A command with so many options that `--help` shows them under headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Those without a heading first, the headings in the order of their first option."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                heading = getattr(parameter, "section", "Options")
                sections.setdefault(heading, []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)


def common(command: Command) -> Command:
    """Gives a command --config and --debug."""
    config = click.option(
        "--config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=_read_config,
        help="A TOML file of settings: keys are the long options; the command line wins.",
    )
    debug = click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        callback=_remember_debug,
        help="Show the whole traceback of an error.",
    )
    return config(debug(command))


def training_options(command: Command) -> Command:
    """Gives a command that trains what every one of them has, and where it computes."""
    options = (
        click.option(
            "--attention-dropout",
            type=float,
            default=0.0,
            help="Share of the encoder's attention left out in training; above 0 a CPU takes three times "
            "as long.",
        ),
        click.option("--seed", type=int, default=0, help="Of everything random."),
        precision_option("bf16", "fp32", told="auto: bfloat16 where the device computes in it."),
        device_option(),
        threads_option(),
        click.option(
            "--overwrite",
            is_flag=True,
            help="Replace what is there, and checkpoints of an unfinished run of other settings, which are "
            "else kept: with --epochs changed, say, a run cannot go on from them.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def device_option(told: str = "auto, cpu, cuda, cuda:0 or mps.") -> Callable[[Command], Command]:
    """--device, of commands that compute."""
    return click.option("--device", default="auto", help=told)


def precision_option(*choices: str, told: str) -> Callable[[Command], Command]:
    """--precision, one of the choices or auto."""
    return click.option(
        "--precision", type=click.Choice(["auto", *choices]), default="auto", help=told
    )


def threads_option(
    told: str = "CPU threads; by default one a core.",
) -> Callable[[Command], Command]:
    """--threads, of commands that compute in their own process."""
    return click.option("--threads", type=click.IntRange(min=1), help=told)


def _remember_debug(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        context.find_root().meta["corpus_lonely.debug"] = True


def _read_config(context: click.Context, _parameter: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{path}: is no TOML ({error})") from error
    _check_tables(content, context, path)
    command = context.info_name or ""
    settings = {**_top_level(content), **content.get(command, {})}
    known = {
        name.removeprefix("--"): parameter
        for parameter in context.command.params
        for name in parameter.opts
        if name not in ("--config", "--debug") and isinstance(parameter, click.Option)
    }
    defaults: dict[str, Any] = {}
    for key, value in settings.items():
        parameter = known.get(key.replace("_", "-"))
        if parameter is None:
            raise click.UsageError(
                f"{path}: `{command}` has no setting {key!r}; it has {', '.join(sorted(known))}"
            )
        if parameter.multiple and not isinstance(value, list):
            raise click.UsageError(f"{path}: {key} takes a list, like [{value!r}]")
        defaults[parameter.name or ""] = value
    context.default_map = {**(context.default_map or {}), **defaults}


def _top_level(content: dict[str, Any]) -> dict[str, Any]:
    # a table belongs to the command of its name, so one file can hold the settings of a whole study
    return {key: value for key, value in content.items() if not isinstance(value, dict)}


def _check_tables(content: dict[str, Any], context: click.Context, path: Path) -> None:
    commands = _command_names(context.find_root().command)
    for key, value in content.items():
        if isinstance(value, dict) and key not in commands:
            raise click.UsageError(
                f"{path}: [{key}] is no command; there are {', '.join(sorted(commands))}"
            )
        if key in commands and not isinstance(value, dict):
            raise click.UsageError(
                f"{path}: {key} is a command: write [{key}] and its settings below"
            )


def _command_names(command: click.Command) -> set[str]:
    if not isinstance(command, click.Group):
        return {command.name or ""}
    return {name for child in command.commands.values() for name in _command_names(child)}
