"""A claim on the folder of a run: one process at a time trains there, on whichever host."""

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from corpus_lonely.errors import BusyError
from corpus_lonely.files import about_folder, output_error

_RENEWED_S = 30.0
_STALE_S = 600.0
"""A claim of another host that was not renewed for so long is that of a process that is gone."""
_BETWEEN_TRIES_S = 0.1
_KEYS = {"host", "process", "since"}


@contextmanager
def claimed(out: Path, patience_s: float = 1) -> Iterator[None]:
    """Holds `out` for this process until the block ends; BusyError when another holds it for longer than that.

    On one host, and on shared file systems that lock across hosts, the lock goes with its process, however
    that ends. Where they do not, the time at which the claim was last renewed tells.
    """
    path = about_folder(out) / "claim.json"
    descriptor = _held(path, out, time.monotonic() + patience_s)
    over = threading.Event()
    renewing = threading.Thread(target=_renew, args=(path, over), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        over.set()
        renewing.join()
        _let_go(path, descriptor)


def holder(out: Path) -> str | None:
    """Who holds `out` now, as BusyError tells it; None when nobody does. Changes nothing."""
    path = about_folder(out) / "claim.json"
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        told = _told(path)
        return None if _free(descriptor, path, told) else _who(told)
    finally:
        os.close(descriptor)


def _held(path: Path, out: Path, until: float) -> int:
    """A descriptor with the lock, once there is one to have."""
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:
            continue  # the last holder just took the folder away
        except OSError as error:
            raise output_error(error, path) from error
        told = _told(path)
        if _free(descriptor, path, told) and _is(descriptor, path):
            _write(descriptor, path)
            return descriptor
        gone = not _is(descriptor, path)
        os.close(descriptor)
        if not gone and time.monotonic() >= until:
            raise _busy(path, out, told)
        time.sleep(0 if gone else _BETWEEN_TRIES_S)


def _free(descriptor: int, path: Path, told: dict[str, Any]) -> bool:
    """Whether nobody holds it; it is then locked, where there are locks."""
    locks = _locked(descriptor)
    if locks is False or _lives_elsewhere(told, path):
        return False
    return locks is True or not _lives_here(told)


def _write(descriptor: int, path: Path) -> None:
    since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    claim = {"host": socket.gethostname(), "process": os.getpid(), "since": since}
    try:
        os.truncate(descriptor, 0)
        os.write(descriptor, json.dumps(claim).encode())
        os.fsync(descriptor)
    except OSError as error:
        os.close(descriptor)
        raise output_error(error, path) from error


def _told(path: Path) -> dict[str, Any]:
    """What the holder has written; nothing while it is still to write it."""
    try:
        claim = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return claim if isinstance(claim, dict) and claim.keys() >= _KEYS else {}


def _who(told: dict[str, Any]) -> str:
    if not told:
        return "another process"
    return f"another process ({told['process']} on host {told['host']}, since {told['since']})"


def _busy(path: Path, out: Path, told: dict[str, Any]) -> BusyError:
    elsewhere = told and told["host"] != socket.gethostname()
    gone = f", or, if that process is gone, remove {path}" if elsewhere else ""
    return BusyError(
        f"{_who(told)} is at work there",
        where=out,
        hint=f"Leave it to that one, and run the same command again when it is done{gone}",
    )


def _locked(descriptor: int) -> bool | None:
    """Whether the lock was to be had; None on a file system without locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is(descriptor: int, path: Path) -> bool:
    """Whether the file of that path is still the one that was opened: its holder removes it in the end."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _let_go(path: Path, descriptor: int) -> None:
    with suppress(OSError):  # held no longer in any case, once it is closed
        if _is(descriptor, path):
            path.unlink()
    os.close(descriptor)
    with suppress(OSError):
        path.parent.rmdir()  # where nothing else is in it


def _renew(path: Path, over: threading.Event) -> None:
    while not over.wait(_RENEWED_S):
        with suppress(OSError):
            path.touch()


def _lives_elsewhere(told: dict[str, Any], path: Path) -> bool:
    """Whether a process of another host may still hold it, where locks do not tell."""
    if not told or told["host"] == socket.gethostname():
        return False
    try:
        return time.time() - path.stat().st_mtime < _STALE_S
    except FileNotFoundError:
        return False


def _lives_here(told: dict[str, Any]) -> bool:
    """Whether a process of this host still holds it, where there are no locks."""
    if not told or told["process"] == os.getpid():
        return False
    try:
        os.kill(told["process"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
