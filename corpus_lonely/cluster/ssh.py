"""Workers on hosts that SSH reaches, with the scheduler in this process.

Dask's own SSHCluster would put the certificates on the command line of each host, for all of its
users to read, or leave the wire open. Here they go through the SSH connection, to standard input.
"""

import asyncio
import shlex
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import asyncssh
import dask
from distributed import Client, SpecCluster
from distributed.deploy.spec import ProcessInterface

from corpus_lonely.cluster.existing import check_versions
from corpus_lonely.cluster.handle import Cluster, watchable_here
from corpus_lonely.cluster.host import hand_over
from corpus_lonely.cluster.local import ports_may_differ, scheduler_spec, silence
from corpus_lonely.cluster.processes import DASK_CONFIG
from corpus_lonely.cluster.security import make_credentials
from corpus_lonely.cluster.settings import ClusterSettings
from corpus_lonely.cluster.upkeep import Note, Upkeep, wait_for_a_worker
from corpus_lonely.errors import InputError, first_line

_CONNECT_S = 20
_END_S = 15
_ALIVE_S = 30
"""Seconds between the questions whether the other end is still there."""


@contextmanager
def ssh_cluster(settings: ClusterSettings, bytes_per_worker: int, note: Note) -> Iterator[Cluster]:
    """Starts workers on every host, goes on with the first that comes, and starts again what ended.

    All hosts must see the same files, under the same paths. The workers end when the connection does.
    Raises InputError when every host cannot be reached, is not the one that is known, or starts no worker.
    """
    credentials = make_credentials()
    hosts = settings.ssh.hosts
    options = {"settings": settings, "needs": bytes_per_worker, "hello": hand_over(credentials)}
    security = credentials.security()
    with dask.config.set(DASK_CONFIG), ports_may_differ():
        cluster = SpecCluster(
            workers={host: {"cls": _Host, "options": {**options, "host": host}} for host in hosts},
            scheduler=scheduler_spec(security, interface=settings.interface),
            security=security,
            silence_logs=silence(settings.debug),
        )
        members = list(cluster.workers.values())
        try:
            with (
                Upkeep(cluster, _ended, note).going_on() as upkeep,
                Client(cluster, set_as_default=False) as client,
            ):
                _tell_failures(members, note)
                waiting = f"Waiting for a worker on {', '.join(hosts)}"
                if not wait_for_a_worker(
                    client, lambda: upkeep.ended >= set(hosts), lambda: note(waiting)
                ):
                    raise _no_worker(members)
                check_versions(client, cluster.scheduler_address)
                yield Cluster(client, cluster.scheduler_address, watchable_here(client))
        finally:
            cluster.close()


class _Host(ProcessInterface):
    """The process on one host that starts its workers and ends with the connection."""

    def __init__(
        self,
        scheduler: str,
        *,
        name: str,
        host: str,
        settings: ClusterSettings,
        needs: int,
        hello: str,
    ) -> None:
        super().__init__(scheduler, name)
        self.host, self.scheduler = host, scheduler
        self.said: deque[str] = deque(maxlen=5)
        """The last lines that came back."""
        self.failure: InputError | None = None
        """Why it could not be begun with."""
        self._settings, self._needs, self._hello = settings, needs, hello
        self._connection: Any = None
        self._process: Any = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connects, checks the host's key against those known, and starts the workers.

        Raises nothing, for the other hosts may do: what fails is told, and tried again later.
        """
        try:
            self._connection = await _connect(self.host, self._settings)
            self._process = await self._connection.create_process(
                self._command(), stderr=asyncssh.STDOUT, request_pty=False
            )
        except InputError as error:
            self.failure = error
        except (OSError, asyncssh.Error) as error:
            self.failure = InputError(f"starts no process ({first_line(error)})", where=self.host)
        else:
            self._process.stdin.write(self._hello)
            self._reading = asyncio.create_task(self._read())
        await super().start()

    def ended(self) -> bool:
        """Whether the process or the connection is no more."""
        return self._process is None or self._process.is_closing() or self._reading_is_done()

    async def close(self) -> None:
        """Lets the workers end, and sees that they do."""
        if self._process is not None:
            with suppress(OSError, asyncssh.Error, TimeoutError):
                self._process.stdin.write_eof()
                await asyncio.wait_for(self._process.wait_closed(), _END_S)
        if self._connection is not None:
            self._connection.abort()
        await super().close()

    def _reading_is_done(self) -> bool:
        return self._reading is not None and self._reading.done()

    async def _read(self) -> None:
        with suppress(OSError, asyncssh.Error):
            async for line in self._process.stdout:
                if line.strip():
                    self.said.append(line.strip())

    def _command(self) -> str:
        settings = self._settings
        words = [settings.ssh.python or sys.executable, "-m", "corpus_lonely", "cluster", "worker"]
        words += ["--scheduler", str(self.scheduler), "--certificates-from-stdin"]
        words += ["--name", self.host, "--memory", str(self._needs)]
        for option, value in (("--workers", settings.workers), ("--threads", settings.threads)):
            words += [option, str(value)] if value is not None else []
        return shlex.join(words if settings.gpus else [*words, "--no-gpus"])


async def _connect(host: str, settings: ClusterSettings) -> Any:
    config = settings.ssh.config
    options: dict[str, Any] = {} if config is None else {"config": [str(config)]}
    try:
        # known hosts are left as the user's files say: an unknown key is refused
        return await asyncssh.connect(
            host, **options, connect_timeout=_CONNECT_S, keepalive_interval=_ALIVE_S
        )
    except asyncssh.HostKeyNotVerifiable as error:
        raise InputError(
            "is not among the known hosts, or shows another key than it had",
            where=host,
            hint=f"Connect once by hand and compare the key: ssh {host}",
        ) from error
    except asyncssh.PermissionDenied as error:
        raise InputError(
            "does not let us in without a password",
            where=host,
            hint=f"Set up a key, or ssh-agent, until this needs no password: ssh {host}",
        ) from error
    except (OSError, asyncssh.Error, TimeoutError) as error:
        raise InputError(f"cannot be reached over SSH ({first_line(error)})", where=host) from error


async def _ended(cluster: SpecCluster) -> set[str]:
    return {name for name, host in cluster.workers.items() if host.ended()}


def _tell_failures(members: list[_Host], note: Note) -> None:
    """Names the hosts that cannot be begun with; raises what keeps the first from it when none can."""
    failures = [host.failure for host in members if host.failure]
    if len(failures) == len(members):
        raise failures[0]
    for failure in failures:
        note(f"Going on without a host, which is tried again later: {failure}")


def _no_worker(members: list[_Host]) -> InputError:
    told = next((host for host in members if host.said), members[0])
    said = told.said[-1].removeprefix("Error: ") if told.said else "it said nothing"
    return InputError(
        f"started no worker ({said})",
        where=told.host,
        hint="Is this package there, under the same path? Else see --ssh-python",
    )
