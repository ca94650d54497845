"""Hands shards to workers, a bounded number at a time: in this process, or on a Dask cluster."""

import queue
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Protocol

from distributed import Future, KilledWorker, as_completed, get_worker

from corpus_lonely.cluster import MAX_DEATHS, Cluster
from corpus_lonely.errors import CorpusLonelyError, ScoringError
from corpus_lonely.scoring.plan import Shard
from corpus_lonely.scoring.worker import (
    Ready,
    ShardFailure,
    ShardResult,
    Task,
    prepare,
    score_shard,
)

Outcome = ShardResult | ShardFailure
Heard = Callable[[int, int], None]
"""Called with a shard's index and how many of its posts are scored so far."""

_OUTSTANDING_PER_WORKER = 4
"""Enough that no worker waits; few enough that the scheduler's memory does not grow with the input."""
_POLL_S = 1.0
_LOST_AFTER_S = 30.0


class Executor(Protocol):
    """Where shards are scored."""

    def prepare(self, task: Task) -> Ready:
        """Has the model loaded; raises what keeps it from being so."""

    def score(self, shards: Iterable[Shard], task: Task, heard: Heard) -> Iterator[Outcome]:
        """The outcomes of shards, in whatever order they are done."""

    def workers(self) -> int:
        """How many work now."""


class InProcess:
    """One shard after the other, in this process and without Dask."""

    def prepare(self, task: Task) -> Ready:
        """See `Executor.prepare`."""
        return _told(prepare(task))

    def score(self, shards: Iterable[Shard], task: Task, heard: Heard) -> Iterator[Outcome]:
        """See `Executor.score`."""
        for shard in shards:
            yield score_shard(shard, task, partial(heard, shard.index))

    def workers(self) -> int:
        """See `Executor.workers`."""
        return 1


class OnCluster:
    """One future a shard; a shard whose worker dies is given to another."""

    def __init__(self, cluster: Cluster, note: Callable[[str], None]) -> None:
        self._cluster, self._client, self._note = cluster, cluster.client, note
        self._run = uuid.uuid4().hex[:8]  # another run on the same scheduler has other keys
        self._inbox: queue.Queue[Any] = queue.Queue()
        self._alive: set[str] = set()
        self._looked = self._answered = 0.0
        self._submitted = 0
        self._loading: list[Future[Any]] = []

    def prepare(self, task: Task) -> Ready:
        """See `Executor.prepare`. All workers load at once; the first to be ready is enough."""
        self._look()
        # not bound to a worker's address: one that dies comes back under another, and Dask would wait
        # for the old one forever
        self._loading = [self._client.submit(prepare, task, pure=False) for _ in self._alive]
        first = next(as_completed(self._loading, loop=self._client.loop))
        if first.status not in ("finished", "error"):
            raise _lost(self._cluster.address)
        if first.status == "error":
            raise ScoringError(
                f"a worker could not load the model ({type(first.exception()).__name__})",
                where=self._cluster.address,
                hint="It may be short of memory, or lack this package: see its log",
            )
        return _told(first.result())

    def score(self, shards: Iterable[Shard], task: Task, heard: Heard) -> Iterator[Outcome]:
        """See `Executor.score`."""
        self._client.subscribe_topic(self._run, lambda event: self._inbox.put(event[1]))
        suspects: list[Shard] = []
        for outcome in self._hand_out(shards, task, heard, self._room):
            if isinstance(outcome, ShardFailure) and outcome.died:
                suspects.append(outcome.shard)
            else:
                yield outcome
        # Dask blames all that a dead worker had been given; alone, only the guilty one dies again
        yield from self._hand_out(suspects, task, heard, lambda: 1)

    def _hand_out(
        self, shards: Iterable[Shard], task: Task, heard: Heard, room: Callable[[], int]
    ) -> Iterator[Outcome]:
        waiting = iter(shards)
        pending: dict[Future[Any], Shard] = {}
        while True:
            self._look()
            for shard in _take(waiting, room() - len(pending)):
                pending[self._submit(shard, task)] = shard
            if not pending:
                return
            try:
                message = self._inbox.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            if isinstance(message, Future):
                yield _outcome(message, pending.pop(message))
                message.release()
            else:
                heard(*message)

    def workers(self) -> int:
        """See `Executor.workers`."""
        return len(self._alive)

    def _room(self) -> int:
        return _OUTSTANDING_PER_WORKER * max(1, len(self._alive))

    def _submit(self, shard: Shard, task: Task) -> Future[Any]:
        self._submitted += 1  # a key is used once, also for a shard that is tried again
        key = f"score-{self._run}-{self._submitted:06d}"
        future = self._client.submit(_on_worker, shard, task, self._run, key=key, pure=False)
        future.add_done_callback(self._inbox.put)
        return future

    def _look(self) -> None:
        """Sees now and then who is alive; ScoringError when the scheduler is gone."""
        now = time.monotonic()
        if now - self._looked < _POLL_S:
            return
        self._looked = now
        try:
            alive = self._cluster.workers()
        except OSError:
            alive = None
        if alive is None or not self._cluster.alive():
            if now - self._answered > _LOST_AFTER_S:
                raise _lost(self._cluster.address)
            return
        self._answered = now
        if dead := self._alive - alive:
            self._note(
                f"{len(dead)} of {len(self._alive)} workers died; their shards are handed out again"
            )
        self._alive = alive


def _on_worker(shard: Shard, task: Task, topic: str) -> Outcome:
    worker = get_worker()
    return score_shard(shard, task, lambda rows: worker.log_event(topic, (shard.index, rows)))


def _told(ready: Ready | CorpusLonelyError) -> Ready:
    if isinstance(ready, CorpusLonelyError):
        raise ready
    return ready


def _take(waiting: Iterator[Shard], room: int) -> Iterator[Shard]:
    for _ in range(room):
        shard = next(waiting, None)
        if shard is None:
            return
        yield shard


def _outcome(future: Future[Any], shard: Shard) -> Outcome:
    if future.status == "finished":
        outcome: Outcome = future.result()
        return outcome
    if future.status != "error":
        raise _lost("the Dask scheduler")
    error = future.exception()
    if isinstance(error, KilledWorker):
        reason = f"its worker died {MAX_DEATHS} times; it may need more memory than there is"
        return ShardFailure(shard, reason, died=True)
    # the message of an error that nobody foresaw might quote a post
    return ShardFailure(shard, f"{type(error).__name__} on its worker")


def _lost(where: str) -> ScoringError:
    return ScoringError(
        "the scheduler is gone",
        where=where,
        hint="What is done is kept: run the same command again to go on",
    )
