"""What became of every line: read = kept + dropped, by file and reason, as JSON and as a table."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from corpus_lonely.ingest.normalize import DROP_REASONS


@dataclass(frozen=True)
class FileReport:
    """The lines of one dump; blank lines count for nothing."""

    name: str
    size: int
    """Bytes on disk."""
    fingerprint: str
    """See `Dump.fingerprint`; with the digest of the whole where it is broken."""
    read: int
    kept: int
    """Lines whose post is in the folder."""
    dropped: Mapping[str, int]
    """Lines by reason, those that occur, in the order of DROP_REASONS."""
    broken: str | None = None
    """Where and how the file breaks off; what stands before is counted above."""
    source: str | None = None
    """Fingerprint of the table that the lines were made from; None for a dump."""
    reading: Mapping[str, Any] | None = None
    """How that table was read, by option."""
    skipped: bool = False
    """Ingested by an earlier run, whose counts these are."""

    def __post_init__(self) -> None:
        unknown = set(self.dropped) - set(DROP_REASONS)
        if unknown or self.read != self.kept + sum(self.dropped.values()):
            raise AssertionError(
                f"{self.name}: read {self.read} is not kept {self.kept} + dropped {self.dropped}"
            )

    def recorded(self) -> dict[str, Any]:
        """As JSON for the folder's record, which knows nothing of runs."""
        content = asdict(self)
        del content["skipped"]
        of_tables = ("source", "reading")
        return {
            name: value
            for name, value in content.items()
            if value is not None or name not in of_tables
        }


@dataclass(frozen=True)
class IngestReport:
    """What one run of `ingest_dumps` did."""

    out: str
    files: tuple[FileReport, ...]
    """In the order they were given, each content once."""
    posts: int
    """Rows in the folder now, earlier runs included."""
    months: tuple[str, ...]
    """YYYY-MM of the partitions in the folder now."""
    author_key: str | None
    """Fingerprint of the key; None with --keep-authors."""
    author_key_file: str | None
    settings: Mapping[str, Any]
    same_content: tuple[tuple[str, str], ...] = field(default=())
    """Files given beside another of the same content, which was taken: (left out, taken)."""

    @property
    def read(self) -> int:
        return sum(file.read for file in self.files)

    @property
    def kept(self) -> int:
        return sum(file.kept for file in self.files)

    @property
    def dropped(self) -> dict[str, int]:
        return ordered(
            (reason, count) for file in self.files for reason, count in file.dropped.items()
        )

    @property
    def broken(self) -> tuple[FileReport, ...]:
        """The files that break off."""
        return tuple(file for file in self.files if file.broken)

    def as_json(self) -> dict[str, Any]:
        """For --report."""
        totals = {"read": self.read, "kept": self.kept, "dropped": self.dropped}
        return {**asdict(self), "totals": totals}


def ordered(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    """The counts that are not 0, summed by reason, in the order of DROP_REASONS."""
    sums = dict.fromkeys(DROP_REASONS, 0)
    for reason, count in counts:
        sums[reason] += count
    return {reason: count for reason, count in sums.items() if count}


def table(report: IngestReport) -> list[str]:
    """Aligned lines: a file a row, then the totals; a column for each reason that occurs."""
    reasons = list(report.dropped)
    head = ["file", "read", "kept", *(reason.replace("_", " ") for reason in reasons)]
    rows = [
        [_name(file), *_numbers(file.read, file.kept, file.dropped, reasons)]
        for file in report.files
    ]
    total = ["total", *_numbers(report.read, report.kept, report.dropped, reasons)]
    return _aligned([head, *rows, total] if len(rows) > 1 else [head, *rows])


def _numbers(read: int, kept: int, dropped: Mapping[str, int], reasons: list[str]) -> list[str]:
    counts = (read, kept, *(dropped.get(reason, 0) for reason in reasons))
    return [f"{count:,}" for count in counts]


def _name(file: FileReport) -> str:
    name = Path(file.name).name
    short = name if len(name) <= 40 else f"{name[:19]}…{name[-20:]}"
    return f"{short} (broken)" if file.broken else short


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
