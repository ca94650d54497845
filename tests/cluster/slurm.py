"""A real SLURM of one node, started from a temporary folder: munged, slurmctld and slurmd."""

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.command_lines import ROOT

CPUS = 4
_PATH = f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"  # where Debian puts daemons
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol")


class NotThereError(Exception):
    """This machine has no SLURM, or it does not start here; the message says why."""


class Slurm:
    """A cluster that stands, and the environment in which its commands find it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment

    def run(self, *command: str, cwd: Path | None = None) -> str:
        """What a command says, once it has ended well."""
        ran = subprocess.run(
            command,
            env=self.environment,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, f"{command}: {ran.stdout}{ran.stderr}"
        return ran.stdout

    def jobs(self) -> list[str]:
        """The jobs that wait, run or end."""
        return self.run("squeue", "--noheader", "--format=%i %j %T %r").splitlines()

    def wait_until_empty(self, timeout: float = 100) -> None:
        """Returns when no job is left."""
        deadline = time.monotonic() + timeout
        while jobs := self.jobs():
            assert time.monotonic() < deadline, jobs
            time.sleep(0.3)

    def state(self, job: str) -> str:
        """How a job that ended not long ago has ended."""
        told = self.run("scontrol", "--oneliner", "show", "job", job)
        return told.partition("JobState=")[2].split(" ")[0]


@contextmanager
def started() -> Iterator[Slurm]:
    """A SLURM of one node; NotThereError where there is none to be had."""
    if missing := [name for name in PROGRAMS if shutil.which(name, path=_PATH) is None]:
        raise NotThereError(
            f"{', '.join(missing)} not installed (Debian: apt-get install slurm-wlm munge)"
        )
    # munged refuses a socket that others could not reach, as in pytest's own folders
    with tempfile.TemporaryDirectory(prefix="slurm-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "PATH": _PATH}
        environment["PYTHONPATH"] = str(ROOT)
        daemons: list[subprocess.Popen[bytes]] = []
        slurm = Slurm(folder, environment)
        try:
            _start(slurm, daemons)
            yield slurm
        finally:
            _stop(slurm, daemons)


def _start(slurm: Slurm, daemons: list[subprocess.Popen[bytes]]) -> None:
    folder = slurm.folder
    (folder / "slurm.conf").write_text(_configuration(folder))
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o600)
    munged = [f"--{kind}-file={folder}/munge.{kind}" for kind in ("key", "pid", "log", "seed")]
    commands = (
        ["munged", "--foreground", f"--socket={folder}/munge.sock", *munged],
        ["slurmctld", "-D", "-c", "-f", f"{folder}/slurm.conf"],
        ["slurmd", "-D", "-f", f"{folder}/slurm.conf"],
    )
    for command in commands:
        with (folder / f"{command[0]}.out").open("wb") as out:
            daemons.append(subprocess.Popen(command, env=slurm.environment, stdout=out, stderr=out))
        time.sleep(0.5)
    _wait_until_idle(slurm, daemons)


def _wait_until_idle(slurm: Slurm, daemons: list[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + 30
    state = ""
    while state != "idle":
        ended = [daemon.args for daemon in daemons if daemon.poll() is not None]
        if ended or time.monotonic() > deadline:
            last = [_last_line(path) for path in sorted(slurm.folder.glob("*.out"))]
            raise NotThereError(f"SLURM does not start here (node {state!r}): {'; '.join(last)}")
        time.sleep(0.3)
        asked = ["sinfo", "--noheader", "--format=%t"]
        told = subprocess.run(
            asked, env=slurm.environment, capture_output=True, text=True, timeout=20, check=False
        )
        state = told.stdout.strip()


def _last_line(path: Path) -> str:
    lines = path.read_text("utf-8", "replace").splitlines()
    return f"{path.stem}: {lines[-1] if lines else 'said nothing'}"


def _stop(slurm: Slurm, daemons: list[subprocess.Popen[bytes]]) -> None:
    if len(daemons) == 3:
        everything = ["scancel", f"--user={getpass.getuser()}"]
        subprocess.run(
            everything, env=slurm.environment, timeout=20, check=False, capture_output=True
        )
        time.sleep(1)
    for daemon in reversed(daemons):
        daemon.terminate()
        try:
            daemon.wait(10)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


def _configuration(folder: Path) -> str:
    host, user = socket.gethostname().split(".")[0], getpass.getuser()
    megabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    control, node = _free_ports()
    return f"""
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CredType=cred/munge
SlurmctldPort={control}
SlurmdPort={node}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0
ReturnToService=2
KillWait=10
MinJobAge=300
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs={CPUS} RealMemory={megabytes} State=UNKNOWN
PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]
