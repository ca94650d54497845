"""The command `corpus-lonely score`."""

import click


@click.command()
def score() -> None:
    """(being written)"""
