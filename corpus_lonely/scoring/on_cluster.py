"""Hands shards to the workers of a Dask cluster, a bounded number at a time, until all have landed."""

import os
import queue
import time
import uuid
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import islice
from typing import Any

from distributed import Future, KilledWorker, get_worker

from corpus_lonely.cluster import MAX_DEATHS, Cluster
from corpus_lonely.errors import ScoringError
from corpus_lonely.scoring.crew import POLL_S, Crew, lost
from corpus_lonely.scoring.flights import Flight, Flights
from corpus_lonely.scoring.loading import FORGOTTEN, Loading
from corpus_lonely.scoring.patience import LONGER, MAX_BEGINS, Patience
from corpus_lonely.scoring.plan import Shard
from corpus_lonely.scoring.task import (
    Abandoned,
    Heard,
    Outcome,
    Ready,
    ShardFailure,
    ShardResult,
    Task,
)
from corpus_lonely.scoring.trust import Trust
from corpus_lonely.scoring.worker import score_shard

_OUTSTANDING_PER_WORKER = 4
"""Enough that no worker waits; few enough that the scheduler's memory does not grow with the input."""
_DIED = f"its worker died {MAX_DEATHS} times; it may need more memory than there is"
_HOPELESS_BREAKS = 3 * MAX_DEATHS
"""Processes a worker whose devices fail before anything is done: more than a bad shard breaks, which is set aside."""
_LAST_WORDS_S = 0.5
"""A worker that ends itself waits so long, for what it says to be sent."""


class OnCluster:
    """One future a shard; a shard whose worker dies is given to another.

    When nothing is left to hand out and workers are idle, a shard that takes much longer than usual
    is started once more elsewhere: the first to land counts, and both would write the same bytes.
    """

    def __init__(
        self, cluster: Cluster, note: Callable[[str], None], *, more_may_come: bool = False
    ) -> None:
        self._cluster, self._client, self._note = cluster, cluster.client, note
        self._run = uuid.uuid4().hex[:8]  # another run on the same scheduler has other keys
        self._inbox: queue.Queue[Any] = queue.Queue()
        self._crew = Crew(cluster, note)
        self._trust = Trust(cluster, self._crew, note, more_may_come=more_may_come)
        self._loading = Loading(cluster, self._crew, self._trust)
        self._submitted = self._retries = 0
        self._flights = Flights()
        self._patience = Patience(note)
        self._broken: dict[int, str] = {}
        self._breaks: set[str] = set()
        self._most = 0

    def prepare(self, task: Task) -> Ready:
        """See `Executor.prepare`."""
        with self._asking():
            return self._loading.first(task)

    def score(self, shards: Iterable[Shard], task: Task, heard: Heard) -> Generator[Outcome]:
        """See `Executor.score`."""
        self._client.subscribe_topic(self._run, lambda event: self._inbox.put(event[1]))
        suspects: list[Shard] = []
        try:
            for outcome in self._hand_out(shards, task, heard, self._room):
                if isinstance(outcome, ShardFailure) and outcome.suspect:
                    suspects.append(outcome.shard)
                else:
                    yield outcome
            # Dask blames all that a dead worker had been given; alone, only the guilty die again
            self._retries += len(suspects)
            yield from self._hand_out(suspects, task, heard, lambda: 1)
        finally:
            self._recall()

    def _hand_out(
        self, shards: Iterable[Shard], task: Task, heard: Heard, room: Callable[[], int]
    ) -> Iterator[Outcome]:
        waiting = iter(shards)
        while True:
            self._crew.look()
            yield from self._send_stranded(task)
            wanted = room() - len(self._flights)
            for shard in islice(waiting, max(0, wanted)):
                self._send(shard, task)
                wanted -= 1
            if not self._flights:
                return
            if wanted > 0 and room == self._room:
                self._start_twice(task)
            try:
                message = self._inbox.get(timeout=POLL_S)
            except queue.Empty:
                if not self._crew.alive:
                    self._patience.heard()  # that nobody is there is told by the crew
                self._patience.look(self._flights)
                continue
            self._patience.heard()
            if not isinstance(message, Future):
                self._hear(message, heard)
                yield from self._given_up(message[0])
            elif outcome := self._end(message, task):
                yield outcome
                message.release()

    def _start_twice(self, task: Task) -> None:
        """Nothing is left to hand out: what idle workers can do is overtake a slow one."""
        for flight in self._flights.slow():
            usable = self._trust.usable()
            others = usable - {flight.worker}
            if not others or len(self._flights.futures()) >= len(usable):
                return
            self._send(flight.shard, task, others)

    def _send_stranded(self, task: Task) -> Iterator[Outcome]:
        """Gives to others what was meant for workers that have all gone since."""
        for future, flight in self._flights.stranded(self._crew.alive):
            if flight.begins >= MAX_DEATHS:
                self._flights.landed(future)
                yield ShardFailure(flight.shard, _DIED)
            else:
                self._send(flight.shard, task)
                self._flights.landed(future, failed=True)
            self._cancel([future])

    def _hear(self, message: Any, heard: Heard) -> None:
        index, rows, worker, broken = message
        if broken:
            self._broken[index] = broken
            self._count_break(worker, broken)
            self._note(f"A worker's device failed ({broken}); a fresh worker is started")
        elif rows:
            heard(index, rows)
        elif self._flights.begun(index, worker):
            self._retries += 1
            if flight := self._flights.of_shard(index):
                self._patience.begun(flight)

    def _count_break(self, worker: str, broken: str) -> None:
        """Ends a run whose devices all fail, again and again, before anything is done."""
        self._breaks.add(worker)
        self._most = max(self._most, len(self._crew.alive), 1)
        if len(self._breaks) >= _HOPELESS_BREAKS * self._most:
            raise ScoringError(
                f"the device failed in {len(self._breaks)} worker processes, one after the other, and no "
                f"part was done in between ({broken})",
                hint="What is done is kept. See that the GPU and its driver are well, or give --device cpu",
            )

    def _given_up(self, index: int) -> Iterator[Outcome]:
        """A shard whose workers left before it was done, again and again."""
        flight = self._flights.of_shard(index)
        if flight and flight.begins >= MAX_BEGINS:
            copies = list(flight.copies)
            self._flights.landed(copies[0])
            self._cancel(copies)
            yield ShardFailure(flight.shard, f"it was begun {flight.begins} times: {LONGER}")

    def _recall(self) -> None:
        """Leaves the cluster idle: what still runs there is stopped, and writes nothing any more."""
        with suppress(OSError, RuntimeError, TimeoutError, ValueError):
            self._client.unsubscribe_topic(self._run)
        self._cancel(self._flights.futures())

    def _cancel(self, futures: list[Future[Any]]) -> None:
        if futures and self._cluster.alive():
            with suppress(OSError, RuntimeError, TimeoutError):
                self._client.cancel(futures, force=True)

    def workers(self) -> int:
        """See `Executor.workers`."""
        return len(self._trust.usable())

    def retries(self) -> int:
        """See `Executor.retries`."""
        return self._retries

    def _room(self) -> int:
        return _OUTSTANDING_PER_WORKER * max(1, len(self._trust.usable()))

    def _send(self, shard: Shard, task: Task, workers: Collection[str] = ()) -> None:
        """Hands a shard to whoever is free, or to one of these workers; never to one that is left out."""
        if not workers and self._trust.left_out:
            workers = self._trust.usable()
        # and to no others, though these be busy: those left out are always free
        where = {"workers": sorted(workers)} if workers else {}
        self._submitted += 1  # a key is used once, also for a shard that is tried again
        key = f"score-{self._run}-{self._submitted:06d}"
        future = self._client.submit(
            _on_worker, shard, task, self._run, key=key, pure=False, **where
        )
        future.add_done_callback(self._inbox.put)
        self._flights.add(shard, future, workers)

    def _end(self, future: Future[Any], task: Task) -> Outcome | None:
        """What a copy makes of its shard; None where it failed and another may still succeed."""
        flight = self._flights.of(future)
        if flight is None:
            return None
        if future.status in FORGOTTEN:
            self._send(flight.shard, task)
            self._flights.landed(future, failed=True)
            self._cancel([future])
            return None
        outcome = None
        if future.status == "finished" or len(flight.copies) == 1:
            outcome, others = self._trust.judge(self._outcome(future, flight), flight, task)
            if others:
                self._elsewhere(future, flight, task, others)
                return None
        if isinstance(outcome, ShardResult):
            self._breaks.clear()
        failed = outcome is None or (isinstance(outcome, ShardFailure) and not outcome.fatal)
        if self._flights.landed(future, failed):
            self._cancel(flight.copies)
            return outcome
        return None

    def _elsewhere(self, future: Future[Any], flight: Flight, task: Task, others: set[str]) -> None:
        """Gives a shard to other workers, unless another copy is under way."""
        if len(flight.copies) == 1:
            self._send(flight.shard, task, others)
            self._retries += 1
            flight.began, flight.begins = None, 0
        self._flights.landed(future, failed=True)

    def _outcome(self, future: Future[Any], flight: Flight) -> Outcome:
        shard = flight.shard
        with self._asking():
            try:
                if future.status == "finished":
                    outcome: Outcome = future.result()
                    return outcome
                if future.status != "error":
                    raise lost(self._cluster.address)
                error: BaseException | None = future.exception()
            except KilledWorker as killed:  # it had ended, and was done again as its worker died
                error = killed
            several = max(self._client.nthreads().values(), default=1) > 1
        if not isinstance(error, KilledWorker):
            # the message of an error that nobody foresaw might quote a post
            return ShardFailure(shard, f"{type(error).__name__} on its worker")
        reason = _DIED
        if broken := self._broken.pop(shard.index, None):
            reason = f"its worker's device failed {MAX_DEATHS} times ({broken})"
        # a shard that was at work each time is to blame, and one that waited at a worker may be not
        # (where a worker has several in hand, as on a GPU, all of them were at work)
        return ShardFailure(shard, reason, suspect=several or flight.begins < MAX_DEATHS)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """A scheduler that goes away while it is asked for something is gone."""
        try:
            yield
        except (OSError, CancelledError) as error:
            raise lost(self._cluster.address) from error


def _on_worker(shard: Shard, task: Task, topic: str) -> Outcome:
    """Scores a shard in a worker; ends the worker where its device is broken."""
    worker = get_worker()
    key = worker.get_current_task()

    def told(rows: int) -> None:
        state = worker.state.tasks.get(key)
        if state is None or state.state == "cancelled":
            raise Abandoned
        worker.log_event(topic, (shard.index, rows, worker.address, ""))

    outcome = replace(score_shard(shard, task, told), worker=worker.address)
    if isinstance(outcome, ShardFailure) and outcome.broken and worker.nanny:
        worker.log_event(topic, (shard.index, 0, worker.address, outcome.reason))
        time.sleep(_LAST_WORDS_S)
        os._exit(1)  # its nanny starts another, and the scheduler gives the shard to one that lives
    return outcome
