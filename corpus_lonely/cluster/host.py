"""The workers of one host, for a scheduler elsewhere: what SLURM jobs, `srun` and SSH start.

They are planned, pinned and threaded as those of `--cluster local` are, each on its own host.
"""

import asyncio
import json
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, TextIO

import dask
from distributed import Security, Status

from corpus_lonely.cluster.gpus import count_gpus
from corpus_lonely.cluster.handle import LOOPBACK
from corpus_lonely.cluster.nanny import interrupts_heard
from corpus_lonely.cluster.processes import DASK_CONFIG, nanny_options, plan_workers
from corpus_lonely.cluster.security import Credentials
from corpus_lonely.cluster.settings import ClusterSettings
from corpus_lonely.cluster.slots import CLOSE_S, HostNanny, Slots
from corpus_lonely.errors import InputError, ScoringError

_SCHEDULER_TIMEOUT_S = 60
_RETIRE_S = 5
"""And thrice `CLOSE_S` at most: SLURM kills what is left 30 s after it asked a job to end."""


@dataclass(frozen=True)
class HostSettings:
    """Which workers this host starts, and for whom."""

    scheduler: str
    """Address of the scheduler."""
    security: Security
    workers: int | None = None
    threads: int | None = None
    bytes_per_worker: int = 0
    """What a worker needs; fewer are started when memory is short. 0: not known."""
    name: str | None = None
    """Of the workers; None: the host's. Their number on the host follows."""
    life: tuple[float, float] | None = None
    """Seconds that a worker lives, and how far each may be off."""
    interface: str | None = None
    gpus: bool = True


def serve(settings: HostSettings, lifeline: TextIO | None = None) -> None:
    """Runs workers until their lives, the scheduler, or a SIGTERM ends them.

    lifeline: they end with it too: what SSH's other end holds open.
    Raises InputError when no scheduler answers.
    """
    with dask.config.set(DASK_CONFIG), interrupts_heard():
        asyncio.run(_serve(settings, lifeline))


def hand_over(credentials: Credentials) -> str:
    """One line for the standard input of a host, so that no key is in a file or a process list."""
    return json.dumps(asdict(credentials)) + "\n"


def take_over(line: str) -> Security:
    """What `hand_over` sent; InputError when it is something else."""
    try:
        return Credentials(**json.loads(line)).security()
    except (TypeError, ValueError):
        raise InputError("the standard input holds no certificates of a run") from None


def dask_setup(worker: Any) -> None:  # noqa: ARG001  (Dask's hook for preloaded modules)
    """Leaves SIGTERM to the process that started the worker: SLURM sends it to both.

    So a job that is ended takes its workers from the scheduler in order, and no shard is blamed.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


async def _serve(settings: HostSettings, lifeline: TextIO | None) -> None:
    slots = Slots(settings.scheduler, _options(settings), settings.life)
    stop = asyncio.Event()
    _listen(stop, lifeline)
    stopping = asyncio.create_task(stop.wait())
    starting = asyncio.create_task(_start(slots.nannies, settings.scheduler))
    try:
        await _first_of(starting, stopping)
        # a nanny that is broken off as it starts never ends
        await asyncio.wait([starting], timeout=CLOSE_S)
        if starting.done():
            starting.result()
            await _keep(slots, stopping)
        if stop.is_set():
            await _retire(slots.nannies)
    finally:
        stopping.cancel()
        closing = (nanny.close(timeout=CLOSE_S) for nanny in slots.nannies)
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*closing, return_exceptions=True), 2 * CLOSE_S)
        _kill_workers()


def _kill_workers() -> None:
    """Ends what closing did not reach: a nanny broken off as it starts forgets its worker.

    This process would wait for it as it exits, and it for a scheduler that is no more.
    """
    for worker in multiprocessing.active_children():
        worker.kill()


async def _start(nannies: list[HostNanny], scheduler: str) -> None:
    try:
        await asyncio.gather(*nannies)
    except (OSError, TimeoutError, RuntimeError) as error:
        if isinstance(
            error.__cause__, RuntimeError
        ):  # Dask's: the worker is gone, not the scheduler
            raise ScoringError(
                "a worker process ended while it started",
                where=socket.gethostname(),
                hint="It may be short of memory",
            ) from error
        raise InputError(
            f"no scheduler answers there within {_SCHEDULER_TIMEOUT_S} s",
            where=scheduler,
            hint="Is it up, and does this host reach that address?",
        ) from error


async def _keep(slots: Slots, stopping: asyncio.Task[Any]) -> None:
    keeping = asyncio.create_task(slots.keep())
    await _first_of(keeping, stopping)
    if keeping.done():
        keeping.result()
    keeping.cancel()
    await asyncio.wait([keeping])


async def _first_of(*tasks: asyncio.Task[Any]) -> None:
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


def _options(settings: HostSettings) -> list[dict[str, Any]]:
    gpus = count_gpus() if settings.gpus else 0
    here = ClusterSettings(workers=settings.workers, threads=settings.threads)
    workers, threads = plan_workers(here, settings.bytes_per_worker, gpus)
    name = settings.name or f"{socket.gethostname()}-{os.getpid()}"
    common = {
        "interface": settings.interface,
        "protocol": settings.scheduler.partition("://")[0],
        "death_timeout": _SCHEDULER_TIMEOUT_S,
        "dashboard_address": f"{LOOPBACK}:0",  # else it would be open to the network, without TLS
        **_life(settings),
    }
    unseen = {} if settings.gpus else {"CUDA_VISIBLE_DEVICES": ""}  # else all would take the first
    made = [nanny_options(index, threads, gpus, settings.security) for index in range(workers)]
    return [
        {
            **options,
            **common,
            "env": {**options["env"], **unseen},
            "name": name if workers == 1 and settings.name else f"{name}-{index}",
            "preload": ["corpus_lonely.cluster", "corpus_lonely.cluster.host"],
        }
        for index, options in enumerate(made)
    ]


def _life(settings: HostSettings) -> dict[str, Any]:
    if settings.life is None:
        return {}
    seconds, stagger = settings.life
    return {
        "lifetime": f"{seconds} s",
        "lifetime_stagger": f"{stagger} s",
        "lifetime_restart": False,
    }


def _listen(stop: asyncio.Event, lifeline: TextIO | None) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if lifeline is not None:
        watch = threading.Thread(target=_until_end, args=(lifeline, loop, stop.set), daemon=True)
        watch.start()


def _until_end(lifeline: TextIO, loop: asyncio.AbstractEventLoop, then: Callable[[], None]) -> None:
    while lifeline.readline():
        pass
    with suppress(RuntimeError):  # the loop has ended already
        loop.call_soon_threadsafe(then)


async def _retire(nannies: list[HostNanny]) -> None:
    """Takes the workers from the scheduler in order: what they were doing is given to others."""
    with suppress(TimeoutError):
        await asyncio.wait_for(_ask_to_retire(nannies), _RETIRE_S)


async def _ask_to_retire(nannies: list[HostNanny]) -> None:
    addresses = [nanny.worker_address for nanny in nannies if nanny.worker_address]
    for nanny in nannies:
        if addresses and nanny.status == Status.running:
            # it may close as it asks, and the scheduler may be gone
            with suppress(Exception):
                await nanny.scheduler.retire_workers(
                    workers=addresses, remove=True, close_workers=False
                )
                return
