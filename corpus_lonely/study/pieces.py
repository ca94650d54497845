"""Scores as pieces of a bounded number of rows: several small files, one file, or row groups of a large one."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import polars as pl

from corpus_lonely.errors import InputError
from corpus_lonely.storage import Place, RemotePath
from corpus_lonely.study.scores import READERS, Source, files_of, has_partitions
from corpus_lonely.tables import row_groups

PIECE = 250_000
"""Rows of a piece at most, where row groups allow: about 150 MB on the way to sums."""


@dataclass(frozen=True)
class Piece:
    """Some rows of a data set: whole files, or a run of rows of one."""

    files: tuple[Place, ...]
    start: int = 0
    rows: int | None = None
    """From `start` on; all when None."""


def cut_up(path: Source, most: int = PIECE) -> list[Piece]:
    """All rows at `path`, each once, in the order of files; reads footers alone."""
    files = files_of(path)
    with ThreadPoolExecutor(READERS) as readers:
        groups = list(readers.map(row_groups, files))
    return list(_packed(list(zip(files, groups, strict=True)), most))


def rows_of(path: Source) -> int:
    """How many there are, by the footers."""
    files = files_of(path)
    with ThreadPoolExecutor(READERS) as readers:
        return sum(map(sum, readers.map(row_groups, files)))


def _packed(files: list[tuple[Place, list[int]]], most: int) -> Iterator[Piece]:
    small: list[Place] = []
    held = 0
    for file, groups in files:
        if small and held + sum(groups) > most:
            yield Piece(tuple(small))
            small, held = [], 0
        if sum(groups) > most:
            yield from _runs(file, groups, most)
        else:
            small.append(file)
            held += sum(groups)
    if small:
        yield Piece(tuple(small))


def _runs(file: Place, groups: list[int], most: int) -> Iterator[Piece]:
    """Whole row groups, for part of one takes as much to decode."""
    start = held = 0
    for rows in groups:
        if held and held + rows > most:
            yield Piece((file,), start, held)
            start, held = start + held, 0
        held += rows
    yield Piece((file,), start, held)


def frames(
    path: Source,
    whole: pl.LazyFrame,
    columns: list[str],
    check: Callable[[Sequence[Place]], None] | None = None,
) -> Iterator[pl.LazyFrame]:
    """Each piece's rows, `columns` alone, lazily.

    whole: the frame of all, whose types each piece must have; InputError names a file that has others.
    check: given a piece's files before they are read, each file once.
    """
    every = whole.collect_schema()
    types = {name: dtype for name, dtype in every.items() if name in columns}
    pieces, partitions = cut_up(path), has_partitions(path)
    own = pl.scan_parquet(_named(pieces[0].files[0]), hive_partitioning=False)
    there = own.collect_schema().names()
    hive = {name: dtype for name, dtype in every.items() if name not in there}
    for piece in pieces:
        if check is not None and not piece.start:
            check(piece.files)
        frame = pl.scan_parquet(
            [_named(file) for file in piece.files],
            glob=False,
            hive_partitioning=partitions,
            hive_schema=hive if partitions and hive else None,
        )
        found = frame.collect_schema()
        for name, dtype in types.items():
            if found.get(name) != dtype:
                raise InputError(
                    f"has {name!r} as {found.get(name, 'no column')}, and others as {dtype}",
                    where=piece.files[0],
                    hint="Study files of one form at a time",
                )
        yield frame.slice(piece.start, piece.rows).select(columns)


def _named(file: Place) -> str:
    return file.url if isinstance(file, RemotePath) else str(file)
