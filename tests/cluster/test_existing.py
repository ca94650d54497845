"""A scheduler that exists: found, checked, and talked to."""

import json
import socket
import time
from pathlib import Path

import pytest
from distributed import LocalCluster, Security

from corpus_lonely.cluster import ClusterSettings, existing, open_cluster
from corpus_lonely.errors import InputError, SettingsError


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(existing, "CONNECT_TIMEOUT_S", 1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    began = time.monotonic()
    refused = pytest.raises(InputError, match="no Dask scheduler answers there within 1 s")
    with refused, open_cluster(ClusterSettings(scheduler=address)):
        pass
    assert time.monotonic() - began < 10


def test_a_scheduler_without_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(existing, "_WORKERS_TIMEOUT_S", 1)
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
    monkeypatch.setattr(existing, "_decisive", lambda _versions: next(told))
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


def test_a_scheduler_file_is_waited_for_and_its_address_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "scheduler.json"
    settings = ClusterSettings(scheduler_file=path)
    monkeypatch.setattr(existing, "_FILE_TIMEOUT_S", 0.5)
    for content in (None, '{"addr'):  # not there, half written
        if content:
            path.write_text(content)
        with (
            pytest.raises(InputError, match="no scheduler has written its address there"),
            open_cluster(settings),
        ):
            pass
    path.write_text(json.dumps({"address": "tcp://10.0.0.3:8786"}))
    with pytest.raises(SettingsError, match="is not encrypted"), open_cluster(settings):
        pass
    with LocalCluster(
        n_workers=1, processes=False, protocol="tcp://", dashboard_address=None
    ) as other:
        path.write_text(json.dumps({"address": other.scheduler_address}))
        with open_cluster(settings) as opened:
            assert opened.client.submit(sum, [1, 2]).result() == 3
