"""Whether scores are whole: all parts stand, none is damaged, and every probability lies between 0 and 1."""

import glob
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path

import polars as pl

from corpus_lonely.errors import InputError
from corpus_lonely.seal import has_seal, is_whole
from corpus_lonely.storage import Place
from corpus_lonely.study.scores import READERS, Source, files_of, has_partitions, is_unfinished
from corpus_lonely.tables import footer, is_part_name, part_name
from corpus_lonely.taxonomy import Taxonomy

_AGAIN = "Run the same `corpus-lonely score` again: it makes missing and damaged parts anew"


def missing_parts(path: Source) -> dict[str, tuple[int, int]]:
    """By folder, how many of its parts are not there, and of how many; only folders that lack some.

    Their footers tell how many there are. A file by its name, or a pattern that takes some of the parts,
    lacks those alone that it asks for.
    """
    found: dict[str, list[Place]] = {}
    if has_partitions(path):
        for file in files_of(path):
            if is_part_name(file.name):
                found.setdefault(str(file.parent), []).append(file)
    lacking = {}
    for folder, files in found.items():
        of = (footer(files[0]).get("shard") or {}).get("of", 0)
        there = {file.name for file in files}
        wanted = _asked(str(path), [*map(part_name, range(of))], there)
        if missing := len(wanted.difference(there)):
            lacking[folder] = (missing, of)
    return lacking


def _asked(source: str, names: list[str], there: set[str]) -> set[str]:
    """Those of the names that a path asks for, be it a folder, a pattern of folders or one of files."""
    pattern = source.rpartition("/")[2]
    by_name = glob.has_magic(pattern) and not Path(source).exists()
    if not by_name or not all(fnmatch(name, pattern) for name in there):
        return {*names}
    return {name for name in names if fnmatch(name, pattern)}


def check_parts_stand(path: Source) -> None:
    """InputError where parts are missing, though their run has ended or nobody tells that it goes on."""
    for folder, (missing, of) in missing_parts(path).items():
        if not is_unfinished(folder):
            raise InputError(
                f"lacks {missing:,} of its {of:,} parts, and so an unknown share of the rows",
                where=folder,
                hint=_AGAIN,
            )


def check_seals(files: Iterable[Place]) -> None:
    """InputError for a part that is not, byte for byte, what `corpus-lonely score` wrote.

    Of this machine alone: a store sees to that itself.
    """
    parts = [file for file in files if isinstance(file, Path) and is_part_name(file.name)]
    with ThreadPoolExecutor(READERS) as readers:
        for part, whole in zip(parts, readers.map(_stands, parts), strict=True):
            if not whole:
                raise InputError(
                    "is damaged: its content is not what was written", where=part, hint=_AGAIN
                )


def _stands(part: Path) -> bool:
    content = part.read_bytes()
    # a table of somebody else's making may be called so; one flipped bit cannot hide seal and footer both
    ours = has_seal(content) or bool(footer(part).get("fingerprint"))
    return is_whole(content) or not ours


def outside(taxonomy: Taxonomy) -> list[pl.Expr]:
    """Of each column of probabilities, by its name, whether any is below 0 or above 1."""
    return [
        ((pl.col(name) < 0) | ((pl.col(name) > 1) & ~pl.col(name).is_nan())).any()
        for name in taxonomy.score_columns
    ]


def check_inside(told: pl.DataFrame, where: Source) -> None:
    """InputError where the row that `outside` gives names a column."""
    for name, found in zip(told.columns, told.row(0), strict=True):
        if found:
            raise InputError(
                f"holds a value of {name!r} below 0 or above 1, which is no probability",
                where=str(where),
                hint="`corpus-lonely describe` tells which part is damaged",
            )
