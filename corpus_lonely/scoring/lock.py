"""A lock on a file: exclusive or shared, held by a process until it ends, however it ends."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from corpus_lonely.errors import OutputError
from corpus_lonely.files import output_error
from corpus_lonely.storage import Place

_PATIENCE_S = 5.0
"""A member waits so long, for one that leaves holds the lock alone while it cleans up."""
_BETWEEN_TRIES_S = 0.1


@dataclass(frozen=True)
class Lock:
    """A lock that is held."""

    descriptor: int

    def alone(self) -> bool:
        """Whether nobody shares the lock, which is then exclusive; where others do it may be lost."""
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # also a file system without locks, where nobody knows
            return False
        return True


@contextmanager
def file_lock(path: Path, folder: Place, shared: bool) -> Iterator[Lock]:
    """Holds the lock `path` of `folder`; OutputError when others hold it who do not share."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise output_error(error, path) from error
    try:
        _take(descriptor, folder, shared)
        yield Lock(descriptor)
    finally:
        os.close(descriptor)


def _take(descriptor: int, folder: Place, shared: bool) -> None:
    until = time.monotonic() + (_PATIENCE_S if shared else 0)
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < until:
                time.sleep(_BETWEEN_TRIES_S)
                continue
            raise _taken(folder) from None
        except OSError:
            pass  # a file system without locks: the user has to see to it
        return


def _taken(folder: Place) -> OutputError:
    return OutputError(
        "another run is writing there",
        where=folder,
        hint="Wait for it, or choose another --out",
    )
