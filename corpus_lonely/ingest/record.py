"""What a posts folder was made of, as `ingest.json` tells it, and whether other settings would fit."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corpus_lonely import __version__
from corpus_lonely.errors import InputError, OutputError, first_line
from corpus_lonely.files import read_json
from corpus_lonely.ingest.dump import Dump
from corpus_lonely.ingest.report import FileReport
from corpus_lonely.ingest.settings import fingerprint

_ANEW = "Choose another --out, or --overwrite to make this one anew"
_FORMAT = 1


@dataclass(frozen=True)
class Record:
    """What a folder was made of: `ingest.json`."""

    settings: dict[str, Any]
    author_key: str | None
    """Fingerprint of the key; None when authors are not hashed."""
    files: tuple[FileReport, ...] = ()
    """In the order they were ingested."""
    months: dict[str, dict[int, int]] = field(default_factory=dict)
    """Rows of each month, YYYY-MM, by the file that they came from (its place in `files`)."""
    gone: dict[str, int] = field(default_factory=dict)
    """For each month the posts whose latest copy had no text."""

    @property
    def posts(self) -> int:
        return sum(sum(rows.values()) for rows in self.months.values())

    def as_json(self) -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "version": __version__,
            "settings": self.settings,
            "author_key": self.author_key,
            "posts": self.posts,
            "files": [file.recorded() for file in self.files],
            "months": dict(sorted(self.months.items())),
            "gone": dict(sorted(self.gone.items())),
        }


def read_record(path: Path) -> Record:
    """The record in that file; OutputError when another version wrote it, InputError when it is damaged."""
    content = read_json(path)
    try:
        if content.get("format") == _FORMAT:
            return _record(content)
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"is damaged ({first_line(error)})", where=path, hint="Bring it back from a copy"
        ) from error
    raise OutputError("was written by another version of corpus-lonely", where=path, hint=_ANEW)


def _record(content: dict[str, Any]) -> Record:
    return Record(
        settings=content["settings"],
        author_key=content["author_key"],
        files=tuple(FileReport(**file) for file in content["files"]),
        months={
            month: {int(file): rows for file, rows in by_file.items()}
            for month, by_file in content["months"].items()
        },
        gone=content.get("gone", {}),
    )


def check_same(record: Record, settings: dict[str, Any], author_key: str | None, out: Path) -> None:
    """OutputError when a folder was made with other settings or another author key."""
    if fingerprint(record.settings, record.author_key) == fingerprint(settings, author_key):
        return
    before = {**record.settings, "author_key": record.author_key}
    now = {**settings, "author_key": author_key}
    other = [
        f"{_NAMES.get(key, key)} {shown_setting(key, before.get(key))}, now {shown_setting(key, value)}"
        for key, value in now.items()
        if before.get(key) != value
    ]
    raise OutputError(f"was made with other settings: {'; '.join(other)}", where=out, hint=_ANEW)


def check_readings(record: Record, dumps: Iterable[Dump], out: Path) -> None:
    """OutputError when a folder holds a given file as it is, but from another reading of it."""
    before = {file.source: file for file in record.files if file.source}
    for dump in dumps:
        if dump.given and (file := before.get(dump.given.fingerprint or "")):
            raise OutputError(
                f"holds what was read from {Path(dump.given.name).name} in another way: "
                + _other_reading(file.reading or {}, dump.given.reading or {}),
                where=out,
                hint=_ANEW,
            )


def _other_reading(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    other = [
        f"--{name.replace('_', '-')} {_shown_reading(before.get(name))}, now {_shown_reading(value)}"
        for name, value in now.items()
        if before.get(name) != value
    ]
    return "; ".join(other) or "by another version, or with a --fill that is not recorded"


def _shown_reading(value: Any) -> str:
    if isinstance(value, Mapping):
        return ",".join(f"{ours}={theirs}" for ours, theirs in value.items()) or "none"
    return shown(value, "none")


_NAMES = {
    "subreddits": "--subreddit",
    "since": "--since",
    "until": "--until",
    "min_words": "--min-words",
    "bots": "--bots (by digest)",
    "keep_authors": "--keep-authors",
    "keep_permalinks": "--keep-permalinks",
    "columns": "--columns",
    "hash_ids": "--hash-ids",
    "rows_version": "version of the rows",
    "author_key": "author key (by fingerprint)",
}


def shown(value: Any, empty: str = "all") -> str:
    """A setting as a user would say it; `empty`: what a list of nothing means."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return ", ".join(value) or empty
    return "none" if value is None else str(value)


def shown_setting(name: str, value: Any) -> str:
    """The same, where it matters which setting it is: without `columns` all are written, with an empty list none."""
    if name == "columns":
        return "all" if value is None else shown(value, "none")
    return shown(value)
