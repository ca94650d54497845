"""Posts taken out of a folder for good: by id or by author, all at once, and remembered."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import polars as pl
import pyarrow as pa

from corpus_lonely.errors import InputError
from corpus_lonely.files import atomic_path
from corpus_lonely.ingest.addition import purged_counts
from corpus_lonely.ingest.authors import AuthorKey, read_key
from corpus_lonely.ingest.coverage import coverage
from corpus_lonely.ingest.folder import PostsFolder
from corpus_lonely.ingest.merge import purged_rows
from corpus_lonely.ingest.month_sources import ORIGINS, reading
from corpus_lonely.ingest.purged import Purged, read_purged
from corpus_lonely.ingest.record import Record
from corpus_lonely.ingest.report import FileReport, ordered
from corpus_lonely.ingest.writer import MonthWriter
from corpus_lonely.parquet import open_parquet
from corpus_lonely.progress import Progress, Silent
from corpus_lonely.tables import footer, write_parquet


@dataclass(frozen=True)
class PostsPurge:
    """What one run of `purge_posts` did."""

    removed: int
    months: int
    """Rewritten or, where nothing was left, removed."""
    remembered: int
    """Ids and authors that no later ingest brings back."""
    authors: tuple[str, ...]
    """The authors that were named, as the column has them."""
    ids: tuple[str, ...]
    """The ids that were named, as the column has them."""
    gone: tuple[str, ...] = ()
    """The ids of all posts that are remembered as purged, by authors and by former runs included."""


def purge_posts(
    out: str | os.PathLike[str],
    ids: Iterable[str] = (),
    authors: Iterable[str] = (),
    author_key: Path | None = None,
    progress: Progress | None = None,
) -> PostsPurge:
    """Takes posts out of a folder that `ingest` made, and remembers them.

    ids: `t3_…` and `t1_…`, whether or not they are in the folder.
    authors: plain names, in any case; the folder's key hashes them.
    author_key: where that key lies; in the about folder if None.

    Either nothing has happened or all of it; killed at any moment and run again, it ends the same.
    Raises InputError for a folder that is none, or another key; OutputError when the disk is full.
    """
    folder = PostsFolder(Path(os.path.abspath(out)))
    folder.check()
    if not folder.about.exists():
        raise _no_posts(folder)
    with folder.opened():
        record = folder.record()
        if record is None:
            raise _no_posts(folder)
        key = author_key or folder.key
        hashed = hashed_authors(authors, record.author_key, key)
        told = hashed_ids(ids, record, key)
        of = partial(Purged.of, author_key=record.author_key, hash_ids=_hashes_ids(record))
        new = of(told, hashed)
        before = read_purged(folder.purged) or of((), ())
        removed, found = _taken_out(folder, record, before | new, progress or Silent())
        # an author's posts by id as well: another copy may name nobody
        after = before | new | of(found, ())
        if removed or len(after) > len(before):
            _commit(folder, record, removed, after)
    months = {month for month, *_ in removed}
    counts = (removed.total(), len(months), len(after))
    return PostsPurge(*counts, tuple(hashed), tuple(told), tuple(after.posts))


def _no_posts(folder: PostsFolder) -> InputError:
    return InputError(
        "is no folder that `corpus-lonely ingest` made, or has lost what lies beside it",
        where=folder.out,
    )


def hashed_authors(authors: Iterable[str], key: str | None, path: Path) -> list[str]:
    """Names as the column `author` has them, in lower case.

    key: the fingerprint of the key that the column was made with; None where it holds plain names.
    path: of the key. Raises InputError when it is not there, or another one.
    """
    names = [name.lower() for name in authors]
    if not names or key is None:
        return names
    return list(map(_key(key, path).hash, names))


def hashed_ids(ids: Iterable[str], record: Record, path: Path) -> list[str]:
    """Ids as the column `post_id` has them, which `--hash-ids` hashes; raises as `hashed_authors` does."""
    told = list(ids)
    if not told or record.author_key is None or not _hashes_ids(record):
        return told
    return list(map(_key(record.author_key, path).hash_id, told))


def _hashes_ids(record: Record) -> bool:
    return bool(record.settings.get("hash_ids"))


def _key(fingerprint: str, path: Path) -> AuthorKey:
    secret = read_key(path)
    if secret.fingerprint != fingerprint:
        raise InputError(
            f"is another author key (fingerprint {secret.fingerprint}) than the posts' ({fingerprint})",
            where=path,
            hint="Name theirs with --author-key",
        )
    return secret


def _taken_out(
    folder: PostsFolder, record: Record, purged: Purged, progress: Progress
) -> tuple[Counter[tuple[str, int, str, str]], list[str]]:
    """Rewrites the months that hold such posts, to where `commit` takes them from; tells their ids."""
    removed, ids = Counter[tuple[str, int, str, str]](), list[str]()
    progress.start("Reading months", len(record.months), "months")
    for month in sorted(record.months):
        path = folder.month(month)
        with reading(path, staged=False), open_parquet(path) as file:
            masks = [
                _mask(file.read_row_group(group, purged.columns()), purged)
                for group in range(file.num_row_groups)
            ]
        if any(mask.any() for mask in masks):
            found = _rewrite(folder, month, masks, ids)
            removed.update({(month, *of): count for of, count in found.items()})
        progress.advance(1, month)
    progress.finish()
    return removed, ids


def _mask(rows: pa.Table, purged: Purged) -> pl.Series:
    return pl.DataFrame(rows).select(purged.hit().alias("hit"))["hit"]


def _rewrite(
    folder: PostsFolder, month: str, masks: list[pl.Series], ids: list[str]
) -> Counter[tuple[int, str, str]]:
    path, origins_path = folder.month(month), folder.origins(month)
    removed = Counter[tuple[int, str, str]]()
    with (
        reading(path, staged=False),
        open_parquet(path) as posts,
        open_parquet(origins_path) as origins,
        atomic_path(folder.coming(path)) as posts_file,
        atomic_path(folder.coming(origins_path)) as origins_file,
        MonthWriter(posts_file, posts.schema_arrow.remove_metadata(), footer(path)) as new_posts,
        MonthWriter(origins_file, ORIGINS, {}) as new_origins,
    ):
        for group, mask in enumerate(masks):
            # origins have row groups of the same length as the month
            rows, files = posts.read_row_group(group), origins.read_row_group(group)
            taken = rows.append_column(ORIGINS.field(0), files.column(0)).filter(mask.to_arrow())
            removed.update(purged_rows(taken))
            ids += taken.column("post_id").to_pylist()
            new_posts.write(rows.filter((~mask).to_arrow()))
            new_origins.write(files.filter((~mask).to_arrow()))
    return removed


def _commit(
    folder: PostsFolder,
    record: Record,
    removed: Mapping[tuple[str, int, str, str], int],
    purged: Purged,
) -> None:
    changed = sorted({month for month, *_ in removed})
    after = _record_without(record, removed)
    left = [month for month in changed if month in after.months]
    write_parquet(
        coverage(
            [folder.counts(file) for file in record.files],
            folder.months(after, coming=left),
            changed,
            folder.coverage,
            purged_counts(Counter(removed)),
        ),
        folder.coming(folder.coverage),
    )
    purged.write(folder.coming(folder.purged))
    moved = [*map(folder.month, left), *map(folder.origins, left)]
    folder.commit(after, [*moved, folder.coverage, folder.purged])


def _record_without(record: Record, removed: Mapping[tuple[str, int, str, str], int]) -> Record:
    by_month = {month: Counter(rows) for month, rows in record.months.items()}
    by_file = Counter[int]()
    for (month, file, *_), count in removed.items():
        by_month[month][file] -= count
        by_file[file] += count
    months = {
        month: {file: count for file, count in rows.items() if count}
        for month, rows in by_month.items()
    }
    return replace(
        record,
        files=tuple(_file_without(file, by_file[at]) for at, file in enumerate(record.files)),
        months={month: rows for month, rows in months.items() if rows},
    )


def _file_without(file: FileReport, count: int) -> FileReport:
    dropped = ordered([*file.dropped.items(), ("purged", count)])
    return replace(file, kept=file.kept - count, dropped=dropped)
