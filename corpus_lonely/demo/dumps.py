"""The synthetic corpus as Reddit dumps: monthly zstd NDJSON, with the drift and the dirt of real ones."""

import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import numpy as np
import zstandard

from corpus_lonely.demo.corpus import Post, make_posts
from corpus_lonely.demo.dirt import BROKEN_LINES, bot_objects, damage, duplicates
from corpus_lonely.demo.reddit import Raw, raw_object
from corpus_lonely.demo.truth import DEFAULT_CUT
from corpus_lonely.files import atomic_path

_PREFIX = {"submission": "RS", "comment": "RC"}


def write_dumps(
    folder: Path,
    seed: int,
    cut: date = DEFAULT_CUT,
    *,
    submissions: int = 6000,
    comments: int = 3000,
    authors: int = 700,
) -> list[Path]:
    """Writes `RS_YYYY-MM.zst` and `RC_YYYY-MM.zst` for the 24 months around `cut`; returns them.

    Beside the posts of `make_posts` there are bots, second copies and broken lines, and some posts
    have lost their author or their text. The same arguments write the same bytes.
    Raises OutputError when the place cannot be written.
    """
    posts = make_posts(seed, cut, submissions=submissions, comments=comments, authors=authors)
    return write_lines(folder, dump_lines(posts, seed))


def dump_lines(posts: Iterable[Post], seed: int) -> dict[str, list[bytes]]:
    """The lines of each dump, by its name without suffix, in the order of their ids."""
    rng = np.random.default_rng([seed, 3])
    objects: dict[str, list[Raw]] = defaultdict(list)
    threads: dict[str, list[str]] = defaultdict(list)
    for post in posts:
        raw = raw_object(rng, post, threads[post.subreddit])
        damage(rng, raw, post)
        objects[_dump_name(post)].append(raw)
    lines: dict[str, list[bytes]] = {}
    for name, raws in sorted(objects.items()):
        more = bot_objects(rng, raws) + duplicates(rng, raws)
        lines[name] = _broken(rng, [_line(raw) for raw in [*raws, *more]], len(lines))
    return lines


def _dump_name(post: Post) -> str:
    return f"{_PREFIX[post.kind]}_{post.created_at:%Y-%m}"


def _line(raw: Raw) -> bytes:
    return json.dumps(raw, separators=(",", ":")).encode()


def _broken(rng: np.random.Generator, lines: list[bytes], number: int) -> list[bytes]:
    """The lines with one broken one among them; over the dumps every sort of break occurs."""
    broken = BROKEN_LINES[number % len(BROKEN_LINES)]
    place = int(rng.integers(len(lines) + 1))
    return [*lines[:place], broken, *lines[place:]]


def write_lines(folder: Path, dumps: dict[str, list[bytes]]) -> list[Path]:
    """One zstd file a dump; the longest is of two frames, as when a dump is made by appending."""
    paths = []
    longest = max(dumps, key=lambda name: len(dumps[name]), default="")
    for name, lines in dumps.items():
        path = folder / f"{name}.zst"
        # the break falls within a line, for a frame knows nothing of lines
        content = b"\n".join(lines) + b"\n"
        middle = len(content) // 2 if name == longest else len(content)
        with atomic_path(path) as temporary:
            temporary.write_bytes(_frame(content[:middle]) + _frame(content[middle:]))
        paths.append(path)
    return paths


def _frame(content: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=9).compress(content) if content else b""
