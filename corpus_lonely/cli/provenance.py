"""A description of scores as a table for people."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from corpus_lonely.scoring.describe import Description
    from corpus_lonely.scoring.verify import Verification


def provenance(description: "Description", found: "Verification | None") -> Table:
    """Two columns: what it is about, and what is so."""
    table = Table(
        title=Text(description.folder),
        title_justify="left",
        title_style="bold",
        show_header=False,
        box=None,
        padding=(0, 2, 0, 0),
    )
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _rows(description):
        table.add_row(name, Text(value))
    if found:
        table.add_row("Verified", Text(_verified(found)))
    return table


def _rows(description: "Description") -> Iterator[tuple[str, str]]:
    run = description.run
    yield "Model", f"{run.model}{_from(description.model)}"
    yield "Tokenizer", run.tokenizer
    yield "Labels", _labels(description)
    yield "Posts", f"{run.input}{_from(description.input)}, column {run.text_column!r}"
    yield "Carried along", ", ".join(run.carried) or "nothing"
    if description.author_key:
        yield "Author key", description.author_key
    yield "Settings", _settings(description)
    yield "Device", ", ".join(description.devices) or "unknown"
    yield "Versions", "; ".join(_versions(description)) or "unknown"
    yield "Counts", _counts(description)
    yield "Parts", _parts(description)
    if description.others:
        yield "Other files", ", ".join(description.others)


def _from(path: str | None) -> str:
    return f"\nfrom {path}" if path else ""


def _labels(description: "Description") -> str:
    taxonomy = description.taxonomy
    if taxonomy is None:
        return description.run.taxonomy
    categories = ", ".join(f"{c.name} {len(c.labels)}" for c in taxonomy.categories)
    return f"{taxonomy.name} ({taxonomy.root.name}; {categories}), {description.run.taxonomy}"


def _settings(description: "Description") -> str:
    run = description.run
    return (
        f"--max-tokens {run.max_tokens} --batch-tokens {run.batch_tokens} "
        f"--precision {run.precision} --shard-rows {run.shard_rows}, "
        f"engine's numerics version {run.numerics_version}"
    )


def _versions(description: "Description") -> Iterator[str]:
    for package, numbers in description.versions.items():
        mixed = " (not all parts by the same)" if len(numbers) > 1 else ""
        yield f"{package} {' and '.join(numbers)}{mixed}"


def _counts(description: "Description") -> str:
    counts = description.counts
    of = f" of {description.rows:,}" if description.rows is not None else ""
    purged = f"; {description.purged:,} were purged" if description.purged else ""
    return (
        f"{counts.rows:,}{of} posts: {counts.ok:,} scored, {counts.empty:,} empty, "
        f"{counts.error:,} failed; {counts.truncated:,} cut at --max-tokens; {counts.tokens:,} tokens{purged}"
    )


def _parts(description: "Description") -> str:
    how = "every byte and value checked" if description.checked else "footers checked"
    told = [f"{description.good:,} of {description.parts:,} good ({how}, all of one run)"]
    only_missing = len(description.missing) - len(description.set_aside)
    for number, name in (
        (len(description.bad), "bad"),
        (len(description.set_aside), "set aside"),
        (only_missing, "missing"),
    ):
        if number:
            told.append(f"{number:,} {name}")
    return ", ".join(told)


def _verified(found: "Verification") -> str:
    verdict = "they agree" if found.agrees else "THEY DO NOT AGREE"
    return (
        f"{found.rows:,} posts scored once more ({found.device}, {found.precision}): {verdict}. "
        f"Greatest difference {found.greatest:.2g} ({found.where}), mean {found.mean:.2g}, "
        f"tolerance {found.tolerance:g}; {found.others:,} rows differ in status, length or cut, "
        f"{found.carried:,} in columns carried along"
    )
