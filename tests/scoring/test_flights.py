"""Which shards are on their way, and which of them are slow."""

from typing import Any

import pytest

from corpus_lonely.errors import OutputError
from corpus_lonely.scoring import flights
from corpus_lonely.scoring.flights import Flights
from corpus_lonely.scoring.on_cluster import OnCluster
from corpus_lonely.scoring.parts import Counts
from corpus_lonely.scoring.plan import Shard
from corpus_lonely.scoring.task import Outcome, ShardFailure, ShardResult
from tests.scoring.test_plan import _file


class Copy:
    """What a future is to a flight."""

    def __init__(self, status: str = "pending") -> None:
        self.status = status


class Clock:
    """A clock that tests set."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(flights, "time", clock)
    return clock


def copy(status: str = "pending") -> Any:
    return Copy(status)


def shard(index: int) -> Shard:
    return Shard(index, _file(100), 0, 10)


def fly(known: Flights, clock: Clock, index: int, seconds: float) -> None:
    future = copy()
    known.add(shard(index), future)
    known.begun(index, "a")
    clock.now += seconds
    future.status = "finished"
    assert known.landed(future)


def test_slow_is_what_takes_more_than_twice_the_median(clock: Clock) -> None:
    known = Flights()
    for index, seconds in enumerate((10, 20, 90)):
        fly(known, clock, index, seconds)
    known.add(shard(3), copy())
    known.add(shard(4), copy())
    clock.now += 500
    assert list(known.slow()) == []  # they wait: nobody has begun them
    known.begun(3, "a")
    clock.now += 39
    known.begun(4, "b")
    assert list(known.slow()) == []
    clock.now += 2  # 41 s, and the median is 20
    assert [flight.shard.index for flight in known.slow()] == [3]
    known.add(shard(3), copy())
    assert list(known.slow()) == []  # two copies are enough


def test_nothing_is_slow_while_nobody_knows_what_is_usual_or_once_a_worker_died_of_it(
    clock: Clock,
) -> None:
    known = Flights()
    for index in range(2):
        fly(known, clock, index, 0.1)
    known.add(shard(9), copy())
    known.begun(9, "a")
    clock.now += 100
    assert list(known.slow()) == []
    fly(known, clock, 3, 0.1)
    assert len(list(known.slow())) == 1
    known.begun(9, "b")  # its worker died, and another has begun it anew
    clock.now += 100
    assert list(known.slow()) == []


def test_a_few_seconds_are_never_slow(clock: Clock) -> None:
    known = Flights()
    for index in range(3):
        fly(known, clock, index, 0.1)
    known.add(shard(9), copy())
    known.begun(9, "a")
    clock.now += 4.9
    assert list(known.slow()) == []
    clock.now += 0.2
    assert len(list(known.slow())) == 1


def test_the_first_copy_to_land_counts_and_the_other_is_named_to_be_cancelled() -> None:
    known, first, second = Flights(), copy(), copy("finished")
    known.add(shard(5), first)
    known.add(shard(5), second)
    assert len(known) == 1
    landed = known.landed(second)
    assert landed is not None
    assert (landed.shard.index, landed.copies) == (5, [first])
    first.status = "cancelled"
    assert known.landed(first) is None
    assert (len(known), known.futures()) == (0, [])


def test_a_copy_that_fails_leaves_the_shard_to_the_other() -> None:
    known, first, second = Flights(), copy("error"), copy("error")
    known.add(shard(5), first)
    known.add(shard(5), second)
    assert known.landed(first, failed=True) is None
    assert len(known) == 1
    assert known.landed(second, failed=True) is not None


class Done(Copy):
    """A copy that has come to an end."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__("finished")
        self.outcome = outcome

    def result(self) -> Outcome:
        return self.outcome


class Nowhere:
    """A cluster of whose client nothing is asked but what to cancel."""

    def __init__(self) -> None:
        self.client, self.address = self, "tcp://127.0.0.1:8786"
        self.cancelled: list[Any] = []

    def alive(self) -> bool:
        return True

    def cancel(self, futures: list[Any], force: bool) -> None:
        self.cancelled += futures


def ends(*outcomes: Outcome) -> tuple[list[Outcome | None], list[Any]]:
    """What becomes of a shard by the ends of its copies, one after the other, and what is cancelled."""
    there: Any = Nowhere()
    executor = OnCluster(there, print)
    copies: list[Any] = [Done(outcome) for outcome in outcomes]
    for future in copies:
        executor._flights.add(shard(5), future)
    task: Any = None  # nothing is sent once more
    return [executor._end(future, task) for future in copies], [
        copies.index(future) for future in there.cancelled
    ]


GOOD = ShardResult(shard(5), Counts(rows=10), 1.0)
BAD, WORSE = ShardFailure(shard(5), "no such mount"), ShardFailure(shard(5), "a bad disk")
FATAL = ShardFailure(shard(5), "full", fatal=OutputError("no space left on the disk"))


@pytest.mark.parametrize(
    ("outcomes", "told", "cancelled"),
    [
        ([BAD, GOOD], [None, GOOD], []),
        ([GOOD, BAD], [GOOD, None], [1]),
        ([BAD, WORSE], [None, WORSE], []),
        ([BAD], [BAD], []),
        ([FATAL, GOOD], [FATAL, None], [1]),
    ],
)
def test_a_failure_counts_when_no_other_copy_may_succeed(
    outcomes: list[Outcome], told: list[Outcome | None], cancelled: list[int]
) -> None:
    assert ends(*outcomes) == (told, cancelled)


def test_a_copy_that_failed_says_nothing_of_what_is_usual(clock: Clock) -> None:
    known = Flights()
    for index in range(3):
        known.add(shard(index), copy("finished"))
        known.begun(index, "a")
    for future in known.futures():
        known.landed(future, failed=True)
    known.add(shard(9), copy())
    known.begun(9, "a")
    clock.now += 100
    assert list(known.slow()) == []


def test_a_second_beginning_is_told() -> None:
    known = Flights()
    known.add(shard(1), copy())
    assert not known.begun(1, "a")
    assert known.begun(1, "b")
    assert not known.begun(2, "a")  # one that has landed
