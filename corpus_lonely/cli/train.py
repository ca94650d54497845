"""The command `corpus-lonely train`."""

import click


@click.command()
def train() -> None:
    """(being written)"""
