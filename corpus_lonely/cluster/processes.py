"""Worker processes of one host: how many, what each of them sees, and how Dask is to treat them."""

import logging
import signal
from typing import Any

import psutil
from dask.system import CPU_COUNT
from distributed import Security
from distributed.system import MEMORY_LIMIT

from corpus_lonely.cluster.gpus import pin
from corpus_lonely.cluster.settings import ClusterSettings

MAX_DEATHS = 3
"""A task whose workers died this often is given up."""

DASK_CONFIG: dict[str, Any] = {
    "distributed.scheduler.allowed-failures": MAX_DEATHS - 1,
    "distributed.scheduler.worker-saturation": 1.0,  # what waits at a worker is blamed if it dies
    # results are a few numbers, so spilling and pausing cannot free anything, and a worker that is
    # killed for its model's size would be killed again
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    # a worker that died and is not back after 15 s would never come back: its nanny would be closed, though
    # where much is going on, or Python lies on a network's disk, it takes longer than that to start
    "distributed.deploy.lost-worker-timeout": "1000 days",
    # these would be set in this process too, where a training may follow
    "distributed.nanny.pre-spawn-environ": {},
}
"""Set around whatever starts a scheduler or workers."""
SHARDS_PER_GPU = 3
"""Shards that a worker with a GPU has in hand: one being computed, one before it, one after it."""
_THREAD_COUNTS = ("OMP", "MKL", "OPENBLAS", "RAYON")


def plan_workers(settings: ClusterSettings, bytes_per_worker: int, gpus: int) -> tuple[int, int]:
    """How many worker processes to start here, and the CPU threads of each.

    On CPU one process per core: two processes of one thread do 1.7 times the work of one of two.
    """
    memory = min(MEMORY_LIMIT, psutil.virtual_memory().available)
    fitting = memory // bytes_per_worker if bytes_per_worker else CPU_COUNT
    workers = settings.workers or gpus or max(1, min(CPU_COUNT, fitting))
    return workers, settings.threads or max(1, CPU_COUNT // workers)


def environment(index: int, threads: int, gpus: int) -> dict[str, str]:
    """What a worker's process sees, set before it imports torch."""
    counts = {f"{library}_NUM_THREADS": str(threads) for library in _THREAD_COUNTS}
    return {**counts, "POLARS_MAX_THREADS": str(threads), **pin(index, gpus)}


def nanny_options(
    index: int, threads: int, gpus: int, security: Security | None, *, pinned: bool = True
) -> dict[str, Any]:
    """What every `Nanny` of ours is made with, wherever it stands."""
    return {
        "security": security,
        "env": environment(index, threads, gpus if pinned else 0),
        # on a GPU the next shard is read and cut, and the last one written, while one is computed; on
        # a CPU all of that would take the cores from the model
        "nthreads": SHARDS_PER_GPU if gpus else 1,
        "memory_limit": 0,
        "dashboard": False,
        "preload": ["corpus_lonely.cluster"],
    }


def dask_setup(worker: Any) -> None:  # noqa: ARG001  (Dask's hook for preloaded modules)
    """Leaves Ctrl-C to the driver, in workers that were started without our `Nanny` too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def quieten(debug: bool) -> None:
    """Keeps Dask's own log away from the user's terminal."""
    if not debug:
        # Dask gives some a level of their own
        for name in (
            "distributed",
            "distributed.client",
            "tornado",
            "asyncio",
            "bokeh",
            "asyncssh",
        ):
            logging.getLogger(name).setLevel(logging.CRITICAL)
