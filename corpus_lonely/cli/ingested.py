"""What the commands `corpus-lonely ingest ...` say when they are done."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from corpus_lonely.ingest.report import IngestReport


def end(done: "IngestReport", out: Path, report: Path | None) -> None:
    """Writes the report where it is asked for, and tells; ends with status 1 where a file broke off."""
    from corpus_lonely.files import write_json

    if report:
        write_json(report, done.as_json())
    tell(done, out)
    if done.broken:
        raise click.exceptions.Exit(1)


def tell(done: "IngestReport", out: Path) -> None:
    """Says what became of the lines, and what to run next."""
    from corpus_lonely.files import about_folder
    from corpus_lonely.ingest.report import table

    for left_out, taken in done.same_content:
        click.echo(f"{left_out}: left out, its content is that of {taken}")
    for file in done.files:
        if file.skipped:
            click.echo(f"{file.name}: in the folder already, not read again")
    for line in table(done):
        click.echo(line)
    dropped = sum(done.dropped.values())
    click.echo(f"read {done.read:,} = kept {done.kept:,} + dropped {dropped:,}")
    about = about_folder(out)
    if done.dropped.keys() & {"bad_json", "not_a_post", "bad_date"}:
        click.echo(f"Lines that could not be used are named in {about}/quarantine.jsonl")
    for file in done.broken:
        click.echo(
            f"Error: {file.name}: {file.broken}. What was read of it is in the folder, until it is read whole",
            err=True,
        )
    if done.author_key_file:
        click.echo(
            f"Authors are hashed with {done.author_key_file} (fingerprint {done.author_key}): whoever "
            "holds it can test names against the hashes, so keep it private"
        )
    if not done.posts:
        click.echo(f"Made {out}, with no post in it: nothing passed the filters")
        return
    if summary := _gaps(about / "coverage.parquet"):
        click.echo(f"{summary}: `corpus-lonely describe {out}` tells more")
    span = f"{done.months[0]} to {done.months[-1]}"
    click.echo(
        f"{out} holds {done.posts:,} posts, {span}. "
        f"Next: corpus-lonely score --input {out} --model model/ --out scores/"
    )


def _gaps(coverage: Path) -> str | None:
    import polars as pl

    from corpus_lonely.cli.posts_table import gap_summary
    from corpus_lonely.parquet import open_parquet

    return gap_summary(pl.DataFrame(open_parquet(coverage).read()))
