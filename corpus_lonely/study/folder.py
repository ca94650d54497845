"""The folder of a report: made beside its place, then put there, in an order that shows a mixture."""

import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import polars as pl

from corpus_lonely.errors import OutputError, first_line
from corpus_lonely.files import output_error

LAST = "study.json"
"""Taken away first and put in place last: where it stands, the files beside it are of one study."""


def write_table(table: pl.DataFrame, folder: Path, name: str) -> None:
    """Writes `name`.csv and `name`.parquet; raises OSError, with its errno where Polars tells it."""
    try:
        table.write_csv(folder / f"{name}.csv")
        table.write_parquet(folder / f"{name}.parquet", compression="zstd")
    except (pl.exceptions.PolarsError, OSError) as error:
        # Polars tells a full disk in words alone: as a ComputeError, or as an OSError without errno
        number = re.search(r"os error (\d+)", str(error))
        if number is not None:
            raise OSError(int(number[1]), os.strerror(int(number[1]))) from error
        raise OSError(first_line(error)) from error


@contextmanager
def whole_folder(out: Path, ours: frozenset[str] | set[str] = frozenset()) -> Iterator[Path]:
    """A folder beside `out` whose files move there when the block ends well, and vanish when not.

    ours: names of files of an earlier report, which are removed where no new one takes their place.
    Raises OutputError when the place cannot be written, or a folder is in the way.
    """
    mine = f".{out.name}.{socket.gethostname()}-"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _clear_leftovers(out.parent, mine)
        staging = Path(mkdtemp(prefix=f"{mine}{os.getpid()}.", suffix=".tmp", dir=out.parent))
    except OSError as error:
        raise output_error(error, out) from error
    try:
        yield staging
        _move(staging, out, ours)
    except OSError as error:
        raise output_error(error, out) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _move(staging: Path, out: Path, ours: frozenset[str] | set[str]) -> None:
    """Files are replaced one by one; a mixture of two reports, left by a kill, has no study.json."""
    names = sorted(path.name for path in staging.iterdir())
    for name in names:
        if (out / name).is_dir():
            raise OutputError(
                "is a folder, where a file of the report belongs",
                where=out / name,
                hint="Move it away, or choose another --out",
            )
    out.mkdir(exist_ok=True)
    (out / LAST).unlink(missing_ok=True)
    for name in sorted(ours.difference(names)):
        if not (out / name).is_dir():
            (out / name).unlink(missing_ok=True)
    for name in sorted(names, key=lambda name: name == LAST):
        (staging / name).replace(out / name)


def _clear_leftovers(folder: Path, prefix: str) -> None:
    """Removes what killed studies of this host left; those of other hosts may still be running."""
    left = re.compile(re.escape(prefix) + r"(\d+)\..*\.tmp")
    for path in folder.iterdir():
        found = left.fullmatch(path.name)
        if found and not _runs(int(found[1])):
            shutil.rmtree(path, ignore_errors=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
