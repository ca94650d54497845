"""The output folder of a run: whose it is, which parts are done, and what a killed run left behind."""

import shutil
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from functools import reduce
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpus_lonely import tables
from corpus_lonely.errors import InputError, OutputError
from corpus_lonely.files import atomic_path, create_json, json_bytes, read_json
from corpus_lonely.scoring.lock import file_lock
from corpus_lonely.scoring.marks import Marks
from corpus_lonely.scoring.plan import Run, Shard
from corpus_lonely.seal import is_whole
from corpus_lonely.storage import (
    Place,
    RemotePath,
    about_place,
    contents,
    is_file,
    put_json,
    remove,
)

_READERS = 16
_BATCH = 1024
"""Footers that are asked for at a time."""
_LOOKS = 20
_BETWEEN_LOOKS_S = 0.05


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
        names = (entry.name for entry in fields(self))
        return Counts(*(getattr(self, name) + getattr(other, name) for name in names))


def total(counts: Iterable[Counts]) -> Counts:
    """The sum over shards."""
    return reduce(Counts.__add__, counts, Counts())


@dataclass
class Output:
    """The folder of scores and the one beside it, on this machine or in a store such as S3.

    On this machine a lock keeps other runs out. A store has no locks: there the description is the
    claim. Whoever agrees with it may write, for all of them write the same bytes; others are refused.
    """

    folder: Place
    _shared: bool = field(default=False, init=False, repr=False, compare=False)

    @property
    def about(self) -> Place:
        """Everything but data: the description of the run, temporary files."""
        return about_place(self.folder)

    @property
    def staging(self) -> Path | None:
        """Where parts are written before they are renamed into the folder; a store needs none."""
        return self.about / "staging" if isinstance(self.about, Path) else None

    @property
    def description(self) -> Place:
        """What the run is, and at its end its totals."""
        return self.about / "scores.json"

    @contextmanager
    def locked(self, shared: bool = False) -> Iterator[None]:
        """Keeps other runs out, or lets only members in that share; it goes with the process.

        Members (of a job array) have to `claim` the folder before they write. The last to leave
        removes what killed ones left in staging.
        """
        if not isinstance(self.about, Path):
            yield
            return
        self._shared = shared
        with file_lock(self.about / "lock", self.folder, shared) as lock:
            yield
            if shared and lock.alone():
                self._shared = False
                self.clean()

    def begun(self) -> Run | None:
        """What the parts in the folder belong to; None when there are none.

        In a store, the run that has claimed the folder, though it may have no part yet.
        Raises OutputError when the folder holds anything that is no part of ours.
        """
        parts = self._parts()
        if not parts:
            return self.described() if isinstance(self.folder, RemotePath) else None
        runs = chain([self.described()], map(_run_of, parts))  # footers only where it is needed
        known = next((run for run in runs if run), None)
        if known is None:
            raise _foreign(parts[0])
        return known

    def _parts(self) -> list[Place]:
        entries = [entry for entry in contents(self.folder) if entry.name[0] != "."]
        for entry in entries:
            if not is_part(entry):
                raise _foreign(entry)
        return entries

    def described(self) -> Run | None:
        """The run that the description tells; None when there is none that can be read."""
        try:
            return Run.from_dict(read_json(self.description)["run"])
        except (InputError, KeyError, TypeError):
            return None

    def done(
        self, run: Run, shards: Iterable[Shard], *, read: bool = True
    ) -> Iterator[tuple[Shard, Counts]]:
        """Those of `shards` whose parts stand already, with their counts, in order.

        A part that is damaged anywhere, or is another shard's, is not done. What is read is not kept:
        there may be a million of them.
        read: every byte; else the footers alone.
        """
        there = self._there()
        if not there:
            return
        named = (shard for shard in shards if shard.index in there)
        with ThreadPoolExecutor(_READERS) as readers:
            while batch := list(islice(named, _BATCH)):
                found = readers.map(lambda shard: self.standing(run, shard, read=read), batch)
                for shard, counts in zip(batch, found, strict=True):
                    if counts is not None:
                        yield shard, counts

    def written(self, run: Run, shards: Iterable[Shard]) -> Iterator[Shard]:
        """Those of `shards` whose parts stand, going by their footers.

        In a store by one list alone: there a part is put whole or not at all.
        """
        if isinstance(self.folder, RemotePath):
            there = self._there()
            return (shard for shard in shards if shard.index in there)
        return (shard for shard, _ in self.done(run, shards, read=False))

    def _there(self) -> Marks:
        """The indices of all parts, going by their names."""
        there = Marks()
        for part in self._parts():
            there.add(int(part.name.removeprefix("part-").removesuffix(".parquet")))
        return there

    def standing(self, run: Run, shard: Shard, *, read: bool = True) -> Counts | None:
        """The counts of a shard whose part stands whole already; None when it does not.

        A file is read to its end, for a disk may have damaged it; a store sees to that itself, and
        there only the footer is read, as here without `read`.
        """
        part = self.folder / shard.part
        try:
            if read and isinstance(part, Path) and not is_whole(part.read_bytes()):
                return None
            facts, rows = tables.footer_and_rows(part)
            if facts.get("fingerprint") != run.fingerprint(shard):
                return None
            if rows + facts.get("purged", 0) != shard.rows:
                return None
            return Counts(**facts["counts"])
        except (InputError, KeyError, TypeError, ValueError, OSError):
            return None

    def write(self, shard: Shard, table: pa.Table) -> None:
        """Writes a shard's part, whole or not at all; OutputError or StorageError when it cannot be."""
        self.put(shard.part, tables.sealed_bytes(table))

    def put(self, name: str, content: bytes) -> None:
        """Writes a part of that name, or puts it in the place of the one that is there."""
        part = self.folder / name
        if isinstance(part, RemotePath):
            part.write_bytes(content)
            return
        with atomic_path(part, self.staging) as temporary:
            temporary.write_bytes(content)

    def claim(self, content: dict[str, Any]) -> Run:
        """Describes the run if nobody has, and returns the one that the description tells.

        Of several processes that begin together one wins, and the others hear what it decided.
        """
        content = {**content, "totals": None}
        self._create(content)
        # looked at though it may be ours: a store that knows no exclusion lets two succeed
        described = self._described_by_now()
        if described is None:  # what stands there is no description
            put_json(self.description, content)
            return Run.from_dict(content["run"])
        return described

    def insist(self, content: dict[str, Any]) -> None:
        """As `claim`; OutputError when the folder is another run's."""
        wanted = Run.from_dict(content["run"])
        if differences := wanted.differences(self.claim(content)):
            raise OutputError(
                f"was begun with {'; '.join(differences)}",
                where=self.folder,
                hint="Choose another --out, or give --overwrite to start anew",
            )

    def _create(self, content: dict[str, Any]) -> bool:
        if isinstance(self.description, Path):
            return create_json(self.description, content)
        return self.description.create(json_bytes(content))

    def _described_by_now(self) -> Run | None:
        """As `described`; waits a little for one that is being written."""
        for _ in range(_LOOKS):
            if described := self.described():
                return described
            time.sleep(_BETWEEN_LOOKS_S)
        return None

    @property
    def purged(self) -> int:
        """How many rows `corpus-lonely purge` has taken out, as the description tells."""
        try:
            return int(read_json(self.description).get("purged", 0))
        except (InputError, AttributeError, TypeError, ValueError):
            return 0

    def describe(self, content: dict[str, Any], counts: Counts | None = None) -> None:
        """Writes the description of the run; with `counts` once all is done.

        In a store it insists on the folder first, for nothing is locked there.
        """
        if isinstance(self.folder, RemotePath):
            self.insist(content)
        put_json(self.description, {**content, "totals": asdict(counts) if counts else None})

    def count(self) -> int:
        """How many parts there are, going by their names alone."""
        return len(self._parts())

    def totalled(self) -> bool:
        """Whether the description tells the totals already."""
        try:
            return bool(read_json(self.description).get("totals"))
        except (InputError, AttributeError):
            return False

    def clean(self) -> None:
        """Removes what killed runs left in staging; only the holder of the lock may call it.

        While the lock is shared it removes nothing: the others are at work there.
        """
        if self.staging and not self._shared:
            shutil.rmtree(self.staging, ignore_errors=True)

    def clear(self) -> None:
        """Removes all parts and the description, for a new start."""
        parts = self._parts()
        if not self.description.exists():
            with ThreadPoolExecutor(_READERS) as readers:
                for part, run in zip(parts, readers.map(_run_of, parts), strict=True):
                    if run is None:
                        raise _foreign(part)
        remove(parts)
        self.description.unlink(missing_ok=True)


def is_part(entry: Place) -> bool:
    """Whether an entry of the folder is a part, going by its name."""
    return tables.is_part_name(entry.name) and is_file(entry)


def _run_of(part: Place) -> Run | None:
    try:
        return Run.from_dict(tables.footer(part)["run"])
    except (InputError, KeyError, TypeError, ValueError):
        return None


def _foreign(entry: Place) -> OutputError:
    return OutputError(
        f"holds {entry.name!r}, which is no part of scores",
        where=entry.parent,
        hint="Remove it, or choose another --out",
    )
