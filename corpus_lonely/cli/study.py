"""The command `corpus-lonely study`."""

import click


@click.command()
def study() -> None:
    """(being written)"""
