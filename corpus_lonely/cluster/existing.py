"""A client of a scheduler that exists, checked before it is given work."""

import json
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distributed import Client, Security

from corpus_lonely.cluster.handle import Cluster, watchable
from corpus_lonely.cluster.security import from_files
from corpus_lonely.cluster.settings import ClusterSettings, check_address
from corpus_lonely.errors import InputError

CONNECT_TIMEOUT_S = 10
_FILE_TIMEOUT_S = 120
"""A scheduler that `srun` starts takes its time on a busy file system."""
_WORKERS_TIMEOUT_S = 60


@contextmanager
def existing_cluster(settings: ClusterSettings) -> Iterator[Cluster]:
    """A client of the scheduler at an address, or of the one that wrote a scheduler file."""
    address = address_of(settings)
    client = _connect(address, security_for(settings, address))
    try:
        _wait_for_workers(client, address)
        check_versions(client, address)
        yield Cluster(client, address, watchable(client))
    finally:
        client.close(timeout=2)


def address_of(settings: ClusterSettings) -> str:
    """The address that is given, or that a scheduler writes into its file, waited for and checked."""
    if settings.scheduler_file is None:
        return str(settings.scheduler)
    address = _address_in(settings.scheduler_file)
    check_address(settings, address)
    return address


def check_versions(client: Client, where: str) -> None:
    """Python and Dask must agree; other packages may differ, and are told in each part."""
    found: Any = client.get_versions()
    ours = _decisive(found["client"])
    for peer in [found["scheduler"], *found["workers"].values()]:
        theirs = _decisive(peer)
        if differing := [name for name in ours if theirs[name] != ours[name]]:
            name = differing[0]
            raise InputError(
                f"runs {name} {theirs[name]}, and this process {ours[name]}",
                where=where,
                hint="Use one environment on all hosts",
            )


def _connect(address: str, security: Security) -> Client:
    try:
        with warnings.catch_warnings():
            # said in one line by `check_versions`
            warnings.filterwarnings("ignore", message="Mismatched versions", module="distributed")
            return Client(
                address, security=security, timeout=CONNECT_TIMEOUT_S, set_as_default=False
            )
    except (OSError, TypeError, ValueError) as error:
        raise InputError(
            f"no Dask scheduler answers there within {CONNECT_TIMEOUT_S} s",
            where=address,
            hint="Is it up, is the port right, and do both sides use tls:// or both tcp://?",
        ) from error


def security_for(settings: ClusterSettings, address: str) -> Security:
    """What Dask asks of the other side at this address, which `check_address` has passed."""
    if address.startswith("tls://"):
        return from_files(settings.tls_ca, settings.tls_cert, settings.tls_key)
    return Security(require_encryption=False)


def _address_in(path: Path) -> str:
    """The address that a scheduler wrote into its file, once it has."""
    deadline = time.monotonic() + _FILE_TIMEOUT_S
    while (address := _read_address(path)) is None:
        if time.monotonic() > deadline:
            raise InputError(
                f"no scheduler has written its address there for {_FILE_TIMEOUT_S} s",
                where=path,
                hint=f"Start one: dask scheduler --scheduler-file {path}",
            )
        time.sleep(0.2)
    return address


def _read_address(path: Path) -> str | None:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):  # not there yet, or half written
        return None
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path) from error
    address = content.get("address") if isinstance(content, dict) else None
    return address if isinstance(address, str) else None


def _wait_for_workers(client: Client, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=_WORKERS_TIMEOUT_S)
    except TimeoutError:
        raise InputError(
            f"the scheduler has had no worker for {_WORKERS_TIMEOUT_S} s",
            where=address,
            hint=f"Start some: dask worker {address}",
        ) from None


def _decisive(versions: dict[str, Any]) -> dict[str, str]:
    packages = versions["packages"]
    python = ".".join(str(packages["python"]).split(".")[:2])
    return {"Python": python, **{name: packages[name] for name in ("dask", "distributed")}}
