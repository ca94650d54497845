"""The output folder of a run: whose it is, which parts are done, and what a killed run left behind."""

import fcntl
import os
import re
import shutil
import socket
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from functools import reduce
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from corpus_lonely import tables
from corpus_lonely.errors import InputError, OutputError
from corpus_lonely.files import about_folder, output_error, read_json, write_json
from corpus_lonely.scoring.plan import Run, Shard

_PART = re.compile(r"part-\d{6,}\.parquet")
_READERS = 16


@dataclass(frozen=True)
class Counts:
    """How many posts were scored, and how."""

    rows: int = 0
    ok: int = 0
    empty: int = 0
    """Null, or no text."""
    error: int = 0
    """Could not be scored."""
    truncated: int = 0
    """Longer than --max-tokens."""
    tokens: int = 0
    """Tokens that the model read, without padding."""

    def __add__(self, other: "Counts") -> "Counts":
        names = (field.name for field in fields(self))
        return Counts(*(getattr(self, name) + getattr(other, name) for name in names))


def total(counts: Iterable[Counts]) -> Counts:
    """The sum over shards."""
    return reduce(Counts.__add__, counts, Counts())


@dataclass(frozen=True)
class Output:
    """The folder of scores and the one beside it."""

    folder: Path

    @property
    def about(self) -> Path:
        """Everything but data: the description of the run, temporary files."""
        return about_folder(self.folder)

    @property
    def staging(self) -> Path:
        """Where parts are written before they are renamed into the folder."""
        return self.about / "staging"

    @property
    def description(self) -> Path:
        """What the run is, and at its end its totals."""
        return self.about / "scores.json"

    @contextmanager
    def locked(self, shared: bool = False) -> Iterator[None]:
        """Keeps a second run out; the lock goes with the process, however that ends.

        shared: lets in others that share as well: the members of one run.
        """
        lock = self.about / "lock"
        try:
            self.about.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise output_error(error, lock) from error
        try:
            _take(descriptor, self.folder, shared)
            yield
        finally:
            os.close(descriptor)

    def begun(self) -> Run | None:
        """What the parts in the folder belong to; None when there are none.

        Raises OutputError when the folder holds anything that is no part of ours.
        """
        parts = self._parts()
        if not parts:
            return None
        runs = chain([self.described()], map(_run_of, parts))  # footers only where it is needed
        known = next((run for run in runs if run), None)
        if known is None:
            raise _foreign(parts[0])
        return known

    def _parts(self) -> list[Path]:
        if not self.folder.exists():
            return []
        if not self.folder.is_dir():
            raise OutputError("is a file, not a folder", where=self.folder)
        entries = sorted(entry for entry in self.folder.iterdir() if entry.name[0] != ".")
        for entry in entries:
            if not _PART.fullmatch(entry.name) or not entry.is_file():
                raise _foreign(entry)
        return entries

    def described(self) -> Run | None:
        """The run that the description tells; None when there is none that can be read."""
        try:
            return Run.from_dict(read_json(self.description)["run"])
        except (InputError, KeyError, TypeError):
            return None

    def done(self, run: Run, shards: list[Shard]) -> dict[int, Counts]:
        """The counts of the parts that stand already, by the index of their shard.

        A part that cannot be read, or is another shard's, is not done. Only footers are read.
        """
        there = {entry.name for entry in self._parts()}
        standing = [shard for shard in shards if shard.part in there]
        with ThreadPoolExecutor(_READERS) as readers:
            found = readers.map(lambda shard: self.standing(run, shard), standing)
            return {
                shard.index: counts
                for shard, counts in zip(standing, found, strict=True)
                if counts is not None
            }

    def standing(self, run: Run, shard: Shard) -> Counts | None:
        """The counts of a shard whose part stands already; None when it does not."""
        part = self.folder / shard.part
        try:
            facts = tables.footer(part)
            if facts.get("fingerprint") != run.fingerprint(shard):
                return None
            if pq.read_metadata(part).num_rows != shard.rows:
                return None
            return Counts(**facts["counts"])
        except (InputError, KeyError, TypeError, ValueError, OSError):
            return None

    def describe(self, content: dict[str, Any], counts: Counts | None = None) -> None:
        """Writes the description of the run; with `counts` once all is done."""
        totals = asdict(counts) if counts else None
        write_json(self.description, {**content, "totals": totals})

    def count(self) -> int:
        """How many parts there are, going by their names alone."""
        return len(self._parts())

    def totalled(self) -> bool:
        """Whether the description tells the totals already."""
        try:
            return bool(read_json(self.description).get("totals"))
        except (InputError, AttributeError):
            return False

    def claim(self, content: dict[str, Any]) -> Run:
        """Describes the run if nobody has, and returns the one that the description tells.

        Of several processes that begin together one wins, and the others hear what it decided.
        """
        unique = f"{socket.gethostname()}.{os.getpid()}"  # hosts may share this folder
        candidate = self.description.with_name(f".{self.description.name}.{unique}.tmp")
        write_json(candidate, {**content, "totals": None})
        try:
            os.link(candidate, self.description)  # fails where it exists, unlike a rename
        except FileExistsError:
            pass
        except OSError as error:
            raise output_error(error, self.description) from error
        finally:
            candidate.unlink(missing_ok=True)
        if (run := self.described()) is None:
            raise OutputError("is damaged", where=self.description, hint="Remove it")
        return run

    def clean(self) -> None:
        """Removes what killed runs left in staging; only the holder of the lock may call it."""
        shutil.rmtree(self.staging, ignore_errors=True)

    def clear(self) -> None:
        """Removes all parts and the description, for a new start."""
        for part in self._parts():
            if _run_of(part) is None and not self.description.exists():
                raise _foreign(part)
        for part in self._parts():
            part.unlink()
        self.description.unlink(missing_ok=True)


def _run_of(part: Path) -> Run | None:
    try:
        return Run.from_dict(tables.footer(part)["run"])
    except (InputError, KeyError, TypeError, ValueError):
        return None


def _foreign(entry: Path) -> OutputError:
    return OutputError(
        f"holds {entry.name!r}, which is no part of scores",
        where=entry.parent,
        hint="Choose another --out",
    )


def _take(descriptor: int, folder: Path, shared: bool) -> None:
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputError(
            "another run is writing there",
            where=folder,
            hint="Wait for it, or choose another --out",
        ) from None
    except OSError:
        pass  # a file system without locks: the user has to see to it
