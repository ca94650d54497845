"""What is told, and in the end done, when a run does not move."""

import time
from typing import Any

import pytest
from distributed import Client

from corpus_lonely.cluster import Cluster
from corpus_lonely.errors import ScoringError
from corpus_lonely.inference.folder import NUMERICS_VERSION as VERSION
from corpus_lonely.scoring import loading, on_cluster, patience
from corpus_lonely.scoring.flights import Flight
from corpus_lonely.scoring.patience import Patience
from corpus_lonely.scoring.task import Ready, ShardFailure
from tests.scoring.clusters import started
from tests.scoring.test_flights import Clock, shard
from tests.scoring.test_trust import A, B, Handing


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(patience, "time", clock)
    return clock


def test_silence_is_told_ever_more_seldom_and_by_name(clock: Clock) -> None:
    notes: list[str] = []
    waiting = Patience(notes.append)
    flights = [Flight(shard(n), worker=f"tls://{n}") for n in range(5)]
    flights[0].worker = ""  # not begun yet
    told: list[int] = []
    for minute in range(90):
        clock.now = 60.0 * minute
        waiting.look(flights)
        told += [minute] * (len(notes) - len(told))
    assert told == [10, 20, 40, 80]
    assert notes[0].startswith(
        "Nothing was heard of any worker for 10 minutes; at work are part-000001.parquet at tls://1, "
        "part-000002.parquet at tls://2, part-000003.parquet at tls://3 and 1 more. "
    )
    waiting.heard()
    clock.now += 599
    waiting.look(flights)
    assert len(notes) == 4


def test_a_part_that_outlasts_its_workers_is_told_and_given_up() -> None:
    made: Any = Handing(A, B)
    made.alive = lambda: True
    notes: list[str] = []
    executor = on_cluster.OnCluster(made, notes.append)
    task: Any = None
    executor._send(shard(2), task)
    for begun in range(1, 11):
        assert list(executor._given_up(2)) == []
        executor._hear((2, 0, A, ""), lambda *_: None)
        assert len(notes) == (begun >= 3)
    assert notes[0].startswith("part-000002.parquet was begun 3 times: it may take longer")
    (given_up,) = executor._given_up(2)
    assert isinstance(given_up, ShardFailure)
    assert given_up.reason.startswith("it was begun 10 times: it may take longer")
    assert (len(executor._flights), len(made.cancelled)) == (0, 1)
    executor._hear((2, 0, A, ""), lambda *_: None)  # one that had not heard of it yet
    assert list(executor._given_up(2)) == []


def test_devices_that_all_fail_end_the_run() -> None:
    made: Any = Handing(A, B)
    executor = on_cluster.OnCluster(made, lambda _: None)
    executor._crew.alive = {A, B}
    for number in range(17):
        executor._hear((number % 4, 0, f"tls://{number}", "CUDA error: gone"), lambda *_: None)
    executor._hear((0, 0, "tls://16", "CUDA error: gone"), lambda *_: None)  # the same process
    with pytest.raises(ScoringError, match=r"failed in 18 worker processes.*\(CUDA error: gone\)"):
        executor._hear((0, 0, "tls://17", "CUDA error: gone"), lambda *_: None)


def ready(_task: Any) -> Ready:
    """What stands in for `prepare`."""
    time.sleep(0.1)
    return Ready(
        "cpu", "fp32", 2048, packed=True, python="3", versions={}, numerics_version=VERSION
    )


def test_workers_that_have_loaded_hold_nothing_that_keeps_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Dask lets none leave in order that holds the only copy of an outcome."""
    monkeypatch.setattr(loading, "prepare", ready)
    with started(workers=2) as cluster, Client(cluster, set_as_default=False) as client:
        executor = on_cluster.OnCluster(
            Cluster(client, cluster.scheduler_address, None), lambda _: None
        )
        task: Any = None
        assert executor.prepare(task).device == "cpu"
        until = time.monotonic() + 20
        while client.run_on_scheduler(tasks_left) and time.monotonic() < until:
            time.sleep(0.05)
        assert client.run_on_scheduler(tasks_left) == 0


def tasks_left(dask_scheduler: Any) -> int:
    """Tasks that are known to the scheduler, done or not."""
    return len(dask_scheduler.tasks)
