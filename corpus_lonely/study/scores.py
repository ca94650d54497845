"""Reading posts and scores, lazily, wherever they lie: a file, a folder, a glob, a hive-partitioned data set."""

import glob
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from os import PathLike
from pathlib import Path
from typing import Any

import polars as pl

from corpus_lonely.errors import InputError, OutputError, first_line
from corpus_lonely.files import read_json
from corpus_lonely.identities import author_key_of
from corpus_lonely.storage import Place, RemotePath, about_place, remote_files
from corpus_lonely.tables import footer
from corpus_lonely.taxonomy import Taxonomy, loneliness

Source = str | PathLike[str]

_POSTS_NEED = ("post_id", "created_at", "text")
_STATUS = "status"
READERS = 16
"""Footers read at a time."""
_DECIDING = ("model", "taxonomy", "text_column", "max_tokens", "precision", "numerics_version")
"""Of a footer's `run`; how rows were cut into shards and batches moves scores by rounding alone."""


def scan_scores(path: Source) -> pl.LazyFrame:
    """A lazy frame of the scores at `path`: nothing is read before it is collected.

    path: a Parquet file, a folder, a glob, or a URL of these (`s3://…`) that both Polars and fsspec
    know; the folders of a hive-partitioned data set become columns.
    `lonely` is P(lonely); a category's columns are P(label | lonely): see schemas/scores.json.
    `.scores` on the frame asks what is asked often: `by_month()`, `by_week()`, `period(cut)`,
    `distribution("context")`.
    Raises InputError when nothing is there, when it holds no scores, scores of different models, or
    authors hashed with several keys.

        import corpus_lonely
        import polars as pl

        scores = corpus_lonely.scan_scores("scores/").filter(pl.col("status") == "ok")
        month = pl.col("created_at").dt.strftime("%Y-%m").alias("month")
        print(scores.group_by(month).agg(pl.col("lonely").mean()).sort("month").collect())
    """
    from corpus_lonely.study import namespace  # noqa: F401, PLC0415  (registers `.scores`; it imports us not)

    frame = _scan(path)
    _check_one_run(path)
    _check(frame, path, (taxonomy_of(path).root.name, _STATUS), "scores", "score")
    return frame


def scan_posts(path: Source) -> pl.LazyFrame:
    """A lazy frame of the posts at `path`, as `corpus-lonely ingest` writes them.

    path: as for `scan_scores`. Columns and units: see schemas/posts.json.
    Raises InputError when nothing is there, when it holds no posts, or authors hashed with several keys.

        import corpus_lonely

        posts = corpus_lonely.scan_posts("posts/")
        print(posts.group_by("subreddit").len().sort("len", descending=True).collect())
    """
    frame = _scan(path)
    _check(frame, path, _POSTS_NEED, "posts", "ingest")
    files = files_of(path)
    with ThreadPoolExecutor(READERS) as readers:
        _check_one_key(path, files, list(readers.map(footer, files)))
    return frame


def scan_marks(path: Source) -> pl.LazyFrame:
    """A lazy frame of the marks at `path`, as `corpus-lonely mark` writes them.

    path: as for `scan_scores`. Columns: see schemas/marks.json.
    Raises InputError when nothing is there, or when it holds no marks.
    """
    frame = _scan(path)
    _check(frame, path, ("post_id",), "marks", "mark")
    names = frame.collect_schema().names()
    if not {"near_duplicate", "language"} & {*names}:
        raise InputError(
            f"holds no marks; its columns are {', '.join(names)}",
            where=os.fspath(path),
            hint="`corpus-lonely mark` makes them",
        )
    return frame


def taxonomy_of(path: Source) -> Taxonomy:
    """The taxonomy that scores were made with, from the footer; that of loneliness where none says.

    Raises InputError when the footer's is no taxonomy.
    """
    told = score_facts(path).get("taxonomy")
    if told is None:
        return loneliness()
    try:
        return Taxonomy.from_dict(told)
    except (ValueError, TypeError) as error:
        raise InputError(f"holds no taxonomy in its footer ({error})", where=str(path)) from error


def score_facts(path: Source) -> dict[str, Any]:
    """What the footer of the first file tells of model and settings; empty where it tells nothing.

    `scan_scores` makes sure that the other files tell the same of what decides scores.
    """
    files = files_of(path)
    return footer(files[0]) if files else {}


def _check_one_run(path: Source) -> None:
    files = files_of(path)
    with ThreadPoolExecutor(READERS) as readers:
        facts = list(readers.map(footer, files))
    deciding = list(map(_deciding, facts))
    for file, found in zip(files, deciding, strict=True):
        names = [name for name in found if found[name] != deciding[0][name]]
        if names:
            raise InputError(
                f"holds scores that do not belong together: {files[0]} and {file} differ in "
                f"{', '.join(names)}",
                where=os.fspath(path),
                hint="Study the scores of one model and one setting at a time",
            )
    _check_one_key(path, files, facts)


def _check_one_key(path: Source, files: Sequence[Place], facts: Sequence[dict[str, Any]]) -> None:
    """InputError where two files tell other keys: a person would be one author in each."""
    told = [
        (file, key) for file, one in zip(files, facts, strict=True) if (key := author_key_of(one))
    ]
    for file, key in told:
        if key != told[0][1]:
            raise InputError(
                f"holds authors hashed with several keys: {told[0][0]} with {told[0][1]}, {file} with "
                f"{key}, so that one person would count as two",
                where=os.fspath(path),
                hint="Ingest all with one --author-key, or study them apart",
            )


def _deciding(facts: dict[str, Any]) -> dict[str, Any]:
    """What decides scores; the input does not, and files of several inputs may be read together."""
    run = facts.get("run") or {}
    return {name: run.get(name) for name in _DECIDING} | {"labels": facts.get("taxonomy")}


def data_places(path: Source) -> set[Path]:
    """The folders, resolved, in which only data may lie; of a file given by its name, the file itself."""
    source = os.fspath(path)
    if _is_url(source):
        return set()
    if Path(source).exists():
        return {Path(source).resolve()}
    return {file.resolve().parent for file in _local_files(source)}


def is_unfinished(path: Source) -> bool:
    """Whether `corpus-lonely score` began to write the folder and has not ended."""
    source = os.fspath(path)
    folder: Place = RemotePath(source) if _is_url(source) else Path(source)
    description = about_place(folder) / "scores.json"
    try:
        if not description.exists():
            return False
    except OutputError:  # a store may let us see the scores and nothing beside them
        return False
    content = read_json(description)
    return isinstance(content, dict) and "totals" in content and content["totals"] is None


def _scan(path: Source) -> pl.LazyFrame:
    source = os.fspath(path)
    files = files_of(source)
    if not files:
        there = not _is_url(source) and Path(source).exists()
        raise InputError("holds no Parquet file" if there else "does not exist", where=source)
    pattern = glob.has_magic(source) and not Path(source).exists()
    try:
        frame = pl.scan_parquet(
            [str(file) for file in files] if _is_url(source) else source,
            glob=pattern and not _is_url(source),
            hive_partitioning=has_partitions(source),
        )
        frame.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = first_line(error)
        hint = "Or copy it to this machine and read the copy" if _is_url(source) else None
        raise InputError(
            f"is not readable as Parquet ({reason})", where=source, hint=hint
        ) from error
    return frame


def _is_url(source: str) -> bool:
    return "://" in source


def has_partitions(path: Source) -> bool:
    """Whether folders of the form `name=value` may tell columns: not of a single file by its name."""
    source = os.fspath(path)
    return _is_url(source) or not Path(source).is_file()


def files_of(path: Source) -> Sequence[Place]:
    """The Parquet files behind a path or a URL, sorted."""
    source = os.fspath(path)
    if _is_url(source):
        return remote_files(RemotePath(source), ".parquet")
    return _local_files(source)


def _local_files(source: str) -> list[Path]:
    path = Path(source)
    if path.is_file():
        return [path]
    found = glob.iglob(source, recursive=True)  # noqa: PTH207  (a pattern may be absolute)
    roots = [path] if path.is_dir() else map(Path, found)
    return sorted(
        {
            file
            for root in roots
            for file in ([root] if root.is_file() else root.rglob("*.parquet"))
            if not file.name.startswith(".")
        }
    )


def _check(
    frame: pl.LazyFrame, path: Source, needed: tuple[str, ...], what: str, command: str
) -> None:
    names = frame.collect_schema().names()
    missing = [name for name in needed if name not in names]
    if missing:
        raise InputError(
            f"holds no {what}: it has no column {missing[0]!r}; its columns are {', '.join(names)}",
            where=os.fspath(path),
            hint=f"`corpus-lonely {command}` makes them",
        )
