"""Writes docs/cli.md, the help of every command as the terminal shows it; --check only compares."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from corpus_lonely.cli.main import main

PAGE = Path(__file__).with_name("cli.md")
_WIDTH = 78
"""Columns; what click takes for a terminal of 80."""
_HEAD = """# Every command and its options

Made by `python docs/write_cli.py` from what `--help` prints; `make check` fails when it is out of
step. Any command takes `--config FILE.toml`: the recipes in [jobs/](../jobs/README.md) show how.
"""


def page() -> str:
    """The whole page, in the order of the work."""
    sections = [
        f"\n## {name}\n\n```text\n{text}\n```\n" for name, text in _helps(main, "corpus-lonely")
    ]
    return _HEAD + "".join(sections)


def _helps(
    command: click.Command, name: str, parent: click.Context | None = None
) -> Iterator[tuple[str, str]]:
    """Full name and help of a command, then of all below it."""
    context = click.Context(
        command,
        parent,
        name,
        terminal_width=_WIDTH,
        max_content_width=_WIDTH,
        **command.context_settings,
    )
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            yield from _helps(command.commands[below], below, context)


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 when the page is stale.")
def write(check: bool) -> None:
    """Write docs/cli.md."""
    if not check:
        PAGE.write_text(page(), "utf-8")
    elif not PAGE.is_file() or PAGE.read_text("utf-8") != page():
        click.echo(
            f"{PAGE}: is out of step with the commands. Run: python docs/write_cli.py", err=True
        )
        sys.exit(1)


if __name__ == "__main__":
    write()
