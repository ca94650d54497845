"""The workers of one host, for a scheduler elsewhere: what they see, and how they end."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from click.testing import CliRunner
from distributed import Client, LocalCluster, Security, Status

from corpus_lonely.cli.main import main
from corpus_lonely.cluster import host
from corpus_lonely.cluster.host import HostSettings
from corpus_lonely.cluster.security import from_files, make_credentials

COMMAND = [sys.executable, "-m", "corpus_lonely", "cluster", "worker"]


def test_each_worker_of_a_host_has_a_gpu_threads_and_a_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(host, "count_gpus", lambda: 3)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,4,6")  # as SLURM gives a job
    settings = HostSettings("tls://10.0.0.1:1", Security(), threads=2, name="job-7", life=(60, 5))
    made = host._options(settings)
    assert [options["env"]["CUDA_VISIBLE_DEVICES"] for options in made] == ["1", "4", "6"]
    assert {options["env"]["OMP_NUM_THREADS"] for options in made} == {"2"}
    # as dask-jobqueue expects of a job with several
    assert [options["name"] for options in made] == ["job-7-0", "job-7-1", "job-7-2"]
    for options in made:
        assert (options["lifetime"], options["lifetime_stagger"]) == ("60 s", "5 s")
        assert options["lifetime_restart"] is False
        assert options["protocol"] == "tls"
        assert options["dashboard_address"] == "127.0.0.1:0"
    (alone,) = host._options(HostSettings("tls://10.0.0.1:1", Security(), workers=1, name="job-7"))
    assert alone["name"] == "job-7"
    without = host._options(HostSettings("tls://10.0.0.1:1", Security(), workers=2, gpus=False))
    assert all(options["env"]["CUDA_VISIBLE_DEVICES"] == "" for options in without)
    assert len({options["name"] for options in without}) == 2


@pytest.fixture
def shown(tmp_path: Path) -> tuple[Path, Path, Path]:
    """The files of a run's certificates."""
    return make_credentials().write(tmp_path / "tls")


@pytest.fixture
def client(shown: tuple[Path, Path, Path]) -> Iterator[Any]:
    """Of a scheduler without workers."""
    with (
        LocalCluster(
            n_workers=0, protocol="tls://", dashboard_address=":0", security=from_files(*shown)
        ) as scheduler,
        Client(scheduler) as client,
    ):
        yield client


def begin(
    client: Any, shown: tuple[Path, Path, Path], workers: int = 1, **options_of_popen: Any
) -> subprocess.Popen[Any]:
    """A host of one worker or several, in a process group of its own as a job is."""
    options = ["--scheduler", client.scheduler.address, "--workers", str(workers), "--threads", "1"]
    for name, path in zip(("ca", "cert", "key"), shown, strict=True):
        options += [f"--tls-{name}", str(path)]
    return subprocess.Popen([*COMMAND, *options], start_new_session=True, **options_of_popen)


def start(client: Any, shown: tuple[Path, Path, Path]) -> subprocess.Popen[Any]:
    """A host of one worker; returns when it is there."""
    process = begin(client, shown)
    client.wait_for_workers(1, timeout=60)
    return process


def _sleep(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_task_is_not_blamed_for_jobs_that_are_ended(
    client: Any, shown: tuple[Path, Path, Path]
) -> None:
    future = client.submit(_sleep, 3600, key="long")
    for _ in range(2):
        process = start(client, shown)
        while client.processing() == {} or not any(client.processing().values()):
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGTERM)  # SLURM tells all processes of a job
        process.wait(30)
        while client.nthreads():
            time.sleep(0.1)
        assert future.status == "pending"
        assert client.cluster.scheduler.tasks["long"].suspicious == 0


@pytest.mark.slow
@pytest.mark.parametrize("there", [False, True], ids=["as its worker starts", "at work"])
def test_ctrl_c_ends_a_host_and_its_worker_without_a_traceback(
    there: bool, client: Any, shown: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    with (tmp_path / "log").open("wb") as log:
        process = begin(client, shown, stderr=log)
    if there:
        client.wait_for_workers(1, timeout=60)
    family = psutil.Process(process.pid)
    while len(children := family.children(recursive=True)) < 2:  # the resource tracker is one
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(30) == 0
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    told = (tmp_path / "log").read_text()
    assert "Traceback" not in told, told


@pytest.mark.slow
@pytest.mark.parametrize(
    ("killed", "reason"),
    [(1, "[Errno 20] Not a directory: '{scratch}"), (4, "3 ended while they started")],
)
def test_a_host_says_why_it_cannot_start_its_worker_again(
    killed: int, reason: str, client: Any, shown: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = {**os.environ, "DASK_TEMPORARY_DIRECTORY": str(scratch)}
    process = begin(client, shown, stderr=subprocess.PIPE, text=True, env=environment)
    client.wait_for_workers(1, timeout=60)
    if killed == 1:
        shutil.rmtree(scratch)
        scratch.write_text("no folder any more")
    seen: set[int] = set()
    time.sleep(0.5)  # its nanny learns a little later that it is there
    # the first is killed at work, the others as they start
    while len(seen) < killed and process.poll() is None:
        for worker in workers_of(process):
            if worker.pid not in seen:
                worker.kill()
                seen.add(worker.pid)
        time.sleep(0.01)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    (line,) = [line for line in told.splitlines() if line.startswith("Error: ")]
    assert "a worker died, and could not be started again (" in line
    assert reason.format(scratch=scratch) in line


@pytest.mark.slow
def test_a_host_whose_first_worker_is_killed_does_not_blame_the_scheduler(
    client: Any, shown: tuple[Path, Path, Path]
) -> None:
    process = begin(client, shown, stderr=subprocess.PIPE, text=True)
    while not (workers := workers_of(process)):
        time.sleep(0.01)
    time.sleep(0.2)
    workers[0].kill()
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "a worker process ended while it started. It may be short of memory" in told
    assert "Traceback" not in told


def workers_of(process: subprocess.Popen[Any]) -> list[psutil.Process]:
    """The worker processes of a host."""
    found = []
    for child in psutil.Process(process.pid).children():
        with suppress(psutil.Error):
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child)
    return found


def _break_off(address: str, dask_scheduler: Any) -> None:
    dask_scheduler.stream_comms[address].comm.abort()


@pytest.mark.slow
def test_a_host_replaces_a_worker_whose_connection_broke(
    client: Any, shown: tuple[Path, Path, Path]
) -> None:
    process = begin(client, shown, workers=2)
    client.wait_for_workers(2, timeout=60)
    lost, kept = client.scheduler_info()["workers"]
    client.run_on_scheduler(_break_off, lost)
    until = time.monotonic() + 30
    while not (len(there := set(client.nthreads())) == 2 and lost not in there):
        assert time.monotonic() < until, "it is not replaced"
        time.sleep(0.1)
    assert kept in there
    process.terminate()
    assert process.wait(30) == 0


def test_workers_leave_in_order_when_the_nannies_before_them_have_closed() -> None:
    asked: list[list[str]] = []

    class Scheduler:
        def __init__(self, failure: Exception | None) -> None:
            self.failure = failure

        async def retire_workers(self, workers: list[str], **_: Any) -> None:
            if self.failure:
                raise self.failure
            asked.append(workers)

    closed = RuntimeError("ConnectionPool is closed")
    nannies: list[Any] = [
        SimpleNamespace(status=status, worker_address=address, scheduler=Scheduler(failure))
        for status, address, failure in (
            (Status.closed, None, closed),
            (Status.running, "tls://a:1", closed),  # it closes as it asks
            (Status.running, "tls://a:2", None),
            (Status.running, "tls://a:3", None),
        )
    ]
    asyncio.run(host._retire(nannies))
    assert asked == [["tls://a:1", "tls://a:2", "tls://a:3"]]


@pytest.mark.slow
def test_a_host_ends_with_its_scheduler(client: Any, shown: tuple[Path, Path, Path]) -> None:
    process = start(client, shown)
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    assert len(family) >= 2
    client.shutdown()
    process.wait(60)
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []


def test_certificates_from_elsewhere_than_the_driver_are_refused() -> None:
    options = ["--scheduler", "tls://127.0.0.1:1", "--certificates-from-stdin"]
    ran = CliRunner().invoke(main, ["cluster", "worker", *options], input="hello\n")
    assert ran.exit_code == 1
    assert ran.stderr == "Error: the standard input holds no certificates of a run\n"


def test_a_host_asks_for_the_scheduler() -> None:
    ran = CliRunner().invoke(main, ["cluster", "worker"])
    assert ran.exit_code == 2
    assert "give --scheduler or --scheduler-file" in ran.stderr


def test_a_scheduler_that_does_not_answer_is_told(
    shown: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "_SCHEDULER_TIMEOUT_S", 1)
    options = ["--scheduler", "tls://127.0.0.1:1", "--workers", "1"]
    for name, path in zip(("ca", "cert", "key"), shown, strict=True):
        options += [f"--tls-{name}", str(path)]
    ran = CliRunner().invoke(main, ["cluster", "worker", *options])
    assert ran.exit_code == 1
    told = [line for line in ran.stderr.splitlines() if line.startswith("Error: ")]
    assert len(told) == 1
    assert "tls://127.0.0.1:1: no scheduler answers there within 1 s" in told[0]
