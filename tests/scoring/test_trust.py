"""Workers whose hosts lack what others have: left out and named, their shards done by others."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from distributed import get_worker

from corpus_lonely.cluster import ClusterSettings
from corpus_lonely.errors import (
    CorpusLonelyError,
    InputError,
    ModelError,
    OutputError,
    SettingsError,
)
from corpus_lonely.scoring import loading, on_cluster, probe, trust, worker
from corpus_lonely.scoring.flights import Flight, Flights
from corpus_lonely.scoring.parts import Counts, Output
from corpus_lonely.scoring.plan import Shard
from corpus_lonely.scoring.probe import check_probe, probing
from corpus_lonely.scoring.task import Outcome, Ready, ShardFailure, ShardResult, Task
from corpus_lonely.scoring.trust import Trust
from corpus_lonely.scoring.worker import prepare, score_shard
from tests.scoring.clusters import started
from tests.scoring.test_flights import copy, shard
from tests.scoring.test_job import Heard, contents, run
from tests.scoring.test_worker import make_task

A, B, C = "tls://10.0.0.1:4001", "tls://10.0.0.2:4001", "tls://10.0.0.3:4001"
NO_MODEL = ModelError("is no model folder", where="/model")


class Made:
    """A cluster, its client and its crew, of workers that a test names."""

    def __init__(self, *workers: str) -> None:
        self.client, self.alive = self, set(workers)

    def look(self) -> None:
        pass

    def run(self, _ask: Any, workers: list[str], on_error: str) -> dict[str, str]:
        return {workers[0]: f"node{workers[0].split(':')[1][-1]}"}


class Judged:
    """Outcomes of one run, judged one after the other."""

    def __init__(self, out: Path, *workers: str, more_may_come: bool = True) -> None:
        made: Any = Made(*workers)
        self.notes: list[str] = []
        self.trust = Trust(made, made, self.notes.append, more_may_come=more_may_come)
        self.task: Any = SimpleNamespace(out=out)
        self.flights: dict[int, Flight] = {}

    def __call__(self, outcome: Outcome) -> tuple[Outcome, set[str]]:
        flight = self.flights.setdefault(outcome.shard.index, Flight(outcome.shard))
        return self.trust.judge(outcome, flight, self.task)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((probe, "_LAG_S"), (trust, "_PATIENCE_S"), (trust, "_LONG_PATIENCE_S")):
        monkeypatch.setattr(module, name, 0.0)


def good(index: int, where: str, out: Path) -> ShardResult:
    (out / shard(index).part).touch()
    return ShardResult(shard(index), Counts(rows=10), 1.0, worker=where)


def bad(index: int, where: str) -> ShardFailure:
    return ShardFailure(shard(index), "no such file", worker=where)


def unfit(index: int, where: str, error: CorpusLonelyError = NO_MODEL) -> ShardFailure:
    return ShardFailure(shard(index), str(error), fatal=error, host=True, worker=where)


def test_a_host_without_the_model_is_left_out_while_another_works(tmp_path: Path) -> None:
    judge = Judged(tmp_path, A, B)
    assert judge(unfit(0, A))[1] == {B}
    assert judge(unfit(1, A))[1] == {B}
    assert judge.notes == [f"node1 ({A}) is left out: /model: is no model folder"]
    outcome, others = judge(unfit(1, B))
    assert (others, outcome.worker) == (set(), B)
    assert isinstance(outcome, ShardFailure)
    assert isinstance(outcome.fatal, ModelError)
    assert str(outcome.fatal) == f"/model on node2 ({B}): is no model folder"


def test_on_this_machine_alone_no_host_is_named(tmp_path: Path) -> None:
    judge = Judged(tmp_path, A, more_may_come=False)
    outcome, others = judge(unfit(0, A, SettingsError("--device 'cuda' is not there")))
    assert isinstance(outcome, ShardFailure)
    assert (str(outcome.fatal), others, judge.notes) == ("--device 'cuda' is not there", set(), [])


def test_a_full_disk_is_everybodys(tmp_path: Path) -> None:
    full = replace(unfit(0, A, OutputError("no space left on the disk")), host=False)
    assert Judged(tmp_path, A, B)(full) == (full, set())


def test_a_shard_that_fails_is_tried_on_another_host_before_it_counts(tmp_path: Path) -> None:
    near = A.replace("4001", "4002")
    judge = Judged(tmp_path, A, near, B, C)
    judge(good(7, C, tmp_path))
    assert judge(bad(0, A))[1] == {C}  # one that has done well
    assert judge(bad(0, C))[1] == set()
    assert Judged(tmp_path, A, near)(bad(0, A))[1] == {near}  # there is no other host
    assert Judged(tmp_path, A)(bad(0, A))[1] == set()
    nobody_proven = Judged(tmp_path, A, B, C)
    assert [nobody_proven(bad(0, one))[1] for one in (A, B, C)] == [{B, C}, {C}, set()]


def test_a_host_that_fails_where_others_do_well_is_left_out(tmp_path: Path) -> None:
    judge = Judged(tmp_path, A, B)
    for index in range(5):
        judge(bad(index, A))
    for index in range(3):
        assert not judge.trust.left_out
        judge(good(index, B, tmp_path))
    assert judge.trust.usable() == {B}
    told = "3 shards in a row failed there and were scored elsewhere (no such file). See that"
    assert judge.notes[0].startswith(f"node1 ({A}) is left out: {told}")


def test_a_host_that_fails_now_and_then_stays(tmp_path: Path) -> None:
    judge = Judged(tmp_path, A, B)
    for index in range(0, 20, 2):
        judge(bad(index, A))
        judge(good(index, B, tmp_path))
        judge(good(index + 1, A, tmp_path))
    assert judge.trust.usable() == {A, B}


def test_the_first_part_of_a_worker_must_be_seen_by_the_driver(tmp_path: Path) -> None:
    judge = Judged(tmp_path, A, B)
    unseen = ShardResult(shard(0), Counts(rows=10), 1.0, worker=A)
    assert judge(unseen)[1] == {B}
    assert f"node1 ({A}) is left out: {tmp_path}: is not the folder that" in judge.notes[0]
    assert judge(good(0, B, tmp_path))[1] == set()


def test_a_probe_is_seen_where_the_folder_is_the_same(tmp_path: Path) -> None:
    with probing(Output(tmp_path / "scores")) as known:
        assert known
        assert (tmp_path / "scores").is_dir()
        check_probe(Output(tmp_path / "scores"), known)
        with pytest.raises(OutputError, match=r"elsewhere/scores: is not the folder"):
            check_probe(Output(tmp_path / "elsewhere" / "scores"), known)
        with pytest.raises(OutputError):
            check_probe(Output(tmp_path / "scores"), replace(known, content="another"))
    assert not list((tmp_path / "scores.about").rglob("*"))
    assert not (tmp_path / "scores").exists()  # nothing was written there


def test_a_process_that_lacks_the_folder_or_computes_otherwise_does_no_shard(
    posts: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, shards = make_task(posts, model, tmp_path / "scores", 400)
    monkeypatch.setattr(worker, "_checked", set())
    with probing(Output(tmp_path / "other")) as unseen:
        failed = score_shard(shards[0], replace(task, probe=unseen))
    assert isinstance(failed, ShardFailure)
    assert (failed.host, isinstance(failed.fatal, OutputError)) == (True, True)
    monkeypatch.setattr(worker, "NUMERICS_VERSION", -1)
    failed = score_shard(shards[0], task)
    assert isinstance(failed, ShardFailure)
    assert failed.host
    assert isinstance(failed.fatal, InputError)
    assert "Use one environment on all hosts" in failed.reason
    assert isinstance(prepare(task), InputError)
    assert not (tmp_path / "scores").exists()


def test_what_waits_for_workers_that_are_gone_is_known() -> None:
    known, first, second = Flights(), copy(), copy()
    first.done = second.done = lambda: False
    known.add(shard(0), first, {A, B})
    known.add(shard(1), second)
    assert known.stranded({B, C}) == []
    assert [(one, flight.shard.index) for one, flight in known.stranded({C})] == [(first, 0)]
    known.landed(first)
    assert known.stranded({C}) == []


_ON_WORKER = on_cluster._on_worker


def first_name() -> bool:
    return str(get_worker().name) == "0"


def without_model(shard: Shard, task: Task, topic: str) -> Outcome:
    """What stands in for `_on_worker`: the first worker's host has no model."""
    return (
        unfit(shard.index, get_worker().address)
        if first_name()
        else (_ON_WORKER(shard, task, topic))
    )


def without_posts(shard: Shard, task: Task, topic: str) -> Outcome:
    """What stands in for `_on_worker`: the first worker's host has no posts."""
    if first_name():
        return ShardFailure(shard, "does not exist", worker=get_worker().address)
    return _ON_WORKER(shard, task, topic)


def not_ready(task: Task) -> Ready | CorpusLonelyError:
    """What stands in for `prepare`: the first worker's host has no model."""
    return NO_MODEL if first_name() else prepare(task)


def never_ready(_task: Task) -> CorpusLonelyError:
    """What stands in for `prepare`: no host has the model."""
    return NO_MODEL


@pytest.fixture
def two() -> Iterator[ClusterSettings]:
    """A scheduler with two workers, in this process."""
    with started(workers=2) as cluster:
        yield ClusterSettings(scheduler=cluster.scheduler_address, threads=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "stand_in"),
    [("_on_worker", without_model), ("_on_worker", without_posts), ("prepare", not_ready)],
)
def test_one_host_that_lacks_something_costs_no_shard(
    two: ClusterSettings,
    posts: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    stand_in: Callable[..., Any],
) -> None:
    monkeypatch.setattr(loading if name == "prepare" else on_cluster, name, stand_in)
    heard = Heard()
    report = run(posts, model, tmp_path / "scores", heard, shard_rows=50, cluster=two)
    assert (report.standing, report.counts.rows, sum(heard.amounts)) == (20, 1000, 1000)
    assert len(contents(tmp_path / "scores")) == 20
    named = [note for note in heard.notes if f"{os.uname().nodename} (tcp://" in note]
    assert len(named) <= 1 if name == "prepare" else len(named) == 1
    assert all("is left out: " in note for note in named)
    assert not [note for note in heard.notes if note.startswith("Set aside")]
    assert sorted(p.name for p in (tmp_path / "scores.about").iterdir()) == ["lock", "scores.json"]


@pytest.mark.slow
def test_a_run_ends_where_no_host_can_do_it(
    two: ClusterSettings, posts: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "prepare", never_ready)
    with pytest.raises(ModelError, match=r"/model on .* \(tcp://.*\): is no model folder"):
        run(posts, model, tmp_path / "scores", cluster=two)


class Waiting:
    """A future that nobody has begun."""

    def done(self) -> bool:
        return False

    def add_done_callback(self, _call: Any) -> None:
        pass


class Handing(Made):
    """A cluster that remembers to whom shards were given."""

    address = "tls://10.0.0.9:8786"

    def __init__(self, *workers: str) -> None:
        super().__init__(*workers)
        self.given: list[list[str] | None] = []
        self.cancelled: list[Any] = []

    def submit(self, *_task: Any, workers: list[str] | None = None, **_options: Any) -> Waiting:
        self.given.append(workers)
        return Waiting()

    def cancel(self, futures: list[Any], **_options: Any) -> None:
        self.cancelled += futures


def test_a_shard_kept_for_workers_that_are_gone_is_given_to_others_but_not_for_ever() -> None:
    made: Any = Handing(A, B, C)
    made.alive = lambda: True
    executor = on_cluster.OnCluster(made, print)
    executor._crew.alive = {A, B, C}
    task: Any = None
    executor._send(shard(0), task)
    executor._trust.left_out.add(A)
    executor._send(shard(1), task)
    executor._send(shard(2), task, {B})
    assert made.given == [None, [B, C], [B]]  # others are left out only once one is known to be
    executor._crew.alive = {A, C}
    assert list(executor._send_stranded(task)) == []
    assert made.given[3:] == [[C]]
    assert (len(executor._flights), len(made.cancelled)) == (3, 1)
    executor._crew.alive = {A}
    for _ in range(3):
        executor._flights.begun(2, C)
    (died,) = executor._send_stranded(task)  # that of shard 1 is given to whoever is there
    assert isinstance(died, ShardFailure)
    assert (died.shard.index, died.reason[:22]) == (2, "its worker died 3 time")
