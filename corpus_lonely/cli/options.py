"""What every command shares: --config, --debug, and types of options."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

EXISTING = click.Path(exists=True, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)


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
    settings = {**_top_level(content), **content.get(context.info_name or "", {})}
    names = {
        option.removeprefix("--").replace("-", "_"): parameter.name or ""
        for parameter in context.command.params
        for option in [*parameter.opts, *parameter.secondary_opts]
    }
    defaults: dict[str, Any] = {}
    for key, value in settings.items():
        plain = key.replace("-", "_")
        if plain not in names:
            known = ", ".join(sorted(name for name in names if name not in ("config", "help")))
            raise click.UsageError(f"{path}: no setting {key!r} here; there are {known}")
        defaults[names[plain]] = value
    context.default_map = {**(context.default_map or {}), **defaults}


def _top_level(content: dict[str, Any]) -> dict[str, Any]:
    # a table belongs to the command of its name, so one file can hold the settings of a whole study
    return {key: value for key, value in content.items() if not isinstance(value, dict)}
