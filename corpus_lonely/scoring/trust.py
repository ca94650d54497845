"""Which workers of a cluster can do a run's work, found out as they try, and what a user is told of the others."""

import platform
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from urllib.parse import urlsplit

from corpus_lonely.cluster import Cluster
from corpus_lonely.errors import CorpusLonelyError, InputError, OutputError
from corpus_lonely.scoring.crew import POLL_S, Crew
from corpus_lonely.scoring.flights import Flight
from corpus_lonely.scoring.parts import Output
from corpus_lonely.scoring.probe import check_part
from corpus_lonely.scoring.task import Outcome, ShardFailure, ShardResult, Task

_TRIES = 3
"""Workers at most that try a shard, of which none has done any other well."""
_MISSES = 3
"""Shards in a row that fail on a worker and are done by another: it is the worker's fault."""
_PATIENCE_S, _LONG_PATIENCE_S = 15.0, 60.0
"""A run waits so long for a worker when all that are there are left out: longer if others had worked."""


class Trust:
    """What the outcomes say of the workers: one look at each, nothing for each shard."""

    def __init__(
        self, cluster: Cluster, crew: Crew, note: Callable[[str], None], *, more_may_come: bool
    ) -> None:
        self._cluster, self._crew, self._note = cluster, crew, note
        self._more_may_come = more_may_come
        self.left_out: set[str] = set()
        """Addresses of workers that are given nothing more."""
        self._proven: set[str] = set()
        self._misses: dict[str, int] = {}
        self._told: set[tuple[str, str]] = set()

    def usable(self) -> set[str]:
        """The workers that are alive, without those left out."""
        return self._crew.alive - self.left_out

    def refused(self, worker: str, error: CorpusLonelyError) -> set[str]:
        """Leaves a worker out; returns those that remain, and waits a little for one to come."""
        new = worker not in self.left_out
        self.left_out.add(worker)
        patience = _LONG_PATIENCE_S if self._proven else _PATIENCE_S
        until = time.monotonic() + (patience if self._more_may_come else 0.0)
        while not (usable := self.usable()) and time.monotonic() < until:
            time.sleep(POLL_S)
            self._crew.look()
        if usable and new:
            self._tell(worker, error)
        return usable

    def named(self, worker: str, error: CorpusLonelyError) -> CorpusLonelyError:
        """The error, with the host where it was met; on this machine alone there is only one."""
        if not self._more_may_come:
            return error
        host = f"{self._node(worker)} ({worker})"
        where = host if error.where is None else f"{error.where} on {host}"
        return type(error)(error.what, where=where, hint=error.hint)

    def judge(self, outcome: Outcome, flight: Flight, task: Task) -> tuple[Outcome, set[str]]:
        """The outcome, and who else is to try the shard before it counts: nobody, most often."""
        worker = outcome.worker
        if not worker:
            return outcome, set()
        if isinstance(outcome, ShardResult):
            if (error := self._unseen(worker, outcome, task)) is None:
                self._did_well(worker, flight)
                return outcome, set()
            outcome = ShardFailure(outcome.shard, str(error), fatal=error, host=True, worker=worker)
        if outcome.fatal and outcome.host:
            usable = self.refused(worker, outcome.fatal)
            return replace(outcome, fatal=self.named(worker, outcome.fatal)), usable
        if outcome.fatal:
            return outcome, set()
        flight.failed[worker] = outcome.reason
        return outcome, self._others(flight)

    def _unseen(self, worker: str, result: ShardResult, task: Task) -> OutputError | None:
        """Whether the first part that a worker has written is not to be seen here."""
        if worker in self._proven:
            return None
        try:
            check_part(Output(task.out), result.shard.part)
        except OutputError as error:
            return error
        return None

    def _did_well(self, worker: str, flight: Flight) -> None:
        self._proven.add(worker)
        self._misses.pop(worker, None)
        for other, reason in flight.failed.items():
            self._misses[other] = self._misses.get(other, 0) + 1
            if self._misses[other] >= _MISSES and other not in self.left_out:
                told = (
                    f"{_MISSES} shards in a row failed there and were scored elsewhere ({reason})"
                )
                hint = "See that the posts and the model are there under the same paths"
                self.refused(other, InputError(told, hint=hint))

    def _others(self, flight: Flight) -> set[str]:
        """Who is to try a shard that has failed: on another host, and proven, where there is one."""
        tried = set(flight.failed)
        if len(tried) >= (2 if tried & self._proven else _TRIES):
            return set()
        others = self.usable() - tried
        hosts = {_host(worker) for worker in tried}
        others = {worker for worker in others if _host(worker) not in hosts} or others
        return others & self._proven or others

    def _tell(self, worker: str, error: CorpusLonelyError) -> None:
        node = self._node(worker)
        if (node, str(error)) not in self._told:  # its other workers meet the same
            self._told.add((node, str(error)))
            self._note(f"{node} ({worker}) is left out: {error}")

    def _node(self, worker: str) -> str:
        """The name of a worker's host; of its address where it does not answer."""
        with suppress(OSError, RuntimeError, ValueError, KeyError, TimeoutError):
            told = self._cluster.client.run(platform.node, workers=[worker], on_error="ignore")
            return str(told[worker])
        return _host(worker)


def _host(worker: str) -> str:
    return urlsplit(worker).hostname or worker
