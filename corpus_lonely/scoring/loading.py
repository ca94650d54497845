"""Has the workers of a cluster load the model, and goes on with the first that is ready."""

import queue
from contextlib import suppress
from typing import Any

from distributed import Future, wait

from corpus_lonely.cluster import Cluster
from corpus_lonely.errors import CorpusLonelyError, InputError, ScoringError
from corpus_lonely.inference.folder import NUMERICS_VERSION
from corpus_lonely.scoring.crew import POLL_S, Crew, lost
from corpus_lonely.scoring.task import Ready, Task
from corpus_lonely.scoring.trust import Trust
from corpus_lonely.scoring.worker import prepare, versions

FORGOTTEN = ("lost", "pending")
"""What Dask says of one that had ended, when its worker has died before anybody asked for the outcome."""


class Loading:
    """All workers load at once; those that cannot are left out while another may."""

    def __init__(self, cluster: Cluster, crew: Crew, trust: Trust) -> None:
        self._cluster, self._crew, self._trust = cluster, crew, trust
        self._under_way: list[Future[Any]] = []
        self._ended: queue.Queue[Future[Any]] = queue.Queue()

    def first(self, task: Task) -> Ready:
        """The first that is ready; raises what keeps all from being so."""
        self._crew.look()
        # the last may just have left: then the next to come loads
        for _ in range(max(1, len(self._crew.alive))):
            # not bound to a worker's address: one that dies comes back under another, and Dask would
            # wait for the old one forever
            self._start(task)
        while True:
            future = self._next()
            told = self._told(future)
            if isinstance(told, Ready):
                self._let_go(future)
                for other in list(self._under_way):
                    other.add_done_callback(self._let_go)
                return told
            worker = self._worker_of(future)
            self._let_go(future)
            others = self._trust.refused(worker, told)
            if not others:
                raise self._trust.named(worker, told)
            if not self._under_way:
                self._start(task, workers=sorted(others), allow_other_workers=True)

    def _start(self, task: Task, **where: Any) -> None:
        future = self._cluster.client.submit(prepare, task, pure=False, **where)
        self._under_way.append(future)
        future.add_done_callback(self._ended.put)

    def _let_go(self, future: Future[Any]) -> None:
        """A worker that holds the only copy of an outcome cannot leave in order."""
        with suppress(ValueError):
            self._under_way.remove(future)
        future.release()

    def _next(self) -> Future[Any]:
        """The one that ends next; meanwhile a user hears of workers that stay away."""
        while True:
            try:
                return self._ended.get(timeout=POLL_S)
            except queue.Empty:
                self._crew.look()

    def _told(self, future: Future[Any]) -> Ready | CorpusLonelyError:
        if future.status in FORGOTTEN:
            wait(future)  # Dask has it loaded once more
        if future.status not in ("finished", "error"):
            raise lost(self._cluster.address)
        if future.status == "error":
            raise ScoringError(
                f"a worker could not load the model ({type(future.exception()).__name__})",
                where=self._cluster.address,
                hint="It may be short of memory, or lack this package: see its log",
            )
        told: Ready | CorpusLonelyError = future.result()
        return _other_version(told) or told if isinstance(told, Ready) else told

    def _worker_of(self, future: Future[Any]) -> str:
        holders = self._cluster.client.who_has([future]).values()
        return next((worker for held in holders for worker in held), self._cluster.address)


def _other_version(ready: Ready) -> InputError | None:
    """What is wrong with a worker whose package computes otherwise."""
    if ready.numerics_version == NUMERICS_VERSION:
        return None
    ours = versions()["corpus-lonely"]
    return InputError(
        f"the workers run corpus-lonely {ready.versions['corpus-lonely']}, this process {ours}",
        hint="Use one environment on all hosts",
    )
