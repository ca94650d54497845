"""Lines of a dump to rows by month, with every line counted and the bad ones named."""

import gc
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from corpus_lonely.ingest.columns import ColumnNormaliser, CountKey
from corpus_lonely.ingest.prefilter import Lines, Prefilter, every_line
from corpus_lonely.ingest.raw import BadLineError, RawPost, decode, decode_all

CountRow = tuple[str | None, str, str, str, int]
"""Month, subreddit in lower case, kind, reason, lines."""
_GROUP_LINES = 4096
"""Lines decoded and made into columns at a time: each column of fewer costs as much, more leave a processor's cache."""
_WHY = {
    "not_a_post": "neither a submission nor a comment, or without id or subreddit",
    "bad_date": "created_utc is no time from 2005 to 2099",
}


def in_order(counts: Mapping[CountKey, int]) -> list[CountRow]:
    """Counts as rows, those without a month first."""
    rows: list[CountRow] = [(*key, count) for key, count in counts.items()]
    return sorted(rows, key=lambda row: (row[0] or "", *row[1:]))


@dataclass
class Taken:
    """What became of some lines."""

    lines: int = 0
    """All of them."""
    blank: int = 0
    rows: dict[str, list[pa.Table]] = field(default_factory=dict)
    """By month, YYYY-MM; traces of deleted and removed posts, which have no text, among them."""
    counts: Counter[CountKey] = field(default_factory=Counter)
    """Every line that is not blank."""
    bad: list[dict[str, Any]] = field(default_factory=list)
    """Entries of the quarantine: line (from 1), reason, why, and the line itself if asked for."""


@contextmanager
def _no_collection() -> Iterator[None]:
    """No garbage collection meanwhile: rows hold no cycles, and to look through them costs a tenth."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class LineTaker:
    """Takes whole lines under one choice of settings."""

    def __init__(
        self, normaliser: ColumnNormaliser, prefilter: Prefilter | None, quarantine_text: bool
    ) -> None:
        self._normaliser, self._prefilter = normaliser, prefilter
        self._quarantine_text = quarantine_text

    def __call__(self, data: bytes | memoryview) -> Taken:
        with _no_collection():
            return self._take_all(memoryview(data))

    def _take_all(self, data: memoryview) -> Taken:
        lines = self._prefilter(data) if self._prefilter else every_line(data)
        taken = Taken(lines.total)
        if passed_over := lines.total - len(lines.places):
            taken.counts[None, "", "", "other_subreddit"] = passed_over
        for start in range(0, len(lines.places), _GROUP_LINES):
            group = lines.part(slice(start, start + _GROUP_LINES))
            posts, places = self._decoded(data, group, taken)
            fate = self._normaliser(posts, places)
            taken.counts.update(fate.counts)
            for month, table in fate.rows.items():
                taken.rows.setdefault(month, []).append(table)
            for place, reason in fate.bad:
                at = int(np.searchsorted(lines.places, place))
                line = data[lines.begins[at] : lines.ends[at]]
                self._set_aside(place, line, reason, _WHY[reason], taken)
        taken.bad.sort(key=lambda entry: entry["line"])
        return taken

    def _decoded(
        self, data: memoryview, lines: Lines, taken: Taken
    ) -> tuple[list[RawPost], list[int]]:
        """The posts of lines that are near each other, and for each the number of its line."""
        places = lines.places.tolist()
        if lines.in_a_row and lines.are_objects(data):
            posts = decode_all(data[lines.begins[0] : lines.ends[-1]], len(places))
            if posts is not None:
                return posts, places
        return self._one_by_one(data, lines, taken)

    def _one_by_one(
        self, data: memoryview, lines: Lines, taken: Taken
    ) -> tuple[list[RawPost], list[int]]:
        posts, places = [], []
        columns = (lines.places, lines.begins, lines.ends)
        for place, begin, end in zip(*(column.tolist() for column in columns), strict=True):
            try:
                post = decode(data[begin:end])
            except BadLineError as error:
                taken.counts[None, "", "", error.reason] += 1
                line = (
                    data[begin:end] if error.text is None else error.text.encode("utf-8", "replace")
                )
                self._set_aside(place, line, error.reason, str(error), taken)
                continue
            if post is None:
                taken.blank += 1
            else:
                posts.append(post)
                places.append(place)
        return posts, places

    def _set_aside(
        self, place: int, line: bytes | memoryview, reason: str, why: str, taken: Taken
    ) -> None:
        entry: dict[str, Any] = {"line": place + 1, "reason": reason, "why": why}
        if self._quarantine_text:
            entry["text"] = bytes(line).decode("utf-8", "replace")
        taken.bad.append(entry)
