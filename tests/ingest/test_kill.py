"""Killed at any moment and run again, the folder is that of an undisturbed run."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from corpus_lonely.ingest.authors import make_key
from corpus_lonely.ingest.run import ingest_dumps
from corpus_lonely.ingest.settings import IngestSettings
from tests.ingest.lines import DAY, MARCH, comment, tree, write_dump
from tests.ingest.test_run import dirty

_KILLED = """
import os, pathlib, shutil, signal, sys
import pyarrow.parquet as pq
from corpus_lonely.ingest import blocks, stage
from corpus_lonely.ingest.run import ingest_dumps
from corpus_lonely.ingest.settings import IngestSettings

stage.STAGED_BYTES = 4000  # several blocks a file
out, key, events, overwrite, *files = sys.argv[1:]
left = int(events)
settings = IngestSettings(author_key=pathlib.Path(key), overwrite=overwrite == "True")

def counted(function):
    def call(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return call

os.fsync = counted(os.fsync)
pathlib.Path.replace = counted(pathlib.Path.replace)
pathlib.Path.unlink = counted(pathlib.Path.unlink)
pathlib.Path.rmdir = counted(pathlib.Path.rmdir)
shutil.rmtree = counted(shutil.rmtree)
blocks.write_staged = counted(blocks.write_staged)
pq.write_table = counted(pq.write_table)
pq.ParquetWriter.write_table = counted(pq.ParquetWriter.write_table)
ingest_dumps(files, out, settings)
print(int(events) - left)
"""


_SEVERAL = """
import pathlib, sys
from corpus_lonely.ingest import stage
from corpus_lonely.ingest.run import ingest_dumps
from corpus_lonely.ingest.settings import IngestSettings

stage.STAGED_BYTES = 20_000
out, key, *files = sys.argv[1:]
ingest_dumps(files, out, IngestSettings(author_key=pathlib.Path(key)), processes=2)
"""


@pytest.fixture
def undisturbed(tmp_path: Path) -> Path:
    """A folder that took a file, and then two more."""
    make_key(tmp_path / "key")
    for number in range(3):
        write_dump(tmp_path / f"{number}.zst", dirty(number, count=60))
    ingest(tmp_path, tmp_path / "undisturbed", range(1))
    ingest(tmp_path, tmp_path / "undisturbed", range(3))
    return tmp_path / "undisturbed"


def ingest(home: Path, out: Path, numbers: range) -> None:
    files = [home / f"{number}.zst" for number in numbers]
    ingest_dumps(files, out, IngestSettings(author_key=home / "key"))


def killed(
    home: Path, out: Path, event: int, *, overwrite: bool = False
) -> subprocess.CompletedProcess[str]:
    files = [str(home / f"{number}.zst") for number in range(3)]
    arguments = [str(out), str(home / "key"), str(event), str(overwrite), *files]
    return subprocess.run(
        [sys.executable, "-c", _KILLED, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def check(home: Path, out: Path, undisturbed: Path) -> None:
    ingest(home, out, range(3))
    assert same_folders(out, undisturbed)


def test_killed_again_and_again(tmp_path: Path, undisturbed: Path) -> None:
    out = tmp_path / "posts"
    ingest(tmp_path, out, range(1))
    events = int(killed(tmp_path, tmp_path / "counted", 10**9).stdout)
    chance = random.Random(11)
    for _ in range(4):
        done = killed(tmp_path, out, chance.randrange(1, events))
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
    check(tmp_path, out, undisturbed)


@pytest.mark.parametrize("kills", [2, pytest.param(30, marks=pytest.mark.chaos)])
def test_killed_at_random_while_several_processes_read(tmp_path: Path, kills: int) -> None:
    """Killed from outside at any moment of a run; its processes end with it, and no block is lost or doubled."""
    make_key(tmp_path / "key")
    files = [str(tmp_path / f"{number}.zst") for number in range(3)]
    for number, file in enumerate(files):
        write_dump(Path(file), dirty(number, count=20 * (kills + 10)))
    ingest(tmp_path, tmp_path / "undisturbed", range(3))

    def command(out: Path) -> list[str]:
        return [sys.executable, "-c", _SEVERAL, str(out), str(tmp_path / "key"), *files]

    began = time.monotonic()
    subprocess.run(command(tmp_path / "timed"), check=True)
    takes = time.monotonic() - began
    chance, out, hit = random.Random(kills), tmp_path / "posts-0", 0
    for attempt in range(4 * kills):
        if kill_after(takes * chance.uniform(0.1, 1), command(out)):
            hit += 1
        else:  # it had gone on from so far that it reached its end
            assert same_folders(out, tmp_path / "undisturbed")
            out = tmp_path / f"posts-{attempt + 1}"
        if hit == kills:
            break
    assert hit == kills
    assert subprocess.run(command(out), check=False).returncode == 0
    assert same_folders(out, tmp_path / "undisturbed")


def kill_after(seconds: float, command: list[str]) -> bool:
    """Whether it came to that; waits until all its processes have ended."""
    process = subprocess.Popen(command)
    killed_at = time.monotonic() + seconds
    started: list[psutil.Process] = []
    while process.poll() is None and time.monotonic() < killed_at:
        started = psutil.Process(process.pid).children(recursive=True) or started
        time.sleep(0.02)
    process.kill()
    ended = process.wait()
    assert ended in (0, -signal.SIGKILL)
    assert not psutil.wait_procs(started, timeout=20)[1]
    return ended != 0


def same_folders(out: Path, other: Path) -> bool:
    """Byte for byte, with the folders beside them."""
    beside, other_beside = (folder.with_name(f"{folder.name}.about") for folder in (out, other))
    return tree(out) == tree(other) and tree(beside) == tree(other_beside)


def test_killed_while_months_vanish(tmp_path: Path, undisturbed: Path) -> None:
    """The last moments of an --overwrite run, from the removal of a month's folder on."""
    old = write_dump(tmp_path / "old.json", [comment(created_utc=MARCH - DAY)])
    settings = IngestSettings(author_key=tmp_path / "key", overwrite=True)
    ingest_dumps([old], tmp_path / "counted", settings)
    events = int(killed(tmp_path, tmp_path / "counted", 10**9, overwrite=True).stdout)
    halfway = 0
    for event in range(events - 6, events):
        out = tmp_path / f"posts-{event}"
        ingest_dumps([old], out, settings)
        done = killed(tmp_path, out, event, overwrite=True)
        assert done.returncode == -signal.SIGKILL, done.stderr
        vanished = not (out / "month=2020-02").exists()
        halfway += vanished and (tmp_path / f"posts-{event}.about" / "journal.json").exists()
        check(tmp_path, out, undisturbed)
    assert halfway > 1


@pytest.mark.slow
@pytest.mark.long
def test_killed_at_every_other_moment(tmp_path: Path, undisturbed: Path) -> None:
    event, kills = 1, 0
    while True:
        event += 2  # every other one: each takes a second
        out = tmp_path / f"posts-{event}"
        ingest(tmp_path, out, range(1))
        done = killed(tmp_path, out, event)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        kills += 1
        check(tmp_path, out, undisturbed)
    assert kills > 25
