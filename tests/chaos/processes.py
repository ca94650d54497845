"""The processes of a schedule: the command, and a Dask cluster that stands apart from it."""

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path

import psutil

_MARK = "CORPUS_LONELY_CHAOS"
_DASK = "from distributed.cli.dask_{name} import main; main()"
_SCORE = "from corpus_lonely.cli.main import main; main()"
LEFTOVER_S = 30
"""Workers whose driver was killed end by themselves; so long they may take on a busy machine."""


class Marked:
    """A process in a session of its own, and all that it starts: they inherit a mark."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        self.log, self._mark = log, uuid.uuid4().hex
        environment = {**os.environ, _MARK: self._mark, "PYTHONFAULTHANDLER": "1"}
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                arguments, stdout=file, stderr=file, env=environment, start_new_session=True
            )

    def family(self) -> list[psutil.Process]:
        """The process and all its descendants that still are, also those whose parent is gone."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            return process.environ().get(_MARK) == self._mark
        except (psutil.Error, OSError):
            return False

    def workers(self) -> list[psutil.Process]:
        """Those that Dask's nannies have started."""
        return [process for process in self.family() if _is_worker(process)]

    def end_all(self) -> None:
        """Kills whatever is left."""
        for process in self.family():
            with suppress(psutil.Error):
                process.kill()
        self.process.wait(30)


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def leftovers(marked: Marked) -> list[str]:
    """What is left of an ended command after a while."""
    until = time.monotonic() + LEFTOVER_S
    while (left := marked.family()) and time.monotonic() < until:
        time.sleep(0.1)
    return [str(process) for process in left]


def score(options: dict[str, object], log: Path) -> Marked:
    """The command `corpus-lonely score`."""
    words = [str(word) for pair in options.items() for word in pair]
    return Marked([sys.executable, "-c", _SCORE, "score", *words], log)


class Apart:
    """A scheduler and two `dask worker`s, each with its nanny; who dies is started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self._port}"
        self.scheduler = self._start_scheduler()
        self.nannies = [self._start_worker(index) for index in range(2)]

    def _start_scheduler(self) -> Marked:
        return self._dask("scheduler", "--port", str(self._port))

    def _start_worker(self, index: int) -> Marked:
        local = str(self._folder / f"local-{index}")
        return self._dask(
            "worker",
            self.address,
            "--nthreads",
            "1",
            "--memory-limit",
            "0",
            "--local-directory",
            local,
        )

    def _dask(self, name: str, *words: str) -> Marked:
        code = _DASK.format(name=name)
        fixed = ["--host", "127.0.0.1", "--no-dashboard"]
        return Marked([sys.executable, "-c", code, *words, *fixed], self._folder / f"{name}.log")

    def tend(self) -> None:
        """Starts again what has ended."""
        if self.scheduler.process.poll() is not None:
            self.scheduler = self._start_scheduler()
        for index, nanny in enumerate(self.nannies):
            if nanny.process.poll() is not None:
                nanny.end_all()  # a worker whose nanny was killed ends by itself, but a little later
                self.nannies[index] = self._start_worker(index)

    def close(self) -> None:
        """Ends all of it."""
        for marked in (*self.nannies, self.scheduler):
            marked.end_all()


SIGNALS = {
    "kill": signal.SIGKILL,
    "term": signal.SIGTERM,
    "int": signal.SIGINT,
    "stop": signal.SIGSTOP,
}
