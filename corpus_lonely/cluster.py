"""Dask clusters in one place: worker processes of this machine, on CPU or GPU, or a scheduler that exists."""

import ipaddress
import logging
import os
import shutil
import signal
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dask
import psutil
from dask.system import CPU_COUNT
from distributed import Client, Nanny, Scheduler, Security, SpecCluster
from distributed.system import MEMORY_LIMIT

from corpus_lonely.errors import InputError, ScoringError, SettingsError, first_line

MAX_DEATHS = 3
"""A task whose workers died this often is given up."""
CONNECT_TIMEOUT_S = 10
_WORKERS_TIMEOUT_S = 60
_LOOPBACK = "127.0.0.1"
_DASHBOARD_PORT = 8787


@dataclass(frozen=True)
class ClusterSettings:
    """Where the work goes."""

    workers: int | None = None
    """Worker processes here; None: one per GPU, else as many as cores and memory allow."""
    threads: int | None = None
    """CPU threads of each worker; None: the cores split among the workers here."""
    scheduler: str | None = None
    """Address of a scheduler that exists, instead of workers here."""
    insecure: bool = False
    """Allow an address that is neither TLS nor loopback: who reaches it can run code there."""
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    gpus: bool = True
    """Use the GPUs that are here, a worker each."""
    debug: bool = False
    """Let Dask's own log through."""

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 0:
            raise SettingsError(f"--workers must be at least 0, got {self.workers}")
        if self.threads is not None and self.threads < 1:
            raise SettingsError(f"--threads must be at least 1, got {self.threads}")
        if self.scheduler is None:
            return
        if self.workers is not None:
            raise SettingsError("--workers cannot be set with --scheduler: its workers are there")
        _check_address(self)


@dataclass(frozen=True)
class Cluster:
    """A cluster that stands, with a client to it."""

    client: Client
    address: str
    dashboard: str | None
    """Where to watch it, if it can be watched."""

    def workers(self) -> set[str]:
        """The addresses of the workers that are alive; OSError when the scheduler is not."""
        return set(self.client.nthreads())

    def alive(self) -> bool:
        """Whether the scheduler still answers."""
        return str(self.client.status) == "running"


@contextmanager
def open_cluster(settings: ClusterSettings, bytes_per_worker: int = 0) -> Iterator[Cluster]:
    """Worker processes of this machine, or a client of the scheduler in `settings`.

    bytes_per_worker: what one worker will need at most; fewer are started when memory is short.
    The workers of this machine end with this process, however it ends; when the block is left by
    an error or Ctrl-C they are killed at once.
    Raises InputError when a scheduler does not answer or its workers cannot do our work.
    """
    _quieten(settings.debug)
    if settings.scheduler:
        with _existing(settings) as cluster:
            yield cluster
    else:
        with _local(settings, bytes_per_worker) as cluster:
            yield cluster


def count_gpus() -> int:
    """NVIDIA GPUs that this process may use, found without importing torch."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not _torch_has_cuda():
        return 0
    if chosen is not None:
        return len(_gpu_names(chosen))
    tool = shutil.which("nvidia-smi")
    if tool is None:  # as in containers that bring the driver's library alone
        return len(list(Path("/proc/driver/nvidia/gpus").glob("*")))
    try:
        listed = subprocess.run([tool, "-L"], capture_output=True, timeout=20, check=True)  # noqa: S603  (no user's words in it)
    except (OSError, subprocess.SubprocessError):
        return 0
    return sum(line.startswith(b"GPU ") for line in listed.stdout.splitlines())


def plan_workers(settings: ClusterSettings, bytes_per_worker: int, gpus: int) -> tuple[int, int]:
    """How many worker processes to start here, and the CPU threads of each.

    On CPU one process per core: two processes of one thread do 1.7 times the work of one of two.
    """
    memory = min(MEMORY_LIMIT, psutil.virtual_memory().available)
    fitting = memory // bytes_per_worker if bytes_per_worker else CPU_COUNT
    workers = settings.workers or gpus or max(1, min(CPU_COUNT, fitting))
    return workers, settings.threads or max(1, CPU_COUNT // workers)


def dask_setup(worker: Any) -> None:  # noqa: ARG001  (Dask's hook for preloaded modules)
    """Leaves Ctrl-C to the driver: a terminal sends it to its workers too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _local(settings: ClusterSettings, bytes_per_worker: int) -> Iterator[Cluster]:
    gpus = count_gpus() if settings.gpus else 0
    workers, threads = plan_workers(settings, bytes_per_worker, gpus)
    # others on this machine reach its loopback too, so even here the wire asks for a certificate
    security = Security.temporary()
    with dask.config.set(_CONFIG):
        cluster = _spec(
            [_environment(index, threads, gpus) for index in range(workers)],
            security,
            settings.debug,
        )
        try:
            with Client(cluster, set_as_default=False) as client:
                yield Cluster(client, cluster.scheduler_address, _watchable(client))
        finally:
            _kill(cluster)
            cluster.close()


_CONFIG = {
    "distributed.scheduler.allowed-failures": MAX_DEATHS - 1,
    "distributed.scheduler.worker-saturation": 1.0,  # what waits at a worker is blamed if it dies
    # results are a few numbers, so spilling and pausing cannot free anything, and a worker that is
    # killed for its model's size would be killed again
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    # these would be set in this process too, where a training may follow
    "distributed.nanny.pre-spawn-environ": {},
}
_THREAD_COUNTS = ("OMP", "MKL", "OPENBLAS", "RAYON")


def _environment(index: int, threads: int, gpus: int) -> dict[str, str]:
    """What a worker's process sees, set before it imports torch."""
    counts = {f"{library}_NUM_THREADS": str(threads) for library in _THREAD_COUNTS}
    return {**counts, "POLARS_MAX_THREADS": str(threads), **_pin(index, gpus)}


def _spec(environments: list[dict[str, str]], security: Security, debug: bool) -> SpecCluster:
    common = {"host": _LOOPBACK, "protocol": "tls://", "security": security}
    nanny = {
        **common,
        "nthreads": 1,
        "memory_limit": 0,
        "dashboard": False,
        "preload": ["corpus_lonely.cluster"],
        "silence_logs": None if debug else logging.CRITICAL,
    }
    specs = {
        index: {"cls": Nanny, "options": {**nanny, "env": environment}}
        for index, environment in enumerate(environments)
    }
    scheduler = {**common, "port": 0, "dashboard_address": f"{_LOOPBACK}:{_DASHBOARD_PORT}"}
    with warnings.catch_warnings():
        # another port is taken when this one is in use; the address that is printed is the true one
        warnings.filterwarnings("ignore", message="Port .* is already in use")
        try:
            return SpecCluster(
                workers=specs,
                scheduler={"cls": Scheduler, "options": scheduler},
                shutdown_on_close=False,  # at exit, of one that was interrupted as it started
                security=security,
                silence_logs=None if debug else logging.CRITICAL,
            )
        except RuntimeError as error:
            raise ScoringError(
                f"a worker process ended while it started ({first_line(error)})",
                hint="It may be short of memory. Run the same command again to go on",
            ) from error


def _pin(index: int, gpus: int) -> dict[str, str]:
    """The environment that shows a worker its own GPU and no other."""
    if not gpus:
        return {}
    names = _gpu_names(os.environ.get("CUDA_VISIBLE_DEVICES", "")) or [str(n) for n in range(gpus)]
    return {"CUDA_VISIBLE_DEVICES": names[index % gpus]}


def _gpu_names(visible: str) -> list[str]:
    return [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1")]


def _torch_has_cuda() -> bool:
    try:
        return "+cpu" not in version("torch")
    except PackageNotFoundError:
        return False


def _kill(cluster: SpecCluster) -> None:
    """Ends the workers at once: idle ones have nothing to say, and a part is whole or not there."""
    for nanny in cluster.workers.values():
        process = getattr(nanny, "process", None)
        pid = process.pid if process is not None else None
        if pid:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@contextmanager
def _existing(settings: ClusterSettings) -> Iterator[Cluster]:
    address = str(settings.scheduler)
    security = Security(
        tls_ca_file=_text(settings.tls_ca),
        tls_client_cert=_text(settings.tls_cert),
        tls_client_key=_text(settings.tls_key),
        require_encryption=address.startswith("tls://"),
    )
    try:
        with warnings.catch_warnings():
            # said below in one line
            warnings.filterwarnings("ignore", message="Mismatched versions", module="distributed")
            client = Client(
                address, security=security, timeout=CONNECT_TIMEOUT_S, set_as_default=False
            )
    except (OSError, TypeError, ValueError) as error:
        raise InputError(
            f"no Dask scheduler answers there within {CONNECT_TIMEOUT_S} s",
            where=address,
            hint="Is it up, is the port right, and do both sides use tls:// or both tcp://?",
        ) from error
    try:
        _wait_for_workers(client, address)
        _check_versions(client, address)
        yield Cluster(client, address, _watchable(client))
    finally:
        client.close(timeout=2)


def _wait_for_workers(client: Client, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=_WORKERS_TIMEOUT_S)
    except TimeoutError:
        raise InputError(
            f"the scheduler has had no worker for {_WORKERS_TIMEOUT_S} s",
            where=address,
            hint=f"Start some: dask worker {address}",
        ) from None


def _check_versions(client: Client, address: str) -> None:
    """Python and Dask must agree; other packages may differ, and are told in each part."""
    found: Any = client.get_versions()
    ours = _decisive(found["client"])
    for peer in [found["scheduler"], *found["workers"].values()]:
        theirs = _decisive(peer)
        if differing := [name for name in ours if theirs[name] != ours[name]]:
            name = differing[0]
            raise InputError(
                f"runs {name} {theirs[name]}, and this process {ours[name]}",
                where=address,
                hint="Use one environment on all hosts",
            )


def _decisive(versions: dict[str, Any]) -> dict[str, str]:
    packages = versions["packages"]
    python = ".".join(str(packages["python"]).split(".")[:2])
    return {"Python": python, **{name: packages[name] for name in ("dask", "distributed")}}


def _watchable(client: Client) -> str | None:
    """The dashboard; without Bokeh, the plain page that Dask has in its stead."""
    try:
        link: str = client.dashboard_link
    except (KeyError, ValueError):
        return None
    return link if find_spec("bokeh") else link.removesuffix("/status") + "/info/main/workers.html"


def _check_address(settings: ClusterSettings) -> None:
    address = str(settings.scheduler)
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    if parts.scheme not in ("tcp", "tls") or not parts.hostname:
        raise SettingsError(
            f"--scheduler must be tcp://HOST:PORT or tls://HOST:PORT, got {address!r}"
        )
    if parts.scheme == "tls":
        if not (settings.tls_ca and settings.tls_cert and settings.tls_key):
            raise SettingsError("--scheduler tls://… needs --tls-ca, --tls-cert and --tls-key")
        return
    if not (settings.insecure or _is_loopback(parts.hostname)):
        raise SettingsError(
            f"--scheduler {address} is not encrypted, and who reaches it can run code on it",
            hint="Use tls:// with --tls-ca, --tls-cert and --tls-key, or accept it with --insecure",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _quieten(debug: bool) -> None:
    if not debug:
        # Dask gives some a level of their own
        for name in ("distributed", "distributed.client", "tornado", "asyncio", "bokeh"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
