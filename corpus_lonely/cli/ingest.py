"""The commands `corpus-lonely ingest ...`."""

import click


@click.group()
def ingest() -> None:
    """(being written)"""
