"""Clusters: how many workers, what they see, and who may talk to them."""

import os
import signal
import socket
import time
from pathlib import Path

import psutil
import pytest
from distributed import Client, LocalCluster, Security

from corpus_lonely import cluster
from corpus_lonely.cluster import ClusterSettings, count_gpus, open_cluster, plan_workers
from corpus_lonely.errors import InputError, SettingsError

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
    monkeypatch.setattr(cluster, "CPU_COUNT", 8)
    monkeypatch.setattr(cluster, "MEMORY_LIMIT", 16 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: _Memory(64 * GIB))
    assert plan_workers(settings, bytes_per_worker, gpus) == expected


class _Memory:
    def __init__(self, available: int) -> None:
        self.available = available


def test_gpus_are_counted_without_torch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: one (UUID: GPU-a)'\necho 'GPU 1: two (UUID: GPU-b)'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(cluster, "version", lambda _package: "2.9.0")
    assert count_gpus() == 2
    for visible, expected in (("", 0), ("-1", 0), ("3", 1), ("GPU-a,GPU-b", 2)):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert count_gpus() == expected
    monkeypatch.setattr(cluster, "version", lambda _package: "2.9.0+cpu")
    assert count_gpus() == 0


def test_each_worker_sees_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [cluster._pin(i, 2) for i in range(3)] == [
        {"CUDA_VISIBLE_DEVICES": "0"},
        {"CUDA_VISIBLE_DEVICES": "1"},
        {"CUDA_VISIBLE_DEVICES": "0"},
    ]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert cluster._pin(1, 2) == {"CUDA_VISIBLE_DEVICES": "7"}
    assert cluster._pin(0, 0) == {}


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:8786", "tcp://[::1]:8786", "tcp://localhost:1", "127.0.0.1:8786"]
)
def test_loopback_needs_no_tls(address: str) -> None:
    ClusterSettings(scheduler=address)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"scheduler": "tcp://10.0.0.3:8786"}, "is not encrypted"),
        ({"scheduler": "login.example.org:8786"}, "is not encrypted"),
        ({"scheduler": "tcp://127.0.0.1.example.org:8786"}, "is not encrypted"),
        ({"scheduler": "tls://10.0.0.3:8786"}, "needs --tls-ca, --tls-cert and --tls-key"),
        ({"scheduler": "ucx://10.0.0.3:8786"}, r"must be tcp://HOST:PORT or tls://HOST:PORT"),
        ({"scheduler": "tcp://"}, r"must be tcp://HOST:PORT or tls://HOST:PORT"),
        ({"scheduler": "tcp://127.0.0.1:1", "workers": 2}, "--workers cannot be set"),
        ({"workers": -1}, "--workers must be at least 0, got -1"),
        ({"threads": 0}, "--threads must be at least 1, got 0"),
    ],
)
def test_settings_that_break_a_rule(settings: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        ClusterSettings(**settings)  # type: ignore[arg-type]


def test_insecure_is_the_users_word() -> None:
    ClusterSettings(scheduler="tcp://10.0.0.3:8786", insecure=True)


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_TIMEOUT_S", 1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    began = time.monotonic()
    refused = pytest.raises(InputError, match="no Dask scheduler answers there within 1 s")
    with refused, open_cluster(ClusterSettings(scheduler=address)):
        pass
    assert time.monotonic() - began < 10


def test_a_scheduler_without_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_WORKERS_TIMEOUT_S", 1)
    with (
        LocalCluster(
            n_workers=0, processes=False, protocol="tcp://", dashboard_address=None
        ) as bare,
        pytest.raises(InputError, match="the scheduler has had no worker for 1 s"),
        open_cluster(ClusterSettings(scheduler=bare.scheduler_address)),
    ):
        pass


def test_hosts_must_run_the_same_python_and_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = {"Python": "3.11", "dask": "1", "distributed": "1"}
    told = iter([ours, ours, {**ours, "dask": "2"}])
    monkeypatch.setattr(cluster, "_decisive", lambda _versions: next(told))
    with (
        LocalCluster(
            n_workers=1, processes=False, protocol="tcp://", dashboard_address=None
        ) as other,
        pytest.raises(InputError, match="runs dask 2, and this process 1"),
        open_cluster(ClusterSettings(scheduler=other.scheduler_address)),
    ):
        pass


def test_a_scheduler_behind_tls(tmp_path: Path) -> None:
    security = Security.temporary()
    paths = {}
    for name, content in (
        ("tls_ca", security.tls_ca_file),
        ("tls_cert", security.tls_client_cert),
        ("tls_key", security.tls_client_key),
    ):
        paths[name] = tmp_path / f"{name}.pem"
        paths[name].write_text(content)
    with LocalCluster(
        n_workers=1, processes=False, protocol="tls://", dashboard_address=None, security=security
    ) as other:
        settings = ClusterSettings(scheduler=other.scheduler_address, **paths)  # type: ignore[arg-type]
        with open_cluster(settings) as opened:
            assert opened.client.submit(sum, [1, 2]).result() == 3


def _seen() -> dict[str, object]:
    return {
        "pid": os.getpid(),
        "threads": [os.environ[f"{name}_NUM_THREADS"] for name in ("OMP", "MKL", "RAYON")],
        "interrupt": signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
    }


def test_workers_of_this_machine() -> None:
    with open_cluster(ClusterSettings(workers=2, threads=3)) as opened:
        seen = list(opened.client.run(_seen).values())
        assert len(opened.workers()) == 2
        assert opened.alive()
        assert all(worker["threads"] == ["3", "3", "3"] for worker in seen)
        assert all(worker["interrupt"] for worker in seen)
        assert all(address.startswith("tls://127.0.0.1:") for address in opened.workers())
        assert str(opened.dashboard).startswith("http://127.0.0.1:")
        _assert_strangers_are_turned_away(opened.address)
        _assert_only_loopback_listens(os.getpid(), *(int(str(worker["pid"])) for worker in seen))
    for worker in seen:
        with pytest.raises(ProcessLookupError):
            os.kill(int(str(worker["pid"])), 0)


def _assert_strangers_are_turned_away(address: str) -> None:
    plain = address.replace("tls://", "tcp://")
    for target, security in ((plain, None), (address, Security.temporary())):
        with pytest.raises(OSError):
            Client(target, security=security, timeout=2, set_as_default=False)


def _assert_only_loopback_listens(*pids: int) -> None:
    listening = [
        connection.laddr.ip
        for pid in pids
        for connection in psutil.Process(pid).net_connections("tcp")
        if connection.status == "LISTEN"
    ]
    assert listening
    assert set(listening) <= {"127.0.0.1", "::1"}


def test_two_clusters_find_dashboard_ports(recwarn: pytest.WarningsRecorder) -> None:
    settings = ClusterSettings(workers=1)
    with open_cluster(settings) as one, open_cluster(settings) as two:
        assert one.dashboard != two.dashboard
    assert not [warning for warning in recwarn if "already in use" in str(warning.message)]
