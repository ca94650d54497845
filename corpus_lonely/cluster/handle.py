"""A cluster that stands: what scoring sees of it, and where a user may watch it."""

import socket
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import urlsplit

from distributed import Client

LOOPBACK = "127.0.0.1"
DASHBOARD = f"{LOOPBACK}:8787"
"""Where a scheduler of ours shows its dashboard: to users of that machine alone."""


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


def watchable(client: Client) -> str | None:
    """The dashboard; without Bokeh, the plain page that Dask has in its stead."""
    try:
        link: str = client.dashboard_link
    except (KeyError, ValueError):
        return None
    return link if find_spec("bokeh") else link.removesuffix("/status") + "/info/main/workers.html"


def watchable_here(client: Client) -> str | None:
    """The dashboard of a scheduler in this process whose workers are elsewhere, and how to reach it.

    Dask names the address that the workers use, but the dashboard listens on loopback only.
    """
    link = watchable(client)
    if link is None:
        return None
    parts = urlsplit(link)
    host, port = socket.gethostname(), parts.port
    near = parts._replace(netloc=f"{LOOPBACK}:{port}").geturl()
    return f"{near} on {host} (from elsewhere, first: ssh -N -L {port}:{LOOPBACK}:{port} {host})"
