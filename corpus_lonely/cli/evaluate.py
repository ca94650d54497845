"""The command `corpus-lonely evaluate`."""

import click


@click.command()
def evaluate() -> None:
    """(being written)"""
