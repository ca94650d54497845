"""Shards on real worker processes: slow ones, broken devices, and what is left when a run stops."""

import json
import os
import time
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from distributed import Client, LocalCluster, get_worker
from distributed.comm.core import CommClosedError

from corpus_lonely.cluster import Cluster, ClusterSettings
from corpus_lonely.errors import ScoringError
from corpus_lonely.inference.engine import Engine
from corpus_lonely.scoring import crew, flights, on_cluster
from corpus_lonely.scoring.plan import Shard
from corpus_lonely.scoring.task import Outcome, Task
from corpus_lonely.sources import InputFile
from tests.scoring.clusters import started
from tests.scoring.test_job import Heard, contents, run
from tests.scoring.test_worker import make_task

pytestmark = pytest.mark.slow

TWO = ClusterSettings(workers=2, threads=1)
_ON_WORKER = on_cluster._on_worker


def first_here(task: Task, name: str) -> bool:
    """Whether nobody has asked before, in whichever process."""
    try:
        os.close(os.open(task.model.parent / f"{task.out.name}-{name}", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def sleep_once(shard: Shard, task: Task, topic: str) -> Outcome:
    """What stands in for `_on_worker`: the first to get the second shard sleeps over it."""
    if shard.index == 1 and first_here(task, "asleep"):
        worker = get_worker()
        worker.log_event(topic, (shard.index, 0, worker.address, ""))
        time.sleep(250)
    return _ON_WORKER(shard, task, topic)


def test_a_straggler_is_started_again_and_lands_once(
    posts: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_cluster, "_on_worker", sleep_once)
    monkeypatch.setattr(flights, "_SLOW_AFTER_S", 2.0)
    heard, out = Details(), tmp_path / f"straggler-{os.getpid()}"
    began = time.monotonic()
    report = run(posts, model, out, heard, shard_rows=100, cluster=TWO)
    assert time.monotonic() - began < 240
    run(posts, model, tmp_path / "whole", shard_rows=100)
    assert contents(out) == contents(tmp_path / "whole")
    assert report.counts.rows == sum(heard.amounts) == 1000
    assert "1 started again" in heard.details[-1]


class Details(Heard):
    """Remembers the words beside the bar too."""

    def __init__(self) -> None:
        super().__init__()
        self.details: list[str] = []

    def advance(self, amount: float, detail: str = "") -> None:
        super().advance(amount, detail)
        self.details.append(detail)


def break_once(shard: Shard, task: Task, topic: str) -> Outcome:
    """What stands in for `_on_worker`: the device of the first to get the second shard breaks."""
    if shard.index == 1 and first_here(task, "broken"):
        Engine.score = _break  # type: ignore[method-assign,assignment]
    return _ON_WORKER(shard, task, topic)


def break_always(shard: Shard, task: Task, topic: str) -> Outcome:
    """What stands in for `_on_worker`: the second shard breaks every device."""
    if shard.index == 1:
        Engine.score = _break  # type: ignore[method-assign,assignment]
    return _ON_WORKER(shard, task, topic)


def _break(*_arguments: Any) -> None:
    raise RuntimeError("CUDA error: an illegal memory access was encountered\nCompile with ...")


def test_a_worker_whose_device_breaks_is_replaced_and_its_shard_done(
    posts: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_cluster, "_on_worker", break_once)
    heard, out = Details(), tmp_path / f"broken-{os.getpid()}"
    run(posts, model, out, heard, shard_rows=100, cluster=ClusterSettings(workers=1, threads=1))
    run(posts, model, tmp_path / "whole", shard_rows=100)
    assert contents(out) == contents(tmp_path / "whole")
    told = (
        "A worker's device failed (CUDA error: an illegal memory access was encountered); a fresh"
    )
    assert [note for note in heard.notes if note.startswith(told)]
    assert "1 started again" in heard.details[-1]


@pytest.mark.long
def test_a_shard_that_breaks_every_device_is_set_aside(
    posts: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_cluster, "_on_worker", break_always)
    with pytest.raises(ScoringError) as raised:
        run(posts, model, tmp_path / "scores", cluster=TWO)
    assert "1 of 4 shards could not be scored: part-000001.parquet" in str(raised.value)
    assert "its worker's device failed 3 times (CUDA error: an illegal memory" in str(raised.value)
    assert len(contents(tmp_path / "scores")) == 3
    described = json.loads((tmp_path / "scores.about" / "scores.json").read_text())
    assert list(described["set_aside"]) == ["part-000001.parquet"]
    monkeypatch.undo()
    assert run(posts, model, tmp_path / "scores", retry_failed=True).standing == 4


class Interrupted(Heard):
    """Presses Ctrl-C once the first posts are scored."""

    def advance(self, amount: float, detail: str = "") -> None:
        raise KeyboardInterrupt


def test_a_run_that_is_stopped_leaves_the_cluster_idle(
    posts: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(self: Engine, _texts: Any, progress: Any) -> None:
        for _ in range(600):  # half a minute
            time.sleep(0.05)
            progress(1)

    monkeypatch.setattr(Engine, "score", slowly)
    with started(threads=2) as cluster:
        there = ClusterSettings(scheduler=cluster.scheduler_address, threads=1)
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            run(posts, model, tmp_path / "scores", Interrupted(), shard_rows=100, cluster=there)
        state = cluster.workers[0].state
        while state.executing_count or state.tasks:
            assert time.monotonic() - began < 15
            time.sleep(0.1)
        assert not cluster.scheduler.tasks
        assert not (tmp_path / "scores").exists()


class _Unreachable:
    """A future whose scheduler goes away between its end and the asking for its result."""

    status = "finished"

    def result(self) -> Outcome:
        raise CommClosedError("in <TCP (closed)>: Stream is closed")


class _Anywhere:
    client, address = None, "tcp://127.0.0.1:8786"


def test_a_scheduler_that_goes_away_before_a_result_is_fetched_is_gone() -> None:
    there: Any = _Anywhere()
    flight: Any = flights.Flight(Shard(0, InputFile("a", "/a", 1, "f", 1), 0, 1))
    executor, future = on_cluster.OnCluster(there, print), _Unreachable()
    with pytest.raises(ScoringError, match=r"tcp://127\.0\.0\.1:8786: the scheduler is gone"):
        executor._outcome(future, flight)  # type: ignore[arg-type]


def test_a_worker_that_comes_late_is_waited_for(
    posts: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, _ = make_task(posts, model, tmp_path / "scores", 400)
    monkeypatch.setattr(crew, "_TELL_AFTER_S", 0.5)
    notes: list[str] = []
    nobody: dict[str, Any] = {"n_workers": 0, "processes": False, "dashboard_address": ":0"}
    with LocalCluster(**nobody) as late, Client(late, set_as_default=False) as client:
        executor = on_cluster.OnCluster(Cluster(client, late.scheduler_address, None), notes.append)
        coming = Timer(3.0, late.scale, [1])
        coming.start()
        assert executor.prepare(task).device == "cpu"
        coming.join()
    assert [note for note in notes if note.startswith("No worker for 0 minutes; waiting for one.")]
