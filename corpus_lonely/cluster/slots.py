"""The slots of a host's workers: each is filled again when its nanny has closed before its time."""

import asyncio
import socket
import time
from contextlib import suppress
from typing import Any

from distributed import Status
from distributed.comm.core import connect

from corpus_lonely.cluster.nanny import Nanny
from corpus_lonely.cluster.processes import MAX_DEATHS
from corpus_lonely.errors import ScoringError, first_line

CLOSE_S = 6
_FIRST_S, _LONGEST_S = 3.0, 60.0
"""Before a slot is filled again, and doubled up to the second while workers end within it."""
_RETIRED = {"worker-lifetime-reached", "scheduler-close-worker", "scheduler-remove-worker"}
_SCHEDULER_CLOSES = "scheduler-close"


class HostNanny(Nanny):
    """Ends when it cannot start its worker again; Dask's would wait for ever, or try for ever."""

    failure: str | None = None
    """Why it could not."""
    reason: str | None = None
    """Why its worker left, as the worker said."""
    _tries = 0

    def close_gracefully(self, reason: str = "nanny-close-gracefully") -> None:
        """Called by a worker that leaves for good."""
        self.reason = reason
        super().close_gracefully(reason)

    async def instantiate(self) -> Status:
        """Starts a worker process, the first or another one."""
        if self.status != Status.running:
            return await super().instantiate()
        self._tries += 1
        if self._tries > MAX_DEATHS:
            return await self._give_up(f"{MAX_DEATHS} ended while they started")
        try:
            status = await super().instantiate()
        except Exception as error:  # noqa: BLE001  (whatever the worker's own process ran into)
            return await self._give_up(first_line(error.__context__ or error))
        if status == Status.failed:  # not even a process: Dask would not try again
            return await self._give_up("its process could not be made")
        if status == Status.running:
            self._tries = 0
        return status

    async def _give_up(self, failure: str) -> Status:
        self.failure = self.failure or failure
        with suppress(AssertionError):  # Dask's, about a process that never was
            await self.close(timeout=CLOSE_S, reason="worker-not-started-again")
        return Status.failed


class Slots:
    """Looks after the slots of a host, each for itself."""

    def __init__(
        self, scheduler: str, options: list[dict[str, Any]], life: tuple[float, float] | None
    ) -> None:
        self._scheduler, self._options, self._life = scheduler, options, life
        self._began = time.monotonic()
        self._starting: set[asyncio.Task[None]] = set()
        self.nannies = [HostNanny(scheduler, **slot) for slot in options]
        """Of each slot, the last."""

    async def keep(self) -> None:
        """Fills slots again until all lives are over, or the scheduler is gone.

        Raises ScoringError when no worker is left, and none could be started again.
        """
        keeping = [asyncio.create_task(self._keep(slot)) for slot in range(len(self.nannies))]
        try:
            with suppress(_SchedulerGoneError):
                await asyncio.gather(*keeping)
        finally:
            for task in keeping:
                task.cancel()
            await asyncio.gather(*keeping, return_exceptions=True)
            if self._starting:  # a nanny that is broken off as it starts never ends
                await asyncio.wait(self._starting, timeout=CLOSE_S)

    async def _keep(self, slot: int) -> None:
        began, delay = self._began, _FIRST_S / 2
        while True:
            nanny = self.nannies[slot]
            await nanny.finished()  # type: ignore[no-untyped-call]
            if nanny.reason in _RETIRED or self._left() == 0:
                return
            self._see_hope()
            answers = await self._scheduler_answers(nanny)
            if not (answers or any(other.status == Status.running for other in self.nannies)):
                raise _SchedulerGoneError
            ended_soon = time.monotonic() - began < _LONGEST_S
            delay = min(2 * delay, _LONGEST_S) if ended_soon else _FIRST_S
            await asyncio.sleep(delay)
            if (left := self._left()) == 0:
                return
            began = time.monotonic()
            await self._fill(slot, left)

    def _left(self) -> float | None:
        """Seconds of life for a worker that starts now; 0: too few, None: without end."""
        if self._life is None:
            return None
        seconds, stagger = self._life
        left = seconds - (time.monotonic() - self._began)
        return left if left > stagger else 0

    def _see_hope(self) -> None:
        failures = [nanny.failure for nanny in self.nannies if nanny.failure]
        if failures and all(nanny.failure or nanny.reason in _RETIRED for nanny in self.nannies):
            raise ScoringError(
                f"a worker died, and could not be started again ({failures[-1]})",
                where=socket.gethostname(),
            )

    async def _scheduler_answers(self, nanny: HostNanny) -> bool:
        if nanny.reason == _SCHEDULER_CLOSES:
            return False
        try:
            comm = await connect(self._scheduler, **nanny.connection_args)
        except OSError:
            return False
        await comm.close()
        return True

    async def _fill(self, slot: int, left: float | None) -> None:
        options = self._options[slot]
        if left is not None:
            options = {**options, "lifetime": f"{left} s"}
        try:
            self.nannies[slot] = HostNanny(self._scheduler, **options)
        except OSError as error:  # no folder for its files
            self.nannies[slot].failure = first_line(error)
            return
        starting = asyncio.create_task(_start(self.nannies[slot]))
        self._starting.add(starting)
        starting.add_done_callback(self._starting.discard)
        await asyncio.shield(starting)


class _SchedulerGoneError(Exception):
    """It closes, or does not answer."""


async def _start(nanny: HostNanny) -> None:
    try:
        await nanny
    except Exception as error:  # noqa: BLE001  (whatever the worker's own process ran into)
        nanny.failure = first_line(error.__cause__ or error)
        with suppress(Exception):
            await nanny.close(timeout=CLOSE_S)
