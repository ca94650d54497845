"""Where the work goes: the settings of each kind of cluster, and the rules that they keep."""

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from dask.utils import parse_bytes

from corpus_lonely.errors import SettingsError

KINDS = ("local", "slurm", "ssh")
_ASKS_FOR_GPUS = re.compile(r"--gpus\b|-G|--gres\b.*\bgpu\b")
"""Options of sbatch."""


@dataclass(frozen=True)
class SlurmSettings:
    """What is asked of SLURM for each worker, and how its jobs begin."""

    partition: str | None = None
    account: str | None = None
    walltime: str = "01:00:00"
    """As `sbatch --time` takes it."""
    memory: str | None = None
    """Of a worker, like `8GB`; None: 4 GB, more for a large model."""
    gpus: int = 0
    """GPUs of a worker: 0 or 1, and 1 where `sbatch` asks for GPUs by another name."""
    workers_per_job: int = 1
    sbatch: tuple[str, ...] = ()
    """Further options of sbatch, like `--constraint=a100`; one of --gres replaces ours."""
    prologue: tuple[str, ...] = ()
    """Shell lines run in the job before its workers, like `module load python`."""
    folder: Path = Path("corpus-lonely-workers")
    """On a file system that all hosts see: logs of the jobs, and the certificates of the run."""
    lifetime_s: int | None = None
    """Seconds until a worker makes room for the next; None: a little less than the walltime."""

    def __post_init__(self) -> None:
        walltime_seconds(self.walltime)
        if self.gpus not in (0, 1):
            raise SettingsError(f"--worker-gpus must be 0 or 1, got {self.gpus}")
        if self.workers_per_job < 1:
            raise SettingsError(f"--workers-per-job must be at least 1, got {self.workers_per_job}")
        if self.lifetime_s is not None and self.lifetime_s < 1:
            raise SettingsError(f"--worker-lifetime must be at least 1, got {self.lifetime_s}")
        if self.memory is not None:
            _check_memory(self.memory)
        for line in (*self.sbatch, *self.prologue):
            if "\n" in line:
                raise SettingsError("--sbatch and --prologue take one line each; repeat the option")
        if any(_ASKS_FOR_GPUS.match(line) for line in self.sbatch):
            object.__setattr__(
                self, "gpus", 1
            )  # threads, batches and shards are then those of GPUs

    def life(self) -> tuple[float, float]:
        """Seconds that a worker lives, and how far each may be off, so that they don't end together.

        The latest ends a margin before the walltime, for a job begins before its worker does.
        """
        if self.lifetime_s is not None:
            return self.lifetime_s, self.lifetime_s / 10
        seconds = walltime_seconds(self.walltime)
        margin = min(120.0, seconds / 10)
        return seconds - 2 * margin, margin


@dataclass(frozen=True)
class SshSettings:
    """The hosts, and how to reach them."""

    hosts: tuple[str, ...] = ()
    """Names as `ssh` takes them."""
    config: Path | None = None
    """A file like ~/.ssh/config, which is the default: users, ports, keys, known hosts."""
    python: str | None = None
    """The Python of the hosts; None: the path of this one."""


@dataclass(frozen=True)
class ClusterSettings:
    """Where the work goes."""

    workers: int | None = None
    """Worker processes: here, in SLURM, or on each SSH host; None: one per GPU, else as many as
    cores and memory allow."""
    threads: int | None = None
    """CPU threads of each worker; None: the cores of its host split among the workers there."""
    scheduler: str | None = None
    """Address of a scheduler that exists, instead of workers of ours."""
    insecure: bool = False
    """Allow an address that is neither TLS nor loopback: who reaches it can run code there."""
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    gpus: bool = True
    """Use the GPUs that are there, a worker each."""
    pinned: bool = True
    """Each worker of this machine sees its own GPU alone; else all, for one that is told which to use."""
    debug: bool = False
    """Let Dask's own log through."""
    kind: str = "local"
    """One of `KINDS`."""
    scheduler_file: Path | None = None
    """What `dask scheduler --scheduler-file` wrote, instead of an address."""
    interface: str | None = None
    """Network interface of this machine that workers elsewhere reach, like `ib0`."""
    slurm: SlurmSettings = field(default_factory=SlurmSettings)
    ssh: SshSettings = field(default_factory=SshSettings)

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 0:
            raise SettingsError(f"--workers must be at least 0, got {self.workers}")
        if self.threads is not None and self.threads < 1:
            raise SettingsError(f"--threads must be at least 1, got {self.threads}")
        if self.kind not in KINDS:
            raise SettingsError(f"--cluster must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if self.exists:
            self._check_existing()
        self._check_kind()

    @property
    def exists(self) -> bool:
        """Whether the scheduler is there already."""
        return self.scheduler is not None or self.scheduler_file is not None

    @property
    def here(self) -> bool:
        """Whether the workers are processes of this machine."""
        return self.kind == "local" and not self.exists

    def _check_existing(self) -> None:
        named = "--scheduler" if self.scheduler is not None else "--scheduler-file"
        if self.scheduler is not None and self.scheduler_file is not None:
            raise SettingsError("--scheduler and --scheduler-file cannot both be set")
        if self.workers is not None:
            raise SettingsError(f"--workers cannot be set with {named}: its workers are there")
        if self.kind != "local":
            raise SettingsError(f"--cluster {self.kind} cannot be set with {named}")
        if self.scheduler is not None:
            check_address(self, self.scheduler)

    def _check_kind(self) -> None:
        if self.kind != "slurm" and self.slurm != SlurmSettings():
            # else a run that was meant for the cluster would start on its login node
            raise SettingsError("settings of SLURM are given, but not --cluster slurm")
        if self.kind != "ssh" and self.ssh != SshSettings():
            raise SettingsError("--hosts and other settings of SSH need --cluster ssh")
        if self.here and self.interface is not None:
            raise SettingsError("--interface needs --cluster slurm or --cluster ssh")
        if self.kind == "slurm" and not self.workers:
            raise SettingsError("--cluster slurm needs --workers: how many to ask for")
        if self.kind == "ssh" and not self.ssh.hosts:
            raise SettingsError("--cluster ssh needs --hosts, like --hosts node1,node2")
        if len(set(self.ssh.hosts)) < len(self.ssh.hosts):
            raise SettingsError("--hosts names a host twice; --workers says how many on each")
        if self.kind == "ssh" and self.workers == 0:
            raise SettingsError("--workers must be at least 1 on each host, got 0")


def check_address(settings: ClusterSettings, address: str) -> None:
    """SettingsError when an address is none, or not safe to talk to as the settings stand."""
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


def walltime_seconds(walltime: str) -> int:
    """Seconds of a time as `sbatch --time` takes it: M, M:S, H:M:S, D-H, D-H:M, D-H:M:S."""
    days, dash, clock = walltime.rpartition("-")
    numbers = clock.split(":")
    if not re.fullmatch(r"(\d+-)?\d+(:\d+){0,2}", walltime):
        raise SettingsError(f"--walltime must be like 04:00:00 or 2-12:00:00, got {walltime!r}")
    if dash:
        hours, minutes, seconds = (*map(int, numbers), 0, 0)[:3]
        return int(days) * 86_400 + hours * 3600 + minutes * 60 + seconds
    if len(numbers) == 3:
        hours, minutes, seconds = map(int, numbers)
    else:
        hours, (minutes, seconds) = 0, (*map(int, numbers), 0)[:2]
    if not hours * 3600 + minutes * 60 + seconds:
        raise SettingsError(f"--walltime must be more than nothing, got {walltime!r}")
    return hours * 3600 + minutes * 60 + seconds


def _check_memory(memory: str) -> None:
    try:
        parse_bytes(memory)
    except ValueError:
        raise SettingsError(f"--worker-memory must be like 8GB, got {memory!r}") from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
