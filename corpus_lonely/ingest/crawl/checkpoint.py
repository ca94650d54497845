"""Where a crawl stands on disk: the posts fetched so far, each once, and the place to go on from."""

import fcntl
import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from corpus_lonely.errors import InputError, OutputError
from corpus_lonely.files import output_error, read_json, write_json
from corpus_lonely.ingest.crawl.things import Thing, is_post
from corpus_lonely.ingest.record import shown

_FORMAT = 1
_RESTART = "Run that crawl to its end first, or throw away what it fetched with --restart"
_DAMAGED = "Throw away what it fetched with --restart"
_LEFT_OUT = ("selftext_html", "body_html", "replies")
"""Fields that say the text once more, or hold other posts."""


class Position(msgspec.Struct):
    """How far a crawl is with one subreddit."""

    listings: int = 0
    """Those that are read to their end, of the plan."""
    after: str | None = None
    """Where the next page of the listing that comes then begins."""
    passed: list[str] = []
    """Where the pages of that listing began that are read: one that comes again would never end."""
    odd: int = 0
    """Items passed over in all pages and trees, for they lack name, id or date."""
    trees: int = 0
    """Submissions whose comments are read, in the order in which they were found."""
    refused: str | None = None
    """Why Reddit gives nothing of it."""
    set_aside: list[str] = []
    """Listings and submissions that Reddit failed to give, by name."""
    done: bool = False


class Checkpoint(msgspec.Struct):
    """The file `checkpoint.json`."""

    settings: dict[str, Any]
    """See `CrawlSettings.recorded`."""
    began: int
    """Seconds since 1970, UTC."""
    positions: dict[str, Position]
    """By subreddit."""
    raw_bytes: int = 0
    """Length of the raw file when this was written; what stands behind was not counted."""
    format: int = _FORMAT


class CrawlFolder:
    """`posts.about/crawl/`, for its owner's eyes alone: raw posts with their authors' names."""

    def __init__(self, about: Path) -> None:
        self.path = about / "crawl"
        self._checkpoint = self.path / "checkpoint.json"
        self._raw: BinaryIO | None = None
        self._seen: set[str] = set()
        self._found: Counter[tuple[str, str]] = Counter()
        self._answered: dict[str, list[str]] = {}

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Holds the folder; OutputError when another crawl does."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = (self.path / "lock").open("w")
        except OSError as error:
            raise output_error(error, self.path) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OutputError("another crawl is filling it just now", where=self.path) from None
            try:
                yield
            finally:
                self._close()

    def raw(self, checkpoint: Checkpoint) -> Path:
        """The posts of a crawl, one JSON object a line, as in a dump."""
        began = time.strftime("%Y-%m-%dT%H%M%SZ", time.gmtime(checkpoint.began))
        return self.path / f"reddit-{began}.jsonl"

    def begin(self, settings: dict[str, Any], subreddits: Iterable[str]) -> Checkpoint:
        """A new crawl; what another one left is removed."""
        self.clear()
        positions = {name: Position() for name in subreddits}
        checkpoint = Checkpoint(settings, int(time.time()), positions)
        self.save(checkpoint)
        self._open(checkpoint)
        return checkpoint

    def interrupted(self, settings: dict[str, Any]) -> Checkpoint | None:
        """The crawl that was interrupted, ready to go on; OutputError when it was another."""
        if not self._checkpoint.exists():
            return None
        try:
            checkpoint = msgspec.convert(read_json(self._checkpoint), Checkpoint)
        except (InputError, msgspec.ValidationError) as error:
            told = error.what if isinstance(error, InputError) else f"is damaged ({error})"
            raise OutputError(told, where=self._checkpoint, hint=_DAMAGED) from error
        if checkpoint.format != _FORMAT:
            told = "was written by another version of corpus-lonely"
            raise OutputError(told, where=self._checkpoint, hint=_RESTART)
        other = [
            f"{name} {shown(value, 'none')}, now {shown(settings.get(name), 'none')}"
            for name, value in checkpoint.settings.items()
            if settings.get(name) != value
        ]
        if other:
            told = f"holds an interrupted crawl with other settings: {'; '.join(other)}"
            raise OutputError(told, where=self.path, hint=_RESTART)
        self._open(checkpoint)
        return checkpoint

    def _open(self, checkpoint: Checkpoint) -> None:
        """Opens the raw file where the checkpoint left it, and knows what is in it."""
        path = self.raw(checkpoint)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            self._raw = os.fdopen(descriptor, "r+b")
            if os.fstat(descriptor).st_size < checkpoint.raw_bytes:
                raise OutputError("has lost some of the posts it held", where=path, hint=_DAMAGED)
            self._raw.truncate(checkpoint.raw_bytes)
            for number, line in enumerate(self._raw, start=1):
                self._remember(_parsed(line, number, path))
        except OSError as error:
            raise output_error(error, path) from error

    def add(self, posts: Iterable[Thing]) -> int:
        """Takes the posts that are not there yet, and returns how many; `save` makes them last."""
        if self._raw is None:
            raise AssertionError("the folder is not open")
        count, now = 0, int(time.time())
        for post in posts:
            if post["name"] in self._seen:
                continue
            kept = {name: value for name, value in post.items() if name not in _LEFT_OUT}
            line = json.dumps({**kept, "retrieved_on": now}, separators=(",", ":"))
            try:
                self._raw.write(line.encode() + b"\n")
            except OSError as error:
                raise output_error(error, self.path) from error
            self._remember(post)
            count += 1
        return count

    def _remember(self, post: Thing) -> None:
        subreddit, kind = str(post.get("subreddit")).lower(), post["name"][:2]
        self._seen.add(post["name"])
        self._found[subreddit, kind] += 1
        if kind == "t3" and post.get("num_comments"):
            entry = f"{post['id']} {post['created_utc']}"
            self._answered.setdefault(subreddit, []).append(entry)

    def answered(self, subreddit: str, since: float, before: float) -> list[str]:
        """Ids of the submissions with comments made in that time, in the order they were found."""
        found = (entry.split() for entry in self._answered.get(subreddit, ()))
        return [name for name, created in found if since <= float(created) < before]

    def found(self, subreddit: str) -> tuple[int, int]:
        """Submissions and comments of a subreddit, so far."""
        return self._found[subreddit, "t3"], self._found[subreddit, "t1"]

    @property
    def count(self) -> int:
        """Posts fetched so far."""
        return len(self._seen)

    def save(self, checkpoint: Checkpoint) -> None:
        """Makes what was added last, and the place with it. OutputError when the disk is full."""
        if self._raw is not None:
            try:
                self._raw.flush()
                os.fsync(self._raw.fileno())
            except OSError as error:
                raise output_error(error, self.path) from error
            checkpoint.raw_bytes = self._raw.tell()
        write_json(self._checkpoint, msgspec.to_builtins(checkpoint))

    def clear(self) -> None:
        """Removes a crawl: it is in the posts now, or nobody wants it."""
        self._close()
        self._seen.clear()
        self._found.clear()
        self._answered.clear()
        self._checkpoint.unlink(missing_ok=True)
        for path in [*self.path.glob("reddit-*.jsonl"), *self.path.glob(".*.tmp")]:
            path.unlink()

    def _close(self) -> None:
        if self._raw is not None:
            self._raw.close()
            self._raw = None


def _parsed(line: bytes, number: int, path: Path) -> Thing:
    try:
        post: Thing = json.loads(line)
    except ValueError:
        post = {}
    if not is_post(post):
        raise OutputError(f"is damaged in line {number:,}", where=path, hint=_DAMAGED)
    return post
