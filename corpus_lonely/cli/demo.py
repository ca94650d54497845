"""The command `corpus-lonely demo`."""

import click


@click.command()
def demo() -> None:
    """(being written)"""
