"""Command lines as users type them, taken from pages and parsed by the commands themselves, not run."""

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from corpus_lonely.cli.main import main

ROOT = Path(__file__).parents[1]


def leaves(group: click.Group = main, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with its words: `ingest dump`."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


def parsed(words: Sequence[str]) -> click.Context:
    """What a command makes of its words, those after `corpus-lonely`; click's error when it cannot."""
    command: click.Command = main
    context, rest = click.Context(main, info_name="corpus-lonely"), list(words)
    while isinstance(command, click.Group):
        name = rest.pop(0)
        command = command.commands[name]
        if isinstance(command, click.Group):
            context = click.Context(command, context, name)
    return command.make_context(name, rest, parent=context)


def fenced(page: str, language: str) -> list[str]:
    """The blocks of a Markdown page that are marked with a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def commands_in(shell: str) -> list[list[str]]:
    """The words after `corpus-lonely` of each such line; continued lines are joined."""
    lines = shell.replace("\\\n", " ").splitlines()
    split = [shlex.split(line, comments=True) for line in lines if "corpus-lonely " in line]
    return [words[1:] for words in split if words and words[0] == "corpus-lonely"]
