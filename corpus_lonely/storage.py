"""Places to write to: a path on this machine, or an address in a store that fsspec knows (`s3://…`)."""

import glob
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, Self, TypeVar

import fsspec

from corpus_lonely.errors import CorpusLonelyError, OutputError, SettingsError, StorageError
from corpus_lonely.files import about_folder, json_bytes, write_json
from corpus_lonely.store_errors import StoreTrouble

_WAITS_S = (1.0, 4.0, 15.0, 60.0)
"""Between tries, when the store does not answer; its library tries a few times each time."""
_NOT_EXCLUSIVE = (NotImplementedError, TypeError, ValueError)

_Given = ParamSpec("_Given")
_Got = TypeVar("_Got")


def patient(ask: Callable[_Given, _Got]) -> Callable[_Given, _Got]:
    """Has a store asked again, and for minutes, where `ask` raises StorageError: it may be busy."""

    @wraps(ask)
    def asked(*given: _Given.args, **named: _Given.kwargs) -> _Got:
        for wait in _WAITS_S:
            try:
                return ask(*given, **named)
            except StorageError:
                time.sleep(wait)
        return ask(*given, **named)

    return asked


@contextmanager
def answering(url: str) -> Iterator[None]:
    """What a store's library raises within the block, when the store does not answer, as StorageError.

    Every other error stays what it is, and so does any of a path on this machine.
    """
    try:
        yield
    except Exception as error:  # each store's library raises what it likes
        if "://" not in url or not (trouble := StoreTrouble(error)).passing:
            raise
        raise trouble.told(url) from error


@dataclass(frozen=True)
class RemotePath:
    """The address of an object, or of what stands below it, with what `pathlib.Path` calls the same.

    An object is put in one go: it is there whole or not at all, and none is ever renamed. Nothing that
    was listed is remembered: other processes write too.
    Raises OutputError or StorageError, in one line, whatever the store's own library raises.
    """

    url: str
    """With its protocol; that of a folder within a folder ends in `/`, as listings tell it."""

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> Self:
        return type(self)(f"{self.url.rstrip('/')}/{name}")

    @property
    def name(self) -> str:
        """What stands after the last `/`; it keeps the `/` of a folder."""
        plain = self.url.rstrip("/")
        return plain.rpartition("/")[2] + self.url[len(plain) :]

    @property
    def parent(self) -> Self:
        """What it stands in."""
        return type(self)(self.url.rstrip("/").rpartition("/")[0])

    def with_name(self, name: str) -> Self:
        """The place beside it that is called so."""
        return self.parent / name

    def absolute(self) -> Self:
        """Itself."""
        return self

    def exists(self) -> bool:
        """Whether there is such an object, or any below it."""
        with _asking(self, "read") as (system, path):
            return bool(system.exists(path))

    def listed(self) -> list[Self]:
        """What stands in it, unsorted; nothing when there is no such folder."""
        with _asking(self, "read") as (system, path):
            try:
                entries = system.ls(path, detail=True)
            except FileNotFoundError as error:
                if StoreTrouble(error).bucket_missing:
                    raise
                return []
            names = [_entry(entry, path) for entry in entries]
        return [self / name for name in names if name]

    def read_bytes(self) -> bytes:
        """The whole object; FileNotFoundError when there is none."""
        with _asking(self, "read") as (system, path), _absent(self):
            content: bytes = system.cat_file(path)
            return content

    def read_text(self, encoding: str = "utf-8") -> str:
        """The whole object as text; FileNotFoundError when there is none."""
        return self.read_bytes().decode(encoding)

    @patient
    def tail(self, size: int) -> bytes:
        """The last bytes of an object, and no others; FileNotFoundError when there is none."""
        with _asking(self, "read") as (system, path), _absent(self):
            content: bytes = system.tail(path, size)
            return content

    @patient
    def write_bytes(self, content: bytes) -> None:
        """Puts the object in the place of what is there."""
        with _asking(self) as (system, path):
            system.pipe_file(path, content)

    def create(self, content: bytes) -> bool:
        """Puts the object if there is none; tells whether it did.

        Of several that try at once, one succeeds, where the store can tell (S3 and Google can).
        """
        with _asking(self) as (system, path):
            try:
                system.pipe_file(path, content, mode="create")
            except FileExistsError:
                return False
            except (*_NOT_EXCLUSIVE, OSError) as error:
                if not (isinstance(error, _NOT_EXCLUSIVE) or StoreTrouble(error).unsupported):
                    raise
                if system.exists(path):
                    return False
                system.pipe_file(path, content)
        return True

    def unlink(self, missing_ok: bool = False) -> None:
        """Removes the object."""
        with _asking(self) as (system, path):
            try:
                system.rm_file(path)
            except FileNotFoundError:
                if not missing_ok:
                    raise


Place = Path | RemotePath


def place(address: str | Path) -> Place:
    """Where an address leads: a URL to a store, anything else (`file://` too) to this machine.

    Raises SettingsError for a URL that leads nowhere.
    """
    text = str(address)
    protocol, found, rest = text.partition("://")
    if not found:
        return Path(address)
    if protocol in ("file", "local"):
        return Path(fsspec.core.strip_protocol(text))
    if protocol not in fsspec.available_protocols():
        raise SettingsError(f"{protocol}:// is no kind of store that is known, got {text}")
    if protocol != "memory" and "/" not in rest.strip("/"):
        raise SettingsError(f"a URL must name a folder, as {protocol}://bucket/scores/, got {text}")
    return RemotePath(text.rstrip("/"))


def contents(folder: Place) -> Sequence[Place]:
    """What stands in a folder, by name; nothing when there is none. OutputError when it is a file."""
    if isinstance(folder, RemotePath):
        return sorted(folder.listed(), key=lambda entry: entry.name)
    if not folder.exists():
        return []
    if not folder.is_dir():
        raise OutputError("is a file, not a folder", where=folder)
    return sorted(folder.iterdir())


def is_file(entry: Place) -> bool:
    """Whether an entry of `contents` is a file; no store is asked."""
    return not entry.url.endswith("/") if isinstance(entry, RemotePath) else entry.is_file()


def remove(entries: Sequence[Place]) -> None:
    """Removes files of one folder; those of a store by the thousand, where it can."""
    remote = [entry for entry in entries if isinstance(entry, RemotePath)]
    for entry in entries:
        if isinstance(entry, Path):
            entry.unlink()
    if remote:
        with _asking(remote[0].parent) as (system, path):
            system.rm([f"{path.rstrip('/')}/{entry.name}" for entry in remote])
        left = {entry.name for entry in remote[0].parent.listed()}
        if kept := [entry for entry in remote if entry.name in left]:  # s3fs tells no other way
            raise OutputError("could not be removed", where=kept[0])


def put_json(place: Place, content: Any) -> None:
    """Writes `content` as `files.write_json` does, to any place."""
    if isinstance(place, RemotePath):
        place.write_bytes(json_bytes(content))
    else:
        write_json(place, content)


def about_place(folder: Place) -> Place:
    """What `files.about_folder` tells, of any place."""
    if isinstance(folder, RemotePath):
        return folder.with_name(f"{folder.name.rstrip('/')}.about")
    return about_folder(folder)


def remote_files(address: RemotePath, suffix: str) -> list[RemotePath]:
    """The objects behind an address, sorted: itself, those below it, or those that a glob fits.

    Of the latter two those that end in `suffix` and are not hidden.
    """
    with _asking(address, "read") as (system, path):
        matches = system.glob(path) if glob.has_magic(path) else [path.rstrip("/")]
        if matches == [path] and system.isfile(path):
            return [address]
        paths = {found for match in matches for found in system.find(match)}
        plain = [found for found in paths if found.endswith(suffix) and "/." not in found]
        return [RemotePath(system.unstrip_protocol(found)) for found in sorted(plain)]


def _entry(entry: dict[str, Any], folder: str) -> str:
    """The name of what was listed, empty for the folder itself; folders end in `/`."""
    name = str(entry["name"]).strip("/")
    inside = name.removeprefix(folder.strip("/")).strip("/")
    return f"{inside}/" if inside and entry["type"] == "directory" else inside


@contextmanager
def _asking(place: RemotePath, to_be: str = "written") -> Iterator[tuple[Any, str]]:
    """The file system and the path in it; what it raises within the block becomes one of our errors."""
    try:
        system, path = fsspec.core.url_to_fs(place.url, use_listings_cache=False)
        system.invalidate_cache()  # for those that remember nevertheless
        yield system, path
    except (CorpusLonelyError, _AbsentError):
        raise
    except Exception as error:  # each store's library raises what it likes
        raise StoreTrouble(error).told(str(place), OutputError, f"cannot be {to_be}") from error


class _AbsentError(FileNotFoundError):
    """There is no such object; the one answer that callers handle themselves."""


@contextmanager
def _absent(place: RemotePath) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        if StoreTrouble(error).bucket_missing:
            raise
        raise _AbsentError(str(place)) from error
