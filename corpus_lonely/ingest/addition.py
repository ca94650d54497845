"""Staged files into a posts folder: months merged, every line accounted for, all committed at once."""

import shutil
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
import pyarrow as pa

from corpus_lonely import __version__
from corpus_lonely.files import atomic_path, open_private
from corpus_lonely.ingest.authors import AuthorKey
from corpus_lonely.ingest.coverage import coverage
from corpus_lonely.ingest.folder import PostsFolder
from corpus_lonely.ingest.merge import MonthFiles, merge_month
from corpus_lonely.ingest.month_sources import Source
from corpus_lonely.ingest.purged import COUNTS, Purged, read_purged
from corpus_lonely.ingest.record import Record
from corpus_lonely.ingest.report import FileReport, ordered
from corpus_lonely.ingest.stage import Staged
from corpus_lonely.progress import Progress
from corpus_lonely.tables import write_parquet

_Purged = Counter[tuple[str, int, str, str]]
"""Rows by month, file (its place in the record), subreddit in lower case, and kind."""


@dataclass(frozen=True)
class Addition:
    """What one commit adds to a folder that is held."""

    folder: PostsFolder
    before: Record
    """What the folder holds; a new record when it is made anew."""
    staged: list[Staged]
    schema: pa.Schema
    id_key: AuthorKey | None = None
    """What ids are hashed with; None where they are plain."""

    def make(self, progress: Progress) -> Record:
        """Does it, and returns what the folder holds then. OutputError when the disk is full."""
        sources = self._sources()
        months, gone, duplicates, purged, ids = self._merge(sources, progress)
        files = self._files(months, duplicates, purged)
        after = replace(self.before, files=files, months=months, gone=gone)
        changed = [
            *map(self.folder.month, sources.keys() & months.keys()),
            *map(self.folder.origins, sources.keys() & months.keys()),
            *map(self.folder.traces, sources.keys() & gone.keys()),
            *self._copy_counts(after),
            *self._write_quarantine(),
        ]
        changed += [*self._write_coverage(after, list(sources), purged), *self._remember(ids)]
        self.folder.commit(after, changed)
        return after

    def _remember(self, ids: set[str]) -> list[Path]:
        """Adds posts of purged authors to what is purged."""
        there = read_purged(self.folder.purged)
        if there is None:
            return []
        before = there.hashed_with(self.id_key)
        if before is there and ids <= set(before.posts):
            return []
        new = Purged.of(ids, (), before.author_key, hash_ids=self.id_key is not None)
        (before | new).write(self.folder.coming(self.folder.purged))
        return [self.folder.purged]

    @property
    def _first(self) -> int:
        """The place of the first new file in the record."""
        return len(self.before.files)

    @cached_property
    def _repaired(self) -> frozenset[int]:
        """The places of files that broke off when they were read before, and are whole now."""
        whole = {staged.dump.name for staged in self.staged if not staged.broken}
        files = enumerate(self.before.files)
        return frozenset(place for place, file in files if file.broken and file.name in whole)

    def _sources(self) -> dict[str, list[Source]]:
        """For each month that changes: what the folder has of it, then the staged runs."""
        sources: dict[str, list[Source]] = {}
        for origin, staged in enumerate(self.staged, start=self._first):
            for month, places in staged.months.items():
                sources.setdefault(month, []).extend(
                    Source(staged.folder / name, origin, batch) for name, batch in places
                )
        for month, by_file in self.before.months.items():
            if month in sources or self._repaired & by_file.keys():
                there = Source(self.folder.month(month), self.folder.origins(month))
                sources.setdefault(month, []).insert(0, there)
        return dict(sorted(sources.items()))

    def _merge(
        self, sources: dict[str, list[Source]], progress: Progress
    ) -> tuple[dict[str, dict[int, int]], dict[str, int], Counter[int], _Purged, set[str]]:
        """Rows by month and file as they are then, posts gone by month, new duplicates by file, and
        rows of purged posts with their ids."""
        months, gone = dict(self.before.months), dict(self.before.gone)
        duplicates, taken_out, ids = Counter[int](), _Purged(), set[str]()
        there = read_purged(self.folder.purged)
        # as the posts to come are: the folder may be made anew with other settings
        purged = there.hashed_with(self.id_key) if there else None
        progress.start("Merging months", len(sources), "months")
        for month, parts in sources.items():
            traces = self.folder.traces(month) if month in gone else None
            out = self._coming(month)
            merged = merge_month(
                parts, traces, out, self.schema, self._facts(), purged, self._repaired
            )
            months[month] = dict(sorted(merged.kept.items()))
            gone[month] = merged.gone
            duplicates.update(merged.duplicates)
            taken_out.update({(month, *of): count for of, count in merged.purged.items()})
            ids |= merged.purged_ids
            progress.advance(1, month)
        progress.finish()
        return _filled(months), _filled(gone), duplicates, taken_out, ids

    def _coming(self, month: str) -> MonthFiles:
        places = (self.folder.month(month), self.folder.origins(month), self.folder.traces(month))
        return MonthFiles(*map(self.folder.coming, places))

    def _facts(self) -> dict[str, Any]:
        return {
            "table": "posts",
            "settings": self.before.settings,
            "author_key": self.before.author_key,
            "version": __version__,
        }

    def _files(
        self, months: dict[str, dict[int, int]], duplicates: Counter[int], purged: _Purged
    ) -> tuple[FileReport, ...]:
        """All files; one from before has fewer rows where a fresher copy of a post came in."""
        kept: Counter[int] = Counter()
        out: Counter[int] = Counter()
        for (_, file, *_), count in purged.items():
            out[file] += count
        for rows in months.values():
            kept.update(rows)
        new = [
            FileReport(
                name=staged.dump.name,
                size=staged.dump.size,
                fingerprint=staged.fingerprint,
                read=staged.read,
                kept=kept[place],
                dropped=ordered(
                    [
                        *staged.dropped.items(),
                        ("duplicate", duplicates[place]),
                        ("purged", out[place]),
                    ]
                ),
                broken=staged.broken or (given.broken if given else None),
                source=given.fingerprint if given else None,
                reading=given.reading if given else None,
            )
            for place, staged in enumerate(self.staged, start=self._first)
            for given in [staged.dump.given]
        ]
        old = [
            replace(
                file,
                kept=kept[place],
                dropped=ordered(
                    [
                        *file.dropped.items(),
                        ("duplicate", duplicates[place]),
                        ("purged", out[place]),
                    ]
                ),
            )
            for place, file in enumerate(self.before.files)
        ]
        return (*old, *new)

    def _copy_counts(self, after: Record) -> list[Path]:
        places = [self.folder.counts(file) for file in after.files[self._first :]]
        for place, staged in zip(places, self.staged, strict=True):
            with atomic_path(self.folder.coming(place)) as temporary:
                shutil.copyfile(staged.counts, temporary)
        return places

    def _write_coverage(self, after: Record, months: list[str], purged: _Purged) -> list[Path]:
        coming, before = self.folder.coming, self.folder.coverage
        told = bool(self._first) and before.exists()
        counts = [self.folder.counts(file) for file in after.files]
        table = coverage(
            [*counts[: self._first], *map(coming, counts[self._first :])],
            self.folder.months(after, coming=months),
            months,
            before if told else None,
            purged_counts(purged),
        )
        write_parquet(table, coming(self.folder.coverage))
        return [self.folder.coverage]

    def _write_quarantine(self) -> list[Path]:
        """The bad lines of all files so far, for the owner's eyes alone."""
        place = self.folder.quarantine
        parts = [staged.quarantine for staged in self.staged]
        if self._first and place.exists():
            parts.insert(0, place)
        with (
            atomic_path(self.folder.coming(place)) as temporary,
            open_private(temporary) as whole,
        ):
            for part in parts:
                with part.open("rb") as lines:
                    shutil.copyfileobj(lines, whole)
        return [place]


def purged_counts(purged: _Purged) -> pl.DataFrame:
    """The same for the table of coverage, without the files."""
    rows = [(month, name, kind, count) for (month, _, name, kind), count in purged.items()]
    return pl.DataFrame(rows, schema=COUNTS.schema, orient="row")


_Value = TypeVar("_Value")


def _filled(by_month: dict[str, _Value]) -> dict[str, _Value]:
    """In the order of months, without those that hold nothing."""
    return {month: value for month, value in sorted(by_month.items()) if value}
