"""Worker processes of this machine, on CPU or GPU, that end with this process however it ends."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask
from distributed import Client, Scheduler, Security, SpecCluster

from corpus_lonely.cluster.gpus import count_gpus
from corpus_lonely.cluster.handle import DASHBOARD, LOOPBACK, Cluster, watchable
from corpus_lonely.cluster.nanny import Crew
from corpus_lonely.cluster.processes import DASK_CONFIG, nanny_options, plan_workers
from corpus_lonely.cluster.security import make_credentials
from corpus_lonely.cluster.settings import ClusterSettings
from corpus_lonely.cluster.upkeep import Note, Upkeep
from corpus_lonely.errors import ScoringError, first_line


@contextmanager
def local_cluster(
    settings: ClusterSettings, bytes_per_worker: int, note: Note
) -> Iterator[Cluster]:
    """Workers of this machine, talking over loopback."""
    gpus = count_gpus() if settings.gpus else 0
    workers, threads = plan_workers(settings, bytes_per_worker, gpus)
    # others on this machine reach its loopback too, so even here the wire asks for a certificate
    security = make_credentials().security()
    nannies = [
        nanny_options(index, threads, gpus, security, pinned=settings.pinned)
        for index in range(workers)
    ]
    with dask.config.set(DASK_CONFIG):
        crew = Crew()
        try:
            cluster = _spec(crew, nannies, security, settings.debug)
        except BaseException:  # Ctrl-C too
            crew.dismiss()
            raise
        try:
            with Upkeep(cluster, _none, note).going_on() as upkeep:
                try:
                    with Client(cluster, set_as_default=False) as client:
                        yield Cluster(client, cluster.scheduler_address, watchable(client))
                finally:
                    upkeep.stop()  # it would tell of those that are dismissed
                    crew.dismiss()
        finally:
            cluster.close()


async def _none(_cluster: SpecCluster) -> set[str]:
    """What of the members has ended that does not know it: a nanny in this process always knows."""
    return set()


def scheduler_spec(security: Security, **options: Any) -> dict[str, Any]:
    """A scheduler in this process, asking for certificates, its dashboard on loopback."""
    common = {"protocol": "tls://", "security": security, "dashboard_address": DASHBOARD}
    return {"cls": Scheduler, "options": {"port": 0, **common, **options}}


@contextmanager
def ports_may_differ() -> Iterator[None]:
    """Another dashboard port is taken when this one is in use; the address printed is the true one."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Port .* is already in use")
        yield


def silence(debug: bool) -> int | None:
    """Dask's `silence_logs`."""
    return None if debug else logging.CRITICAL


def _spec(
    crew: Crew, nannies: list[dict[str, Any]], security: Security, debug: bool
) -> SpecCluster:
    common = {"host": LOOPBACK, "protocol": "tls://", "silence_logs": silence(debug)}
    specs = {
        index: {"cls": crew.hire, "options": {**options, **common}}
        for index, options in enumerate(nannies)
    }
    with ports_may_differ():
        try:
            return SpecCluster(
                workers=specs,
                scheduler=scheduler_spec(security, host=LOOPBACK),
                shutdown_on_close=False,  # at exit, of one that was interrupted as it started
                security=security,
                silence_logs=silence(debug),
            )
        except RuntimeError as error:
            raise ScoringError(
                f"a worker process ended while it started ({first_line(error)})",
                hint="It may be short of memory. Run the same command again to go on",
            ) from error
