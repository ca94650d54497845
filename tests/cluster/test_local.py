"""The workers of this machine: how many, what they see, and who may talk to them."""

import os
import signal

import dask
import psutil
import pytest
from distributed import Status

from corpus_lonely.cluster import (
    Cluster,
    ClusterSettings,
    open_cluster,
    plan_workers,
    processes,
    upkeep,
)
from corpus_lonely.cluster.nanny import Nanny
from tests.cluster.strangers import assert_only_loopback_listens, assert_strangers_are_turned_away

GIB = 1 << 30


@pytest.mark.parametrize(
    ("settings", "bytes_per_worker", "gpus", "expected"),
    [
        (ClusterSettings(), 0, 0, (8, 1)),
        (ClusterSettings(), 4 * GIB, 0, (4, 2)),
        (ClusterSettings(), 99 * GIB, 0, (1, 8)),
        (ClusterSettings(workers=3), 99 * GIB, 0, (3, 2)),
        (ClusterSettings(workers=16), 0, 0, (16, 1)),
        (ClusterSettings(workers=2, threads=1), 0, 0, (2, 1)),
        (ClusterSettings(), 99 * GIB, 2, (2, 4)),
    ],
)
def test_how_many_workers(
    monkeypatch: pytest.MonkeyPatch,
    settings: ClusterSettings,
    bytes_per_worker: int,
    gpus: int,
    expected: tuple[int, int],
) -> None:
    monkeypatch.setattr(processes, "CPU_COUNT", 8)
    monkeypatch.setattr(processes, "MEMORY_LIMIT", 16 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: _Memory(64 * GIB))
    assert plan_workers(settings, bytes_per_worker, gpus) == expected


class _Memory:
    def __init__(self, available: int) -> None:
        self.available = available


def _seen() -> dict[str, object]:
    return {
        "pid": os.getpid(),
        "threads": [os.environ[f"{name}_NUM_THREADS"] for name in ("OMP", "MKL", "RAYON")],
        "ignored": signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
        "blocked": signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()),
    }


def test_workers_of_this_machine() -> None:
    with open_cluster(ClusterSettings(workers=2, threads=3)) as opened:
        seen = list(opened.client.run(_seen).values())
        assert len(opened.workers()) == 2
        assert opened.alive()
        assert all(worker["threads"] == ["3", "3", "3"] for worker in seen)
        assert all(worker["ignored"] and worker["blocked"] for worker in seen)
        assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())  # here it is heard
        assert all(address.startswith("tls://127.0.0.1:") for address in opened.workers())
        assert str(opened.dashboard).startswith("http://127.0.0.1:")
        assert_strangers_are_turned_away(opened.address)
        assert_only_loopback_listens(os.getpid(), *(int(str(worker["pid"])) for worker in seen))
    for worker in seen:
        with pytest.raises(ProcessLookupError):
            os.kill(int(str(worker["pid"])), 0)


def test_two_clusters_find_dashboard_ports(recwarn: pytest.WarningsRecorder) -> None:
    settings = ClusterSettings(workers=1)
    with open_cluster(settings) as one, open_cluster(settings) as two:
        assert one.dashboard != two.dashboard
    assert not [warning for warning in recwarn if "already in use" in str(warning.message)]


ONE = ClusterSettings(workers=1, threads=1)


def test_a_worker_that_is_long_in_coming_back_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Dask closes the nanny of one that is away for 15 s, and nobody would start another."""
    assert dask.config.get("distributed.deploy.lost-worker-timeout") == "15s"
    with open_cluster(ONE, 0) as cluster:
        assert dask.config.get("distributed.deploy.lost-worker-timeout") == "1000 days"
    monkeypatch.setitem(processes.DASK_CONFIG, "distributed.deploy.lost-worker-timeout", "20 ms")
    with open_cluster(ONE, 0) as cluster:
        before = dead_after(cluster)
        assert cluster.client.submit(os.getpid, pure=False).result(timeout=60) != before


def test_a_nanny_that_gave_up_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    failures, instantiate = ["no processes", "no connection"], Nanny.instantiate

    async def fail_twice(nanny: Nanny) -> Status:
        if failures:
            failure = failures.pop()
            await nanny.close(reason="nanny-instantiate-failed")  # as Dask's does
            raise OSError(failure)
        return await instantiate(nanny)

    for name in ("_FIRST_S", "_POLL_S"):
        monkeypatch.setattr(upkeep, name, 0.5)
    notes: list[str] = []
    with open_cluster(ONE, 0, notes.append) as cluster:
        monkeypatch.setattr(Nanny, "instantiate", fail_twice)
        before = dead_after(cluster)
        assert cluster.client.submit(os.getpid, pure=False).result(timeout=60) != before
        assert not failures
    assert notes == ["Workers cannot be started again, trying on: no processes"]


def dead_after(cluster: Cluster) -> int:
    """The process that was the only worker; it is gone."""
    (pid,) = cluster.client.run(os.getpid).values()
    os.kill(pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=20)
    return int(pid)
