"""Made-up lines of dumps, and files of them, for the tests of this room."""

import bz2
import gzip
import json
import lzma
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import zstandard

MARCH = 1583020800
"""2020-03-01 00:00:00 UTC."""
DAY = 86400

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "zst": lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data),
    "xz": lzma.compress,
    "bz2": bz2.compress,
    "gz": lambda data: gzip.compress(data, mtime=0),
}


def submission(name: str = "aaa", /, **fields: Any) -> dict[str, Any]:
    """A submission of March 2020."""
    return {
        "id": name,
        "author": "Somebody",
        "subreddit": "lonely",
        "created_utc": MARCH,
        "title": "A title",
        "selftext": "and a body of six words.",
        "score": 3,
        "num_comments": 2,
        "over_18": False,
        "edited": False,
        "permalink": f"/r/lonely/comments/{name}/a_title/",
        **fields,
    }


def comment(name: str = "bbb", /, **fields: Any) -> dict[str, Any]:
    """A comment of March 2020."""
    return {
        "id": name,
        "author": "Someone",
        "subreddit": "lonely",
        "created_utc": MARCH + 60,
        "body": "an answer of five words",
        "link_id": "t3_aaa",
        "parent_id": "t3_aaa",
        "score": 1,
        "edited": False,
        **fields,
    }


def ndjson(objects: Iterable[dict[str, Any] | bytes]) -> bytes:
    """One line an object; bytes stand as they are."""
    lines = (o if isinstance(o, bytes) else json.dumps(o).encode() for o in objects)
    return b"".join(line + b"\n" for line in lines)


def write_dump(path: Path, objects: Iterable[dict[str, Any] | bytes]) -> Path:
    """A dump compressed as its suffix says; plain with any other."""
    data = ndjson(objects)
    path.write_bytes(PACKERS.get(path.suffix[1:], bytes)(data))
    return path


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its relative path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
