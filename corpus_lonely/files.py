"""Files that are either whole or not there, and where a data folder keeps what is not data."""

import errno
import hashlib
import json
import math
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

from corpus_lonely.errors import InputError, OutputError

_NO_LINKS = frozenset({errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV})
"""What a file system without hard links says."""


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
    temporary = folder / temporary_name(path)
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    except OSError as error:
        raise output_error(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)


def open_private(path: Path, mode: str = "wb", *, new: bool = False) -> IO[Any]:
    """A file to be written that its owner alone can read, from its first byte on; text is UTF-8.

    new: fail where one is there already, as whoever made it might read what comes.
    """
    flags = os.O_WRONLY | os.O_CREAT | (os.O_EXCL if new else os.O_TRUNC)
    # created with its mode: there is no moment at which others could read it
    descriptor = os.open(path, flags, 0o600)
    return os.fdopen(descriptor, mode, encoding=None if "b" in mode else "utf-8")


def temporary_name(path: Path) -> str:
    """A hidden name for what will be `path`, which nobody else gives: hosts may share the folder."""
    return f".{path.name}.{uuid.uuid4().hex}.tmp"


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
        temporary.write_bytes(json_bytes(content))


def finite(content: Any) -> Any:
    """The same with null for numbers that are none or infinite, for which JSON has no sign."""
    if isinstance(content, dict):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def json_bytes(content: Any) -> bytes:
    """Indented JSON, as `write_json` writes it."""
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def create_json(path: Path, content: Any) -> bool:
    """Writes JSON whole if there is no such file; tells whether it did. Of several, one succeeds."""
    draft = path.with_name(temporary_name(path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            draft.write_bytes(json_bytes(content))
            sync(draft)
            return _link(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise output_error(error, path) from error


def _link(draft: Path, path: Path) -> bool:
    """Gives a file its name, if no other has it."""
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        try:  # whoever reads it half written has to look again
            with path.open("xb") as file:
                file.write(draft.read_bytes())
        except FileExistsError:
            return False
    sync(path.parent)
    return True


class Readable(Protocol):
    """What has text: a path on this machine or in a store."""

    def read_text(self, encoding: str) -> str:
        """The whole text; FileNotFoundError when there is none."""


def read_json(path: Readable) -> Any:
    """The content of a JSON file; InputError when it is not there or is no JSON."""
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError("does not exist", where=path) from None
    except (OSError, ValueError) as error:
        raise InputError(f"is not readable as JSON ({error})", where=path) from error
