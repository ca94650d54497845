"""What looks after a cluster goes on whatever happens, says why, and is in no hurry in vain."""

import asyncio
import threading
import time
from collections.abc import Callable, Generator, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from distributed import Status

from corpus_lonely.cluster import upkeep
from corpus_lonely.cluster.upkeep import Upkeep
from corpus_lonely.errors import InputError


class Member:
    """A job or a host that runs until it is told otherwise."""

    def __init__(self, name: str, failure: Exception | None = None) -> None:
        self.name, self.failure = name, failure
        self.status = Status.running
        self.closing: list[Exception] = []
        """What closing raises, once each."""

    async def close(self) -> None:
        """Ends it."""
        if self.closing:
            raise self.closing.pop()


class Cluster:
    """As much of a SpecCluster as is looked after, in a loop of its own thread."""

    def __init__(self) -> None:
        self.status = Status.running
        self.asyncio_loop = asyncio.new_event_loop()
        callback = self.asyncio_loop.call_soon_threadsafe
        self.loop = SimpleNamespace(asyncio_loop=self.asyncio_loop, add_callback=callback)
        self.opening: Callable[[str], Member] = Member
        self.workers = {name: Member(name) for name in ("one", "two")}
        self.looks: list[float] = []
        self.asking: list[Exception] = []
        """What the question for members that have ended raises, once each."""

    async def ended(self, _cluster: Any) -> set[str]:
        """None that does not know it."""
        self.looks.append(time.monotonic())
        if self.asking:
            raise self.asking.pop()
        return set()

    def __await__(self) -> Generator[Any, Any, None]:
        yield from asyncio.sleep(0).__await__()
        for name in {"one", "two"} - self.workers.keys():
            self.workers[name] = self.opening(name)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Two members, looked at a hundred times a second."""
    for name in ("_FIRST_S", "_POLL_S"):
        monkeypatch.setattr(upkeep, name, 0.01)
    made = Cluster()
    thread = threading.Thread(target=made.asyncio_loop.run_forever)
    thread.start()
    yield made
    made.asyncio_loop.call_soon_threadsafe(made.asyncio_loop.stop)
    thread.join()
    made.asyncio_loop.close()


def wait_until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def failing(reasons: Iterator[str]) -> Callable[[str], Member]:
    """Opens a member that fails for one reason after another, then one that works."""

    def opening(name: str) -> Member:
        reason = next(reasons, None)
        if reason is None:
            return Member(name)
        raise RuntimeError("failed to start.\nfor long") from InputError(reason)

    return opening


def test_a_member_that_cannot_be_closed_is_replaced_and_the_others_are_too(
    cluster: Cluster,
) -> None:
    before = dict(cluster.workers)
    for member in before.values():
        member.closing = [TimeoutError()]
        member.status = Status.failed
    with Upkeep(cluster, cluster.ended, print).going_on() as looking:  # type: ignore[arg-type]
        wait_until(lambda: looking.replaced == 2 and len(cluster.workers) == 2)
        assert not set(before.values()) & set(cluster.workers.values())


def test_a_look_that_fails_is_told_and_the_next_one_comes(cluster: Cluster) -> None:
    notes: list[str] = []
    cluster.asking = [OSError("no more processes"), ValueError("no job id\nin a long answer")]
    cluster.workers["one"].status = Status.failed
    first = cluster.workers["one"]
    with Upkeep(cluster, cluster.ended, notes.append).going_on():  # type: ignore[arg-type]
        wait_until(lambda: len(cluster.looks) > 3)
    assert cluster.workers["one"] is not first
    told = "Workers cannot be started again, trying on: "
    assert notes == [f"{told}no job id", f"{told}no more processes"]


def test_a_reason_is_told_when_it_is_another(cluster: Cluster) -> None:
    notes: list[str] = []
    cluster.opening = failing(iter(["full", "full", "full", "closed", "closed"]))
    cluster.workers["one"].status = Status.failed
    with Upkeep(cluster, cluster.ended, notes.append).going_on():  # type: ignore[arg-type]
        wait_until(lambda: len(notes) == 2 and len(cluster.workers) == 2)
    assert [note.rpartition(": ")[2] for note in notes] == ["full", "closed"]


def test_members_that_keep_why_they_failed_are_told_each_for_itself(cluster: Cluster) -> None:
    def down(name: str) -> Member:
        member = Member(name, InputError("is down", where=name))
        member.status = Status.failed
        return member

    notes: list[str] = []
    cluster.opening = down
    cluster.workers = {"one": down("one"), "two": Member("two")}  # the first is told by others
    with Upkeep(cluster, cluster.ended, notes.append).going_on():  # type: ignore[arg-type]
        wait_until(lambda: len(cluster.looks) > 1)
        cluster.workers["two"].status = Status.failed
        wait_until(lambda: len(cluster.looks) > 4)
    assert [note.partition("trying on: ")[2] for note in notes] == ["two: is down"]


def test_only_what_ends_as_it_begins_is_waited_with(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(name: str) -> Member:
        member = Member(name)
        member.status = Status.closed
        return member

    cluster.opening = short
    cluster.workers["one"].status = Status.closed
    monkeypatch.setattr(upkeep, "_YOUNG_S", 0.0)  # all are of age
    with Upkeep(cluster, cluster.ended, print).going_on() as looking:  # type: ignore[arg-type]
        wait_until(lambda: looking.replaced >= 8)
        assert cluster.looks[7] - cluster.looks[0] < 1  # doubled, it were 1.3 s at least
        monkeypatch.setattr(upkeep, "_YOUNG_S", 0.03)  # less than the delays, none the less
        since = len(cluster.looks)
        wait_until(lambda: len(cluster.looks) >= since + 4)
        assert cluster.looks[since + 3] - cluster.looks[since + 2] > 0.07


def test_what_looks_after_a_cluster_never_ends_a_run(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_looking: Upkeep) -> None:
        raise TypeError("a mistake of ours")

    monkeypatch.setattr(Upkeep, "_run", broken)
    with Upkeep(cluster, cluster.ended, print).going_on():  # type: ignore[arg-type]
        pass


def test_nothing_is_told_once_it_is_stopped(cluster: Cluster) -> None:
    class Last(Member):
        async def close(self) -> None:
            looking.stop()
            await asyncio.sleep(0.01)

    notes: list[str] = []
    cluster.opening = failing(iter(["dismissed"]))
    cluster.workers["one"] = Last("one")
    looking = Upkeep(cluster, cluster.ended, notes.append)  # type: ignore[arg-type]
    with looking.going_on():
        cluster.workers["one"].status = Status.failed
        wait_until(lambda: looking.replaced == 1)
    assert notes == []
    assert len(cluster.looks) <= 2
