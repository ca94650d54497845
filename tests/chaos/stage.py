"""Where a schedule is played: an output folder on a small disk, runs, and what is done to them."""

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.chaos.processes import SIGNALS, Apart, Marked, leftovers, score
from tests.chaos.schedule import Disturbance, Schedule

PARTS = 200
ROWS_OF_A_PART = 15
DISK_BYTES = 24 << 20
RUN_S = 240
"""A run that takes longer hangs: undisturbed it takes a tenth, on an idle machine."""
ENDINGS = {0, 1, 130, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT}
"""Exit statuses that a disturbed run may have: 2 would blame the user."""
struck: Counter[str] = Counter()
"""What was done over all schedules."""
Undo = Callable[[], None]


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Mounts a small file system there, where root may; tells whether it did."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Stage:
    """One schedule being played."""

    def __init__(self, schedule: Schedule, posts: Path, model: Path, home: Path) -> None:
        self.schedule, self.home = schedule, home
        self.disk = home / "disk"
        self.out = self.disk / "scores"
        self._options = {"--input": posts, "--model": model, "--out": self.out}
        self._dice = random.Random(schedule.number)
        self.apart = schedule.apart
        self._apart = Apart(home) if schedule.apart else None
        self._kept: dict[str, tuple[int, int]] = {}
        self._damaged: dict[str, tuple[int, int]] = {}
        self._undo: list[tuple[float, Undo]] = []
        self.small = False
        self.runs: list[Marked] = []

    def close(self) -> None:
        """Leaves nobody behind, whatever happened."""
        self._undo_all()
        for run in self.runs:
            run.end_all()
        if self._apart:
            self._apart.close()

    def run(self, disturbances: tuple[Disturbance, ...] = ()) -> int:
        """One run from start to end, disturbed or not; returns its exit status."""
        before = len(self.parts())
        marked = self._start()
        until = time.monotonic() + RUN_S
        for disturbance in disturbances:
            self._await(marked, disturbance, before, until)
            self._strike(disturbance, marked)
        while marked.process.poll() is None:
            self._look(until, marked)
        self._undo_all()
        if left := leftovers(marked):
            raise AssertionError(f"the run left processes behind: {left}; {self._story(marked)}")
        self.look()
        status = marked.process.returncode
        assert status in ENDINGS, (status, self._story(marked))
        # Python itself tells of Ctrl-C before it has read our first module
        assert status == -signal.SIGINT or "Traceback" not in self._story(marked), self._story(
            marked
        )
        return status

    def _start(self) -> Marked:
        cluster: dict[str, object] = {"--workers": 2}
        if self._apart:
            self._apart.tend()
            cluster = {"--scheduler": self._apart.address}
        options = {
            **self._options,
            "--shard-rows": ROWS_OF_A_PART,
            "--precision": "fp32",
            "--threads": 1,
            **cluster,
        }
        self.runs.append(score(options, self.home / f"run-{len(self.runs)}.log"))
        return self.runs[-1]

    def _await(self, run: Marked, wanted: Disturbance, before: int, until: float) -> None:
        """Returns when the moment has come, or the run has ended."""
        if wanted.progress is not None:
            goal = before + wanted.progress * (PARTS - before)
            while run.process.poll() is None and len(self.parts()) < goal:
                self._look(until, run)
        moment = time.monotonic() + wanted.delay_s
        while run.process.poll() is None and time.monotonic() < moment:
            self._look(until, run)

    def _look(self, until: float, run: Marked) -> None:
        """A moment passes: what is due is undone, who died is started again."""
        now = time.monotonic()
        for due, undo in [entry for entry in self._undo if entry[0] <= now]:
            undo()
            self._undo.remove((due, undo))
        if self._apart:
            self._apart.tend()
        if now > until:
            self._undo_all()
            with suppress(ProcessLookupError):
                os.kill(run.process.pid, signal.SIGABRT)  # the fault handler tells where it hangs
            time.sleep(1)
            raise AssertionError(f"the run hangs; {self._story(run)}")
        time.sleep(0.02)

    def _undo_all(self) -> None:
        for _, undo in self._undo:
            undo()
        self._undo.clear()

    def _story(self, run: Marked) -> str:
        return f"{self.schedule}\n{run.log.read_text('utf-8', 'replace')[-8000:]}"

    def parts(self) -> list[Path]:
        """Those that stand."""
        return sorted(self.out.glob("part-*"))

    def look(self) -> None:
        """Remembers the parts that stand whole now: they must not be made again."""
        for part in self.parts():
            stamp = _stamp(part)
            if part.name not in self._kept and stamp != self._damaged.get(part.name):
                self._kept[part.name] = stamp

    def made_again(self) -> list[str]:
        """Parts that stood whole once, and are others now."""
        now = {part.name: _stamp(part) for part in self.parts()}
        return [name for name, stood in self._kept.items() if now.get(name) != stood]

    def _strike(self, what: Disturbance, run: Marked) -> None:
        self.look()
        if what.kind == "fill":
            done = self._fill(what.lasts_s)
        elif what.kind == "damage":
            done = self._damage(what.target)
        else:
            done = self._signal(what, run)
        struck[f"{what.kind} {what.target}" if done else "came too late"] += 1

    def _fill(self, lasts_s: float) -> bool:
        """Leaves not a byte on the disk."""
        if not self.small:
            return False
        ballast = self.disk / f"ballast-{time.monotonic_ns()}"
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        self._undo.append((time.monotonic() + lasts_s, lambda: ballast.unlink(missing_ok=True)))
        return True

    def _damage(self, how: str) -> bool:
        parts = self.parts()
        if not parts:
            return False
        part = self._dice.choice(parts)
        damage(part, how, self._dice)
        self._kept.pop(part.name, None)
        if part.exists():
            self._damaged[part.name] = _stamp(part)
        return True

    def _signal(self, what: Disturbance, run: Marked) -> bool:
        processes = self._targets(what.target, run)
        for process in processes:
            with suppress(psutil.Error):
                process.send_signal(SIGNALS[what.kind])
        if what.kind == "stop" and processes:
            self._undo.append((time.monotonic() + what.lasts_s, lambda: _go_on(processes)))
        return bool(processes)

    def _targets(self, name: str, run: Marked) -> list[psutil.Process]:
        if name == "group":
            return run.family()
        if name == "worker":
            homes = self._apart.nannies if self._apart else [run]
            workers = [worker for home in homes for worker in home.workers()]
            return [self._dice.choice(workers)] if workers else []
        marked = run
        if self._apart and name == "scheduler":
            marked = self._apart.scheduler
        elif self._apart and name == "nanny":
            marked = self._dice.choice(self._apart.nannies)
        with suppress(psutil.NoSuchProcess):
            return [] if marked.process.poll() is not None else [psutil.Process(marked.process.pid)]
        return []


def _stamp(part: Path) -> tuple[int, int]:
    """Another file of the same name and content has another; damage has none of its own."""
    stat = part.stat()
    return stat.st_ino, stat.st_mtime_ns


def _go_on(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(signal.SIGCONT)


def damage(part: Path, how: str, dice: random.Random) -> None:
    """Does to a file what disks and people do."""
    whole = part.read_bytes()
    position = dice.randrange(len(whole))
    if how == "gone":
        part.unlink()
        return
    stamp = part.stat()
    if how == "overwritten":
        changed = bytearray(whole)
        for index in range(position, min(position + dice.randint(1, 64), len(whole))):
            changed[index] ^= dice.randint(1, 255)
        part.write_bytes(changed)
    elif how == "longer":
        part.write_bytes(whole + dice.randbytes(dice.randint(1, 99)))
    else:
        part.write_bytes(whole[:position] if how == "cut" else b"")
    os.utime(part, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # a failing disk sets no new time
