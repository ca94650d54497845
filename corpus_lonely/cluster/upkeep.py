"""Keeps the number of jobs or hosts of a cluster up: those that ended are started again."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from distributed import Client, SpecCluster, Status

from corpus_lonely.errors import CorpusLonelyError, first_line

Note = Callable[[str], None]
"""Told what a user may want to know."""
Ended = Callable[[SpecCluster], Awaitable[set[str]]]
"""The names of the members (jobs, hosts) that have ended, as far as is known."""

_FIRST_S, _POLL_S, _LONGEST_S = 3.0, 10.0, 600.0
_SAY_AFTER_S = 20.0
_YOUNG_S = 60.0
"""What is known to have lasted as long did not end because it could not begin."""
_STEP_S = 60.0
"""More than it takes to ask SLURM for a job, or to see that a host is down."""


class Upkeep:
    """Looks after a SpecCluster, whose own scaling never restarts what has ended by itself."""

    def __init__(self, cluster: SpecCluster, ended: Ended, note: Note) -> None:
        """note: told why members cannot be started again, from the cluster's own thread."""
        self._cluster, self._ended, self._note = cluster, ended, note
        self._stop = asyncio.Event()
        self._looked = time.monotonic()
        self._opened = dict.fromkeys(cluster.workers, self._looked)
        # those of the start are told by who started them
        self._told = {name: first_line(why) for name, why in self._failures()}
        self.replaced = 0
        """How many members have ended so far."""
        self.ended: set[Any] = set()
        """The names of those."""

    @contextmanager
    def going_on(self) -> Iterator["Upkeep"]:
        """Looks now and then, in the cluster's own loop, until the block is left."""
        loop: Any = self._cluster.loop
        running = asyncio.run_coroutine_threadsafe(self._run(), loop.asyncio_loop)
        try:
            yield self
        finally:
            self.stop()
            # a step is not broken off: a job would be in the queue that nobody knows of
            with suppress(Exception):  # what a run has made is not lost for what looked after it
                running.result(_STEP_S)

    def stop(self) -> None:
        """Begins no further look, and tells nothing more."""
        loop: Any = self._cluster.loop
        loop.add_callback(self._stop.set)

    async def _run(self) -> None:
        delay = _FIRST_S
        while self._cluster.status == Status.running:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), delay)
                return
            try:
                well = await self._look()
            except Exception as error:  # noqa: BLE001  (a scheduler that is busy, no more processes: later)
                self._tell(None, error)
                well = False
            # what ends as soon as it begins is not begun in a tight circle
            delay = _POLL_S if well else min(2 * max(delay, _POLL_S), _LONGEST_S)

    async def _look(self) -> bool:
        """Starts again what has ended; returns whether none of it had hardly begun."""
        members = self._cluster.workers
        failed = {name for name, member in members.items() if member.status != Status.running}
        gone = (failed | await self._ended(self._cluster)) & members.keys()
        for name in gone:
            with suppress(Exception):  # another takes its place, however it ended
                await members.pop(name).close()
        self.replaced += len(gone)
        self.ended |= gone
        # none may have been seen between its beginning and its end, so long are some delays
        young = any(self._looked - self._opened.get(name, self._looked) < _YOUNG_S for name in gone)
        there = set(members)
        try:
            await self._cluster  # opens what is asked for and not there
        finally:
            self._looked = time.monotonic()
            self._opened.update(dict.fromkeys(members.keys() - there, self._looked))
        for name, why in self._failures():
            self._tell(name, why)
        return not young

    def _failures(self) -> list[tuple[Any, Exception]]:
        """The members that could not be begun with and, instead of raising it, keep why."""
        failures = (
            (name, getattr(one, "failure", None)) for name, one in self._cluster.workers.items()
        )
        return [(name, why) for name, why in failures if why is not None]

    def _tell(self, name: Any, error: BaseException) -> None:
        """Tells why a member, or None for any, is not started again, unless that was told last."""
        if not isinstance(error, CorpusLonelyError):
            error = error.__cause__ or error  # Dask says "failed to start" and keeps what it was
        reason = first_line(error)
        if self._told.get(name) == reason or self._stop.is_set():
            return
        self._told[name] = reason
        with suppress(Exception):  # a terminal that is no more
            self._note(f"Workers cannot be started again, trying on: {reason}")


def wait_for_a_worker(
    client: Client, hopeless: Callable[[], bool], waiting: Callable[[], None]
) -> bool:
    """Whether a worker came; False when none had by the time that it is hopeless.

    waiting: called once when it takes long.
    """
    began = time.monotonic()
    told = False
    while not client.nthreads():
        if hopeless():
            return False
        if not told and time.monotonic() - began > _SAY_AFTER_S:
            waiting()
            told = True
        time.sleep(0.3)
    return True
