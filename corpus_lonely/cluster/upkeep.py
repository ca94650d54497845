"""Keeps the number of jobs or hosts of a cluster up: those that ended are started again."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from distributed import Client, SpecCluster, Status

from corpus_lonely.errors import CorpusLonelyError

Note = Callable[[str], None]
"""Told what a user may want to know."""
Ended = Callable[[SpecCluster], Awaitable[set[str]]]
"""The names of the members (jobs, hosts) that have ended, as far as is known."""

_FIRST_S, _POLL_S, _LONGEST_S = 3.0, 10.0, 600.0
_SAY_AFTER_S = 20.0
_STEP_S = 60.0
"""More than it takes to ask SLURM for a job, or to see that a host is down."""


class Upkeep:
    """Looks after a SpecCluster, whose own scaling never restarts what has ended by itself."""

    def __init__(self, cluster: SpecCluster, ended: Ended) -> None:
        self._cluster, self._ended = cluster, ended
        self._stop = asyncio.Event()
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
            # a step is not broken off: a job would be in the queue that nobody knows of
            loop.add_callback(self._stop.set)
            with suppress(TimeoutError):
                running.result(_STEP_S)

    async def _run(self) -> None:
        delay = _FIRST_S
        while self._cluster.status == Status.running:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), delay)
                return
            gone = await self._look()
            # what ends as soon as it begins is not begun in a tight circle
            delay = min(2 * max(delay, _POLL_S), _LONGEST_S) if gone else _POLL_S

    async def _look(self) -> bool:
        """Starts again what has ended; returns whether anything had."""
        members = self._cluster.workers
        failed = {name for name, member in members.items() if member.status != Status.running}
        gone = (failed | await self._ended(self._cluster)) & members.keys()
        for name in gone:
            await members.pop(name).close()
        self.replaced += len(gone)
        self.ended |= gone
        try:
            await self._cluster  # opens what is asked for and not there
        except (OSError, RuntimeError, CorpusLonelyError):
            return True  # a scheduler that is busy, a host that is down: later
        return bool(gone)


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
