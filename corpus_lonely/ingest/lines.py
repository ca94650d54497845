"""Lines of a dump to rows by month, with every line counted and the bad ones named."""

import gc
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from corpus_lonely.ingest.dump import line_bounds
from corpus_lonely.ingest.normalize import Drop, Normaliser, Row, month_of
from corpus_lonely.ingest.prefilter import Prefilter
from corpus_lonely.ingest.raw import BadLineError, decode

STAGED = "staged"
"""The reason in counts of the posts that were not dropped (yet: duplicates show when months merge)."""
NOT_COVERED = ("bad_json", "not_a_post", "other_subreddit", "outside_dates")
"""Reasons that are counted for the file alone: what they drop is not what the folder is about."""
CountKey = tuple[str | None, str, str, str]
"""Month, subreddit in lower case, kind, reason."""
CountRow = tuple[str | None, str, str, str, int]
"""The same, and lines."""
_WHY = {
    "not_a_post": "neither a submission nor a comment, or without id or subreddit",
    "bad_date": "created_utc is no time from 2005 to 2099",
}
_MICROSECONDS = 1_000_000


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
    rows: dict[str, list[Row]] = field(default_factory=dict)
    """By month, YYYY-MM; traces of deleted and removed posts, which have no text, among them."""
    places: dict[str, list[int]] = field(default_factory=dict)
    """For each row the number of its line, from 0."""
    counts: Counter[CountKey] = field(default_factory=Counter)
    """Every line that is not blank; subreddits as they are spelt."""
    bad: list[dict[str, Any]] = field(default_factory=list)
    """Entries of the quarantine: line (from 1), reason, why, and the line itself if asked for."""

    def add(self, month: str, row: Row, place: int) -> None:
        """Takes a row of a month."""
        if month not in self.rows:
            self.rows[month], self.places[month] = [], []
        self.rows[month].append(row)
        self.places[month].append(place)


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
        self, normaliser: Normaliser, prefilter: Prefilter | None, quarantine_text: bool
    ) -> None:
        self._normaliser, self._prefilter = normaliser, prefilter
        self._quarantine_text = quarantine_text

    def __call__(self, data: bytes) -> Taken:
        with _no_collection():
            return self._take_all(data)

    def _take_all(self, data: bytes) -> Taken:
        taken = Taken()
        if self._prefilter:
            chosen, taken.lines = self._prefilter(data)
            if passed_over := taken.lines - len(chosen):
                taken.counts[None, "", "", "other_subreddit"] = passed_over
        else:
            begins, ends = line_bounds(data)
            taken.lines = len(begins)
            chosen = list(zip(range(taken.lines), begins.tolist(), ends.tolist(), strict=True))
        view = memoryview(data)  # to cut lines out would cost a third of their decoding
        for place, begin, end in chosen:
            line = view[begin:end]
            try:
                raw = decode(line)
            except BadLineError as error:
                taken.counts[None, "", "", "bad_json"] += 1
                taken.bad.append(self._entry(place, line, "bad_json", str(error)))
                continue
            if raw is None:
                taken.blank += 1
            else:
                self._take(place, line, self._normaliser(raw), taken)
        return taken

    def _take(self, place: int, line: memoryview, post: Row | Drop, taken: Taken) -> None:
        if isinstance(post, Row):
            month = month_of(post.created_at / _MICROSECONDS)
            taken.add(month, post, place)
            taken.counts[month, post.subreddit, post.kind, STAGED] += 1
        else:
            self._drop(post, place, line, taken)

    def _drop(self, post: Drop, place: int, line: memoryview, taken: Taken) -> None:
        if post.reason in NOT_COVERED:
            taken.counts[None, "", "", post.reason] += 1
        else:
            taken.counts[post.month, post.subreddit, post.kind, post.reason] += 1
        if post.month and post.trace:
            taken.add(post.month, post.trace, place)
        if post.reason in _WHY:
            taken.bad.append(self._entry(place, line, post.reason, _WHY[post.reason]))

    def _entry(self, place: int, line: memoryview, reason: str, why: str) -> dict[str, Any]:
        entry: dict[str, Any] = {"line": place + 1, "reason": reason, "why": why}
        if self._quarantine_text:
            entry["text"] = bytes(line).decode("utf-8", "replace")
        return entry
