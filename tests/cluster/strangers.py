"""Clients that were given no certificate of the run, or another, and what they reach."""

import asyncio
import socket
import ssl
from urllib.parse import urlsplit

import psutil
import pytest
from distributed import Client, Security
from distributed.core import rpc

from corpus_lonely.cluster.security import make_credentials


def assert_strangers_are_turned_away(address: str) -> None:
    """Nobody talks Dask to this tls:// address but who holds a certificate of its run."""
    plain = address.replace("tls://", "tcp://")
    another = make_credentials()
    # the certificate of another run, whose owner knows, or takes on trust, who the other side is
    for target, security in (
        (plain, None),
        (address, another.security()),
        (address, Security.temporary()),
    ):
        with pytest.raises(OSError):
            Client(target, security=security, timeout=2, set_as_default=False)
        with pytest.raises(OSError):
            asyncio.run(_identity(target, security))
    assert answer(address, None) == b""
    assert answer(address, another.security()) == b""


async def _identity(address: str, security: Security | None) -> None:
    arguments = security.get_connection_args("client") if security else {}
    async with rpc(address, connection_args=arguments, timeout=2) as remote:
        await remote.identity()


def answer(address: str, security: Security | None) -> bytes:
    """What the other side sends to a client that trusts anybody, and shows this certificate or none.

    Dask's own client looks at the other side's certificate first, and so does not show whether the
    other side looks at ours.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if security is not None:
        context = security.get_connection_args("client")["ssl_context"]
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    parts = urlsplit(address)
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as bare:
        try:
            with context.wrap_socket(bare) as talking:
                return talking.recv(1000)  # in TLS 1.3 a refusal comes after our part is done
        except OSError:
            return b""


def assert_only_loopback_listens(*pids: int) -> None:
    """These processes listen to their own machine alone."""
    listening = [
        connection.laddr.ip
        for pid in pids
        for connection in psutil.Process(pid).net_connections("tcp")
        if connection.status == "LISTEN"
    ]
    assert listening
    assert set(listening) <= {"127.0.0.1", "::1"}
