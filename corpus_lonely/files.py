"""Files that are either whole or not there, and where a data folder keeps what is not data."""

import errno
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from corpus_lonely.errors import InputError, OutputError


def about_folder(out: str | os.PathLike[str]) -> Path:
    """The folder beside `out` that holds everything but data: reports, manifests, work in progress.

    It stands beside and not inside because Polars, DuckDB and R read every file of a data folder.
    """
    path = Path(os.path.abspath(out))
    return path.with_name(path.name + ".about")


@contextmanager
def atomic_path(path: Path, staging: Path | None = None) -> Iterator[Path]:
    """A temporary path that becomes `path` when the block ends well, and vanishes when it does not.

    staging: a folder on the same file system for the temporary file; by default that of `path`.
    Raises OutputError when the disk is full or the place cannot be written.
    """
    folder = staging or path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(error, path) from error
    temporary = folder / f".{path.name}.{os.getpid()}.tmp"
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    except OSError as error:
        raise output_error(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Returns when the file's content, or the folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def output_error(error: OSError, path: str | os.PathLike[str]) -> OutputError:
    """The OutputError that tells what an OSError means for whoever waits for `path`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(
            "no space left on the disk",
            where=path,
            hint="Free some space and run the same command again",
        )
    reason = error.strerror or str(error)
    # the first letter alone, for a path may follow
    return OutputError(f"cannot be written ({reason[:1].lower()}{reason[1:]})", where=path)


def files_sha256(paths: Iterable[Path]) -> str:
    """SHA-256 over names and contents of some files, in hex."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.name}:{content}\n".encode())
    return digest.hexdigest()


def write_json(path: Path, content: Any) -> None:
    """Writes `content` as indented JSON, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")


def read_json(path: Path) -> Any:
    """The content of a JSON file; InputError when it is not there or is no JSON."""
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError("does not exist", where=path) from None
    except (OSError, ValueError) as error:
        raise InputError(f"is not readable as JSON ({error})", where=path) from error
