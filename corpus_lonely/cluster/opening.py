"""Opens the cluster that the settings ask for, whichever kind it is."""

import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec

from corpus_lonely.cluster.existing import existing_cluster
from corpus_lonely.cluster.handle import Cluster
from corpus_lonely.cluster.local import local_cluster
from corpus_lonely.cluster.processes import quieten
from corpus_lonely.cluster.settings import ClusterSettings
from corpus_lonely.cluster.upkeep import Note
from corpus_lonely.errors import SettingsError


@contextmanager
def open_cluster(
    settings: ClusterSettings, bytes_per_worker: int = 0, note: Note | None = None
) -> Iterator[Cluster]:
    """Worker processes here, in SLURM jobs or on SSH hosts, or a client of a scheduler that exists.

    bytes_per_worker: what one worker will need at most; fewer are started when memory is short.
    note: told what is waited for, where that may take long, and why workers cannot be started again.
    The workers end with this process, however it ends; when the block is left by an error or Ctrl-C,
    those of this machine are killed and SLURM jobs are cancelled at once.
    Raises InputError when a scheduler does not answer or its workers cannot do our work, SettingsError
    when a package is not installed.
    """
    quieten(settings.debug)
    with _kind(settings, bytes_per_worker, note or (lambda _: None)) as cluster:
        yield cluster


def _kind(
    settings: ClusterSettings, bytes_per_worker: int, note: Note
) -> AbstractContextManager[Cluster]:
    if settings.exists:
        return existing_cluster(settings)
    if settings.kind == "slurm":
        _need("dask_jobqueue", "slurm")
        with _interrupt_kept():
            from corpus_lonely.cluster.slurm import slurm_cluster  # noqa: PLC0415  (an extra)

        return slurm_cluster(settings, bytes_per_worker, note)
    if settings.kind == "ssh":
        _need("asyncssh", "ssh")
        from corpus_lonely.cluster.ssh import ssh_cluster  # noqa: PLC0415  (an extra)

        return ssh_cluster(settings, bytes_per_worker, note)
    return local_cluster(settings, bytes_per_worker, note)


@contextmanager
def _interrupt_kept() -> Iterator[None]:
    """For dask-jobqueue: its import makes Ctrl-C end the process in silence, with exit status 0."""
    kept = signal.getsignal(signal.SIGINT)
    yield
    if signal.getsignal(signal.SIGINT) is not kept:
        signal.signal(signal.SIGINT, kept)


def _need(module: str, extra: str) -> None:
    if find_spec(module) is None:
        raise SettingsError(
            f"--cluster {extra} needs the package {module.replace('_', '-')}, which is not installed",
            hint=f"Run: pip install 'corpus-lonely[{extra}]'",
        )
