"""A posts folder read as a whole: its coverage, its gaps, and whether everything adds up."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from corpus_lonely.errors import InputError, first_line
from corpus_lonely.ingest.describe.month import Month, read_month
from corpus_lonely.ingest.folder import PostsFolder
from corpus_lonely.ingest.gaps import (
    RULE,
    DayCounts,
    Gap,
    empty_months,
    month_gaps,
    together,
)
from corpus_lonely.ingest.normalize import NOT_COVERED
from corpus_lonely.ingest.record import Record
from corpus_lonely.ingest.report import FileReport
from corpus_lonely.parquet import open_parquet
from corpus_lonely.progress import Progress, Silent
from corpus_lonely.tables import conform, table_schema

_DAILY_SERIES = 1_000
"""Subreddits and kinds that are looked at day by day: those with most posts."""
_READERS = 2


@dataclass(frozen=True)
class PostsDescription:
    """All that a posts folder tells of itself."""

    folder: str
    settings: dict[str, Any]
    author_key: str | None
    files: tuple[dict[str, Any], ...]
    """Name, read, kept, dropped and how it breaks off, of each."""
    broken: dict[str, str]
    """Files that break off, and how; what stands behind the break is missing."""
    repaired: list[str]
    """Files that broke off and were read whole later."""
    posts: int
    read: int
    dropped: dict[str, int]
    """Over all files, by reason."""
    gone: int
    """Posts that are remembered as deleted or removed."""
    coverage: pl.DataFrame
    """The table of schemas/coverage.json."""
    authors: dict[str, int]
    """Different ones by month; empty when the posts were not read."""
    gaps: list[Gap]
    empty_months: list[str]
    """Months between the first and the last of which nothing at all was read."""
    months: list[str]
    bad: dict[str, str]
    """What is no good, with the reason."""
    others: list[str]
    """What lies in the folder and is not ours."""
    unfinished: str | None
    """What an interrupted run has left to be ended."""
    checked: bool
    """Whether every value was read; else footers alone, and gaps are looked for by month alone."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        told = {key: value for key, value in vars(self).items() if key != "coverage"}
        return {
            "kind": "posts",
            **told,
            "gaps": [asdict(gap) for gap in self.gaps],
            "gap_rule": RULE,
            "coverage": self.coverage.to_dicts(),
        }


def inspect_posts(
    out: str | os.PathLike[str], check: bool = True, progress: Progress | None = None
) -> PostsDescription:
    """Reads a posts folder and the one beside it; writes nothing.

    check: read every value of every month; else what footers and records tell.
    Raises InputError when there is no record of an ingest.
    """
    folder = PostsFolder(Path(os.path.abspath(out)))
    record, coverage = _told(folder)
    months = list(_months(folder, record, coverage, check, progress or Silent()))
    bad = {f"month={month.name}": month.problem for month in months if month.problem}
    bad |= _sums(record, coverage)
    dropped: Counter[str] = Counter()
    for file in record.files:
        dropped.update(file.dropped)
    broken, repaired = _broken(record.files)
    return PostsDescription(
        folder=os.fspath(out),
        settings=record.settings,
        author_key=record.author_key,
        files=tuple(file.recorded() for file in record.files),
        broken=broken,
        repaired=repaired,
        posts=record.posts,
        read=sum(file.read for file in record.files),
        dropped=dict(dropped),
        gone=sum(record.gone.values()),
        coverage=coverage,
        authors={month.name: month.authors for month in months if month.authors is not None},
        gaps=together(month_gaps(coverage), _day_gaps(coverage, months)),
        empty_months=empty_months(coverage),
        months=[month.name for month in months],
        bad=bad,
        others=_others(folder, record),
        unfinished=_unfinished(folder),
        checked=check,
    )


def _broken(files: Sequence[FileReport]) -> tuple[dict[str, str], list[str]]:
    """Files that break off, with the reason, and those of them that were read whole later."""
    broken, repaired = dict[str, str](), dict[str, None]()
    for place, file in enumerate(files):
        if not file.broken:
            continue
        # wherever it was fetched to again, it holds no less
        if any(
            Path(later.name).name == Path(file.name).name
            and not later.broken
            and later.read >= file.read
            for later in files[place + 1 :]
        ):
            repaired[file.name] = None
        else:
            broken[file.name] = file.broken
    return broken, [name for name in repaired if name not in broken]


def _told(folder: PostsFolder) -> tuple[Record, pl.DataFrame]:
    record = folder.told()
    if record is None:
        raise InputError(
            f"has no record of an ingest: {folder.about}/ingest.json is not there",
            where=folder.out,
            hint="`corpus-lonely ingest` makes both; copy a folder together with what lies beside it",
        )
    try:
        table = conform(
            open_parquet(folder.coverage).read(), table_schema("coverage"), folder.coverage
        )
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"is not readable as Parquet ({first_line(error)})",
            where=folder.coverage,
            hint="Bring it back from a copy",
        ) from error
    return record, pl.DataFrame(table)


def _months(
    folder: PostsFolder, record: Record, coverage: pl.DataFrame, check: bool, progress: Progress
) -> Iterator[Month]:
    covered = {
        str(name): rows
        for (name,), rows in coverage.filter(pl.col("month").is_not_null()).group_by("month")
    }
    progress.start("Reading months", len(record.months), "months")

    def read(name: str) -> Month:
        return read_month(folder, record, name, covered.get(name, coverage.clear()), check)

    with ThreadPoolExecutor(_READERS) as readers:
        for month in readers.map(read, sorted(record.months)):
            progress.advance(1, month.name)
            yield month
    progress.finish()


def _day_gaps(coverage: pl.DataFrame, months: Iterable[Month]) -> list[Gap]:
    known = [(month.name, month.days) for month in months if month.days is not None]
    if not known:
        return []
    most = (
        coverage.group_by("subreddit", "kind")
        .agg(pl.col("kept").sum())
        .sort("kept", "subreddit", "kind", descending=[True, False, False])
        .head(_DAILY_SERIES)
    )
    counts = DayCounts(most.select("subreddit", "kind").iter_rows(), known[0][0], known[-1][0])
    for _, days in known:
        counts.add(days)
    return counts.gaps()


def _sums(record: Record, coverage: pl.DataFrame) -> dict[str, str]:
    """What does not add up; a file's own sum is checked as the record is read."""
    bad = {}
    reasons = [name for name in coverage.columns if name.startswith("dropped_")]
    wrong = coverage.filter(
        (pl.col("read") != pl.col("kept") + pl.col("dropped"))
        | (pl.col("dropped") != pl.sum_horizontal(reasons))
    )
    if len(wrong):
        bad["coverage.parquet"] = f"in {len(wrong):,} of its rows read is not kept + dropped"
    kept: Counter[int] = Counter()
    for by_file in record.months.values():
        kept.update(by_file)
    if any(file.kept != kept[place] for place, file in enumerate(record.files)):
        bad["ingest.json"] = "tells other numbers of posts by file than by month"
    read = sum(file.read for file in record.files)
    outside = sum(file.dropped.get(reason, 0) for file in record.files for reason in NOT_COVERED)
    if not wrong.height and coverage["read"].sum() + outside != read:
        bad["coverage.parquet"] = (
            f"tells {coverage['read'].sum():,} posts read, and the files {read - outside:,}"
        )
    return bad


def _others(folder: PostsFolder, record: Record) -> list[str]:
    ours = {folder.month(name) for name in record.months}
    return sorted(
        str(path.relative_to(folder.out))
        for path in folder.out.rglob("*")
        if path.is_file() and path not in ours
    )


def _unfinished(folder: PostsFolder) -> str | None:
    if folder.half_changed:
        return "a change was interrupted while it was put in place; the next `ingest` ends it"
    if folder.staging.exists() and any(folder.staging.iterdir()):
        return "an `ingest` was interrupted; the same command goes on"
    if any((folder.about / "crawl").glob("reddit-*.jsonl")):
        return "a crawl was interrupted; the same `ingest reddit` goes on"
    return None
