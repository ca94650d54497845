"""Dask's nanny, whose workers no Ctrl-C reaches, not even before their Python has begun."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from typing import Any

import distributed
from distributed import Status

_INTERRUPT = {signal.SIGINT}
_DISMISS_S = 3.0
"""More than it takes to start a process and to see it killed, also on a busy machine."""


class Nanny(distributed.Nanny):
    """A nanny for each worker of ours, wherever it stands.

    A terminal sends Ctrl-C to all that it started, and it is the driver's to answer. `dask_setup` comes
    too late: a Python that has hardly begun would answer at length. So SIGINT is blocked in the
    thread of the nanny's loop, for good: the thread that starts the process inherits that, and the
    process does, while all other threads go on hearing it.
    """

    starting = 0
    """How often `instantiate` is at work: again while it was, when a worker dies as it starts."""
    dismissed = False
    """Whether no other may be started."""

    async def instantiate(self) -> Status:
        """Starts a worker process, the first or another one."""
        self.starting += 1
        try:
            if self.dismissed:
                raise RuntimeError("dismissed")
            resource_tracker.ensure_running()  # which would unblock it as it starts
            signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPT)
            status: Status = await super().instantiate()
            return status
        finally:
            self.starting -= 1

    def at_rest(self) -> bool:
        """Whether no worker process is there or on its way, and what it shared is put away."""
        process = self.process
        return not self.starting and (process is None or process.process is None)


class Crew:
    """The nannies of a cluster in this process; they can be dismissed at any time."""

    def __init__(self) -> None:
        self._nannies: list[Nanny] = []
        self._dismissed = False

    def hire(self, *arguments: Any, **options: Any) -> Nanny:
        """Another nanny."""
        nanny = Nanny(*arguments, **options)
        self._nannies.append(nanny)
        nanny.dismissed = self._dismissed
        return nanny

    def dismiss(self) -> None:
        """Kills the workers at once: idle ones have nothing to say, and a part is whole or not there.

        None is left behind that begins when this process has ended: it would miss what it was
        promised, and tell so at length.
        """
        self._dismissed = True
        for nanny in list(self._nannies):
            nanny.dismissed = True
        until = time.monotonic() + _DISMISS_S
        left = list(self._nannies)
        while left and time.monotonic() < until:
            for pid in filter(None, (nanny.pid for nanny in left)):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)
            left = [nanny for nanny in left if not nanny.at_rest()]


@contextmanager
def interrupts_heard() -> Iterator[None]:
    """Another thread takes SIGINT, for a main thread that runs the nannies' loop itself.

    That is enough to wake asyncio's `add_signal_handler`. What was blocked before is again after it.
    """
    over = threading.Event()
    threading.Thread(target=over.wait, name="hears SIGINT", daemon=True).start()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        over.set()
