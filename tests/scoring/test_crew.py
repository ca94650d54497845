"""What a user is told of workers that die, leave, or stay away."""

from collections.abc import Sequence
from typing import Any

import pytest
from distributed import Client, LocalCluster

from corpus_lonely.cluster import Cluster
from corpus_lonely.scoring import crew
from corpus_lonely.scoring.crew import Crew
from tests.scoring.test_flights import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    clock.now = 1000.0
    monkeypatch.setattr(crew, "time", clock)
    return clock


class Made:
    """A cluster whose workers come and go as a test wants, and a client of it."""

    address = "tcp://127.0.0.1:8786"

    def __init__(self, *workers: str) -> None:
        self.client, self.there = self, set(workers)
        self.events: dict[str, Sequence[tuple[float, Any]]] = {}

    def workers(self) -> set[str]:
        return set(self.there)

    def alive(self) -> bool:
        return True

    def get_events(self, topic: str) -> Sequence[tuple[float, Any]]:
        if topic not in self.events:
            raise OSError("busy")
        return self.events[topic]


def removed(expected: bool) -> list[tuple[float, Any]]:
    """What a scheduler knows of a worker, as Dask writes it."""
    told = {"action": "remove-worker", "expected": expected}
    return [(1.0, {"action": "add-worker"}), (2.0, told), (3.0, "a plugin's word")]


def test_deaths_are_told_from_leaving_in_order(clock: Clock) -> None:
    made: Any = Made(*"abcdef")
    notes: list[str] = []
    seen = Crew(made, notes.append)
    for gone in ("a", "b", "cde"):
        seen.look()
        clock.now += 2
        made.there -= set(gone)
        made.events = {"a": removed(False), "b": removed(True), "c": removed(True)}
        made.events["d"] = removed(False)
    seen.look()
    again = "; their shards are handed out again"
    assert notes == [
        f"1 of 6 workers died{again}",
        f"1 of 5 workers left in order{again}",
        f"1 of 4 workers died, 1 left in order, 1 went away{again}",
    ]


def test_a_run_without_workers_says_that_it_waits_less_and_less_often(clock: Clock) -> None:
    made: Any = Made("a")
    notes: list[tuple[float, str]] = []
    seen = Crew(made, lambda note: notes.append((clock.now, note)))
    seen.look()
    made.there.clear()
    began = clock.now = clock.now + 2.0
    made.events = {"a": removed(True)}
    while clock.now < began + 600:
        seen.look()
        clock.now += 1.0
    assert [(when - began, told.partition(";")[0]) for when, told in notes] == [
        (0, "1 of 1 workers left in order"),
        (60, "No worker for 1 minute"),
        (120, "No worker for 2 minutes"),
        (240, "No worker for 4 minutes"),
        (480, "No worker for 8 minutes"),
    ]
    assert notes[-1][1].endswith("; waiting for one. Ctrl-C is safe: what is done is kept")
    made.there.add("b")
    seen.look()
    made.there.clear()
    made.events = {"b": removed(True)}
    began = clock.now
    while clock.now < began + 100:
        clock.now += 1.0
        seen.look()
    assert [note.partition(";")[0] for _, note in notes[5:]] == [
        "1 of 1 workers left in order",
        "No worker for 1 minute",
    ]


@pytest.mark.slow
def test_a_scheduler_of_dask_tells_who_retired(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "POLL_S", 0.0)
    notes: list[str] = []
    there: dict[str, Any] = {"processes": False, "dashboard_address": None, "protocol": "tcp://"}
    with (
        LocalCluster(n_workers=3, **there) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        seen = Crew(Cluster(client, cluster.scheduler_address, None), notes.append)
        seen.look()
        first, second, _ = sorted(seen.alive)
        client.retire_workers([first])
        seen.look()
        comm = cluster.scheduler.stream_comms[second]
        cluster.loop.add_callback(comm.comm.abort)  # as when its process is killed
        while len(seen.alive) > 1:
            seen.look()
    assert [note.partition(";")[0] for note in notes] == [
        "1 of 3 workers left in order",
        "1 of 2 workers died",
    ]
