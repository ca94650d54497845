"""The file that a user gave, where the lines that are read were made from it: a table, or a corpus."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus_lonely.ingest.codecs import decompress


@dataclass(frozen=True, slots=True)
class Given:
    """What reports, the quarantine and the record say of it."""

    name: str
    fingerprint: str | None = None
    """Tells it apart by content; None where it was read in the one way that there is."""
    reading: Mapping[str, Any] | None = None
    """How it was read: the options, by name."""
    broken: str | None = None
    """How it breaks off, where no line that was made from it tells."""


def content_fingerprint(path: Path) -> str:
    """SHA-256, shortened, of what is in a file: compressed or not it is the same.

    Raises what `decompress` does.
    """
    digest = hashlib.sha256()
    for piece in decompress(path):
        digest.update(piece.data)
    return digest.hexdigest()[:24]
