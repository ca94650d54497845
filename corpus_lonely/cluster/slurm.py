"""Workers in SLURM jobs of dask-jobqueue, with the scheduler in this process."""

import math
import shlex
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
from dask.utils import parse_bytes
from dask_jobqueue.slurm import SLURMCluster, SLURMJob
from distributed import Client, SpecCluster, Status

from corpus_lonely.cluster.existing import check_versions
from corpus_lonely.cluster.handle import DASHBOARD, Cluster, watchable_here
from corpus_lonely.cluster.local import ports_may_differ, silence
from corpus_lonely.cluster.processes import DASK_CONFIG
from corpus_lonely.cluster.security import from_files, make_credentials
from corpus_lonely.cluster.settings import ClusterSettings, SlurmSettings
from corpus_lonely.cluster.squeue import jobs_alive
from corpus_lonely.cluster.upkeep import Note, Upkeep, wait_for_a_worker
from corpus_lonely.errors import InputError, SettingsError
from corpus_lonely.files import output_error

_LEAST_MEMORY = 4 * 10**9
_GPU_THREADS = 4
"""Of a GPU's worker: texts are cut into tokens on other cores than the one that feeds the GPU."""
_GPU_OPTIONS = ("--gres", "--gpus", "-G")


@contextmanager
def slurm_cluster(
    settings: ClusterSettings, bytes_per_worker: int, note: Note
) -> Iterator[Cluster]:
    """Asks SLURM for workers, goes on with the first that comes, and keeps their number up.

    All hosts must see the same files. The jobs are cancelled when the block is left, and end by
    themselves when this process is killed.
    Raises InputError when SLURM refuses the jobs, or when they end before any worker came.
    """
    if shutil.which("sbatch") is None:
        raise SettingsError(
            "--cluster slurm needs the command sbatch, which is not on this machine",
            hint="Run it on a login node of the cluster, or in a job",
        )
    jobs = math.ceil((settings.workers or 1) / settings.slurm.workers_per_job)
    with _shared_folder(settings.slurm.folder) as tls, dask.config.set(DASK_CONFIG):
        cluster = _spec(settings, bytes_per_worker, tls)
        try:
            cluster.sync(_submit, cluster, jobs)
            with (
                Upkeep(cluster, _ended, note).going_on() as upkeep,
                Client(cluster, set_as_default=False) as client,
            ):
                _wait(client, upkeep, jobs, settings.slurm, note)
                check_versions(client, cluster.scheduler_address)
                yield Cluster(client, cluster.scheduler_address, watchable_here(client))
        finally:
            cluster.close()


class _Job(SLURMJob):
    """A job that starts our own workers: threads, GPUs and lives as on any other host."""

    def __init__(self, *arguments: Any, begin: tuple[str, ...], **options: Any) -> None:
        super().__init__(*arguments, **options)
        words = [*begin, "--scheduler", str(self.scheduler), "--name", str(self.name)]
        self._command_template = shlex.join(words)

    async def start(self) -> None:
        """Submits the job; InputError when SLURM refuses it."""
        try:
            await super().start()
        except RuntimeError as error:
            raise InputError(f"sbatch refused the job ({_said(error)})") from None

    async def close(self) -> None:
        """Cancels the job."""
        try:
            await super().close()
        finally:
            self.status = Status.closed


def _spec(settings: ClusterSettings, bytes_per_worker: int, tls: Path) -> SLURMCluster:
    asked = settings.slurm
    security = from_files(*make_credentials().write(tls))
    threads = settings.threads or (_GPU_THREADS if asked.gpus else 1)
    each = parse_bytes(asked.memory) if asked.memory else max(_LEAST_MEMORY, 2 * bytes_per_worker)
    per_job = asked.workers_per_job
    job: Any = _Job  # whose class is asked for, which dask-jobqueue's types do not say
    with ports_may_differ():
        return SLURMCluster(
            job_cls=job,
            begin=_begin(settings, threads, tls),
            cores=threads * per_job,
            job_cpu=threads * per_job,
            memory=f"{each * per_job}B",
            processes=per_job,
            queue=asked.partition,
            account=asked.account,
            walltime=asked.walltime,
            job_extra_directives=list(_directives(asked)),
            job_script_prologue=list(asked.prologue),
            job_name="corpus-lonely",
            log_directory=str(asked.folder.absolute()),
            security=security,
            protocol="tls://",
            scheduler_options={
                "port": 0,
                "dashboard_address": DASHBOARD,
                "interface": settings.interface,
            },
            silence_logs=silence(settings.debug),
        )


def _begin(settings: ClusterSettings, threads: int, tls: Path) -> tuple[str, ...]:
    """The command of a job, but for the scheduler's address and the workers' name."""
    seconds, stagger = settings.slurm.life()
    words = [sys.executable, "-m", "corpus_lonely", "cluster", "worker"]
    for option, name in (("--tls-ca", "ca"), ("--tls-cert", "cert"), ("--tls-key", "key")):
        words += [option, str(tls / f"{name}.pem")]
    words += ["--workers", str(settings.slurm.workers_per_job), "--threads", str(threads)]
    words += ["--lifetime", f"{seconds:g}", "--lifetime-stagger", f"{stagger:g}"]
    return tuple(words if settings.gpus else [*words, "--no-gpus"])


def _directives(asked: SlurmSettings) -> Iterator[str]:
    if asked.gpus and not any(line.startswith(_GPU_OPTIONS) for line in asked.sbatch):
        yield f"--gres=gpu:{asked.gpus * asked.workers_per_job}"
    yield from asked.sbatch


@contextmanager
def _shared_folder(folder: Path) -> Iterator[Path]:
    """A folder for the run's certificates, which its owner alone can enter, on the shared disk."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="tls-", dir=folder.absolute()) as private:
            yield Path(private)
    except OSError as error:
        if error.filename is None or not str(error.filename).startswith(str(folder)):
            raise
        raise output_error(error, folder) from error


async def _submit(cluster: SLURMCluster, jobs: int) -> None:
    for _ in range(jobs):
        cluster.worker_spec.update(cluster.new_worker_spec())
    await cluster


async def _ended(cluster: SpecCluster) -> set[str]:
    """The jobs that SLURM has no longer, or will not run; none when it does not answer."""
    alive = await jobs_alive()
    if alive is None:
        return set()
    members = cluster.workers.items()
    return {name for name, job in members if job.job_id and job.job_id not in alive}


def _wait(client: Client, upkeep: Upkeep, jobs: int, asked: SlurmSettings, note: Note) -> None:
    waiting = (
        f"Waiting for SLURM to start the first of {jobs} jobs; `squeue --me` shows them. "
        f"Their logs: {asked.folder}"
    )
    if not wait_for_a_worker(client, lambda: upkeep.replaced >= jobs, lambda: note(waiting)):
        raise InputError(
            f"the SLURM jobs ended before a worker could reach {socket.gethostname()}",
            where=asked.folder,
            hint="The logs there say why. Wrong --prologue, or another --interface?",
        )


def _said(error: RuntimeError) -> str:
    """What sbatch itself said, out of what dask-jobqueue tells at length."""
    lines = str(error).partition("stderr:\n")[2].split("\n")
    told = next((line for line in lines if line.strip()), "for a reason it does not give")
    return told.removeprefix("sbatch: ").removeprefix("error: ").strip()
