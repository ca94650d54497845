"""Files of this machine as fsspec finds them, with links to folders followed, and nothing left out in silence."""

import os
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from corpus_lonely.errors import InputError


class LinkedFiles(LocalFileSystem):  # type: ignore[misc]  # fsspec tells no types
    """fsspec's own takes a link to a folder for a file, and passes over folders that it may not read."""

    def ls(self, path: str, detail: bool = False, **options: Any) -> list[Any]:
        """What stands in a folder; a link that leads back up is left out."""
        entries = super().ls(path, detail=True, **options)
        there = [followed for entry in entries if (followed := _followed(entry))]
        return there if detail else [entry["name"] for entry in there]

    def below(self, folder: str) -> list[str]:
        """All files below a folder that are not hidden, each folder once, though links lead to it too.

        Raises InputError for a folder that cannot be read, and for a link that leads nowhere.
        """
        files, folders = list[str](), [folder]
        while folders:
            place = folders.pop()
            try:
                entries = self.ls(place, detail=True)
            except OSError as error:
                raise InputError(f"cannot be read ({error.strerror})", where=place) from error
            for entry in entries:
                if not is_hidden(Path(entry["name"]).name):
                    (folders if entry["type"] == "directory" else files).append(entry["name"])
        check_links(files)
        return _each_once(files)


def _followed(entry: dict[str, Any]) -> dict[str, Any] | None:
    place = Path(entry["name"])
    if not entry["islink"] or not place.is_dir():
        return entry
    target = place.resolve()
    ways = (folder.resolve() for folder in place.parents)
    if any(way.is_relative_to(target) for way in ways):
        return None
    return {**entry, "type": "directory"}


def check_links(files: list[str]) -> None:
    """InputError for one that is a link to nothing."""
    for file in map(Path, files):
        if file.is_symlink() and not file.exists():
            raise InputError(
                "is a link that leads nowhere", where=file, hint="Mend it, or take it away"
            )


def is_hidden(name: str) -> bool:
    """Whether a file or folder is no data by its name: hidden ones, and `_SUCCESS`-like marks."""
    return name.startswith((".", "_"))


def _each_once(files: list[str]) -> list[str]:
    """The files less those of folders that are there under another name too, by a link to them."""
    folders = sorted({os.path.dirname(file) for file in files})  # noqa: PTH120  (fsspec's are strings)
    real = {folder: os.path.realpath(folder) for folder in folders}
    first: dict[str, str] = {}
    # a folder's own name goes before that of a link, which resolving makes another
    for folder in sorted(folders, key=lambda name: (_links(name, real[name]), name)):
        first.setdefault(real[folder], folder)
    return [file for file in files if first[real[folder := os.path.dirname(file)]] == folder]  # noqa: PTH120


def _links(folder: str, real: str) -> int:
    """How many names of a path are not those of the place that it leads to, the last ones first."""
    pairs = zip(reversed(Path(folder).parts), reversed(Path(real).parts), strict=False)
    return sum(own != other for own, other in pairs)
