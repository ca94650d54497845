"""A posts folder: whose it is, where its files lie, and changes that happen whole or not at all."""

import errno
import fcntl
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from corpus_lonely.errors import OutputError
from corpus_lonely.files import about_folder, output_error, read_json, sync, write_json
from corpus_lonely.ingest.record import Record, read_record
from corpus_lonely.ingest.report import FileReport


class PostsFolder:
    """`posts/` and `posts.about/`, held by one process at a time (see `opened`)."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.about = about_folder(out)
        self.key = self.about / "author.key"
        self.staging = self.about / "staging"
        self.drafts = self.about / "tables"
        self._next = self.about / "next"
        self._journal = self.about / "journal.json"
        self._record_path = self.about / "ingest.json"

    def month(self, month: str) -> Path:
        return self.out / f"month={month}" / "part-0.parquet"

    def months(self, record: Record, coming: Collection[str]) -> dict[str, Path]:
        """The files of all months of a record, of which some are yet to be put in their places."""
        places = {month: self.month(month) for month in record.months}
        return {
            month: self.coming(path) if month in coming else path for month, path in places.items()
        }

    def origins(self, month: str) -> Path:
        return self.about / "origins" / f"month={month}.parquet"

    def traces(self, month: str) -> Path:
        return self.about / "gone" / f"month={month}.parquet"

    def counts(self, file: FileReport) -> Path:
        return self.about / "counts" / f"{file.fingerprint}.parquet"

    @property
    def coverage(self) -> Path:
        return self.about / "coverage.parquet"

    @property
    def purged(self) -> Path:
        """What was purged; stays when the folder is made anew."""
        return self.about / "purged.parquet"

    @property
    def quarantine(self) -> Path:
        return self.about / "quarantine.jsonl"

    def coming(self, path: Path) -> Path:
        """Where a file that shall stand at `path` is written until `commit`."""
        if path.is_relative_to(self.out):
            return self._next / "posts" / path.relative_to(self.out)
        return self._next / "about" / path.relative_to(self.about)

    def check(self) -> None:
        """Raises OutputError when the folder is not ours; touches nothing."""
        if self.out.exists() and not self.out.is_dir():
            raise OutputError("is a file, and posts go into a folder", where=self.out)
        ours = self._record_path.exists() or self._journal.exists()
        if not ours and self.out.exists() and any(self.out.iterdir()):
            raise OutputError(
                "is not empty, and was not made by `corpus-lonely ingest`",
                where=self.out,
                hint="Choose another --out",
            )
        beside = self.about if self.about.exists() else self.about.parent
        if self.out.exists() and self.out.stat().st_dev != beside.stat().st_dev:
            raise OutputError(
                f"lies on another file system than {self.about}, where its parts are made",
                where=self.out,
                hint="Name the folder itself, not a link to it, or a folder within it",
            )

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Holds the folder, and first ends the change that an interrupted run had begun to make."""
        try:
            self.about.mkdir(parents=True, exist_ok=True)
            lock = (self.about / "lock").open("w")
        except OSError as error:
            raise output_error(error, self.about) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OutputError(
                    "another run is writing into it just now", where=self.out
                ) from None
            self._roll_forward()
            try:
                self._clear()
                self._clear_temporaries()
                self._clear_drafts()
                yield
            finally:
                self._clear()

    def record(self) -> Record | None:
        """What the folder holds; None when it is new. OutputError when months went missing."""
        record = self.told()
        if record is None:
            return None
        gone = [month for month in sorted(record.months) if not self.month(month).exists()]
        if gone:
            raise OutputError(
                f"lacks months that {self._record_path} names: {', '.join(gone[:3])}"
                f"{' ...' if len(gone) > 3 else ''}",
                where=self.out,
                hint="--overwrite makes the folder anew",
            )
        return record

    def told(self) -> Record | None:
        """What `ingest.json` tells, whether or not it is there; None without one."""
        return read_record(self._record_path) if self._record_path.exists() else None

    @property
    def half_changed(self) -> bool:
        """Whether a change was interrupted that the next run into the folder ends."""
        return self._journal.exists()

    def commit(self, record: Record, changed: Iterable[Path]) -> None:
        """Puts the files that were written to `coming` in their places, together with the record.

        Files of ours that the record knows nothing of are removed. Killed at any moment, either
        nothing has happened or the next run finishes it.
        """
        changed = [*changed, self._record_path]
        write_json(self.coming(self._record_path), record.as_json())
        journal = {
            "move": [self._name(path) for path in changed],
            "remove": [self._name(path) for path in self._stale(record, changed)],
        }
        write_json(self._journal, journal)
        self._roll_forward()

    def _stale(self, record: Record, changed: list[Path]) -> list[Path]:
        wanted = {
            *changed,
            *map(self.month, record.months),
            *map(self.origins, record.months),
            *map(self.traces, record.gone),
            *map(self.counts, record.files),
        }
        there = [
            *self.out.glob("month=*/part-0.parquet"),
            *self.about.glob("origins/*.parquet"),
            *self.about.glob("gone/*.parquet"),
            *self.about.glob("counts/*.parquet"),
        ]
        return [path for path in sorted(there) if path not in wanted]

    def _name(self, path: Path) -> str:
        return str(self.coming(path).relative_to(self._next))

    def _clear(self) -> None:
        if not self._journal.exists():  # else what is coming has begun to be put in place
            shutil.rmtree(self._next, ignore_errors=True)

    def _clear_temporaries(self) -> None:
        for path in self.about.glob(".*.tmp"):  # of runs that were killed: nobody else is here
            path.unlink(missing_ok=True)

    def _clear_drafts(self) -> None:
        """Removes what a killed `ingest table` left of posts, in the plain; not what one that runs has made."""
        if not any(self.drafts.glob("*.jsonl")):
            return
        with (self.drafts / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            for path in self.drafts.glob("*.jsonl"):
                path.unlink(missing_ok=True)

    def _roll_forward(self) -> None:
        if not self._journal.exists():
            return
        journal = read_json(self._journal)
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            for name in journal["move"]:
                self._move(name)
            for name in journal["remove"]:
                self._remove(name)
            sync(self.out)
            sync(self.about)
            shutil.rmtree(self.staging, ignore_errors=True)
            shutil.rmtree(self._next, ignore_errors=True)
            self._journal.unlink()
        except OSError as error:
            raise output_error(error, self.out) from error

    def _place(self, name: str) -> Path:
        home, _, rest = name.partition("/")
        return {"posts": self.out, "about": self.about}[home] / rest

    def _move(self, name: str) -> None:
        coming, place = self._next / name, self._place(name)
        if coming.exists():  # else it was moved before the interruption
            place.parent.mkdir(parents=True, exist_ok=True)
            coming.replace(place)
            sync(place.parent)

    def _remove(self, name: str) -> None:
        place = self._place(name)
        place.unlink(missing_ok=True)
        if place.parent.name.startswith("month="):
            try:
                place.parent.rmdir()
            except OSError as error:
                # gone since before an interruption, or holding a file that is not ours
                if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST):
                    raise
