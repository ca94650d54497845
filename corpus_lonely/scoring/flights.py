"""Shards that are being scored: by whom, since when, and which take so long that another should try."""

import time
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from distributed import Future

from corpus_lonely.scoring.plan import Shard

_SLOW_TIMES = 2.0
"""A shard is slow that runs for so many times the median of the finished ones."""
_SLOW_AFTER_S = 5.0
"""No shard is slow before; a second start costs as much again."""
_ENOUGH = 3
"""With fewer finished ones nobody knows what is usual."""
_REMEMBERED = 256


@dataclass
class Flight:
    """A shard that was handed out, once or twice."""

    shard: Shard
    copies: list[Future[Any]] = field(default_factory=list)
    began: float | None = None
    """When a worker began it; None while it waits."""
    worker: str = ""
    """The one that began it first, or first again after one had died."""
    begins: int = 0
    """How often it was begun."""
    failed: dict[str, str] = field(default_factory=dict)
    """Workers on which it failed, though another may do it, with the reason."""


class Flights:
    """All shards that are handed out and have not landed."""

    def __init__(self) -> None:
        self._by_future: dict[Future[Any], Flight] = {}
        self._by_index: dict[int, Flight] = {}
        self._bound: dict[Future[Any], frozenset[str]] = {}
        self._durations: deque[float] = deque(maxlen=_REMEMBERED)

    def __len__(self) -> int:
        return len(self._by_index)

    def __iter__(self) -> Iterator[Flight]:
        return iter(list(self._by_index.values()))

    def of_shard(self, index: int) -> Flight | None:
        """The flight of a shard; None where it has landed."""
        return self._by_index.get(index)

    def futures(self) -> list[Future[Any]]:
        """All copies of all shards."""
        return list(self._by_future)

    def add(self, shard: Shard, future: Future[Any], workers: Collection[str] = ()) -> None:
        """A shard is handed out, or once more; to these workers alone, if any are named."""
        if workers:
            self._bound[future] = frozenset(workers)
        flight = self._by_index.setdefault(shard.index, Flight(shard))
        flight.copies.append(future)
        self._by_future[future] = flight

    def begun(self, index: int, worker: str) -> bool:
        """A worker begins a shard; tells whether one had begun it before."""
        flight = self._by_index.get(index)
        if flight is None:
            return False
        again = flight.began is not None
        flight.begins += 1
        if not again or len(flight.copies) == 1:
            flight.began, flight.worker = time.monotonic(), worker
        return again

    def of(self, future: Future[Any]) -> Flight | None:
        """The flight of a copy; None where the copy is not needed any more."""
        return self._by_future.get(future)

    def landed(self, future: Future[Any], failed: bool = False) -> Flight | None:
        """The flight that a copy ends, with the copies that are not needed any more.

        None where the copy is unknown, or has failed and another is still under way.
        """
        flight = self._by_future.pop(future, None)
        self._bound.pop(future, None)
        if flight is None:
            return None
        flight.copies.remove(future)
        if failed and flight.copies:
            return None
        for copy in flight.copies:
            del self._by_future[copy]
            self._bound.pop(copy, None)
        del self._by_index[flight.shard.index]
        if not failed and flight.began is not None:
            self._durations.append(time.monotonic() - flight.began)
        return flight

    def stranded(self, alive: set[str]) -> list[tuple[Future[Any], Flight]]:
        """Copies that wait for workers of which none is there any more."""
        return [
            (future, self._by_future[future])
            for future, workers in self._bound.items()
            if alive.isdisjoint(workers) and not future.done()
        ]

    def slow(self) -> Iterator[Flight]:
        """Those in the hands of one worker for much longer than is usual."""
        if len(self._durations) < _ENOUGH:
            return
        limit = max(_SLOW_AFTER_S, _SLOW_TIMES * median(self._durations))
        now = time.monotonic()
        for flight in list(self._by_index.values()):
            # one whose worker died is no straggler: it may kill the next worker as well
            once = len(flight.copies) == flight.begins == 1
            if once and flight.began is not None and now - flight.began > limit:
                yield flight
