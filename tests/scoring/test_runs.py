"""Runs as a user starts them: real processes on a local Dask cluster, killed in every way."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from distributed import LocalCluster

from corpus_lonely.cluster import ClusterSettings
from corpus_lonely.errors import ScoringError
from corpus_lonely.scoring import crew, loading, on_cluster
from corpus_lonely.scoring.plan import Shard
from corpus_lonely.scoring.task import Outcome, Task
from tests.scoring.clusters import started
from tests.scoring.conftest import make_model, make_posts
from tests.scoring.test_job import Heard, contents, run

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-c", "from corpus_lonely.cli.main import main; main()", "score"]
PARTS = 24
_ON_WORKER = on_cluster._on_worker


@pytest.fixture(scope="module")
def slow_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that takes seconds for a few thousand posts."""
    return make_model(tmp_path_factory.mktemp("models") / "slow", hidden=256, layers=4)


@pytest.fixture(scope="module")
def many_posts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two files, 2,400 posts."""
    folder = tmp_path_factory.mktemp("posts")
    for number in range(2):
        pq.write_table(make_posts(1200, seed=number), folder / f"{number}.parquet")
    return folder


@pytest.fixture(scope="module")
def undisturbed(
    slow_model: Path, many_posts: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The scores of a run that nobody disturbed, by one worker."""
    out = tmp_path_factory.mktemp("undisturbed") / "scores"
    ended = finish(start(many_posts, slow_model, out, "--workers", "1"))
    assert ended.returncode == 0, ended.stderr
    return out


def start(posts: Path, model: Path, out: Path, *options: str) -> "subprocess.Popen[str]":
    fixed = ["--input", posts, "--model", model, "--out", out, "--shard-rows", "100"]
    return subprocess.Popen(
        [*COMMAND, *map(str, fixed), "--threads", "1", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: "subprocess.Popen[str]") -> "subprocess.CompletedProcess[str]":
    stdout, stderr = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def wait_for_parts(out: Path, count: int, process: "subprocess.Popen[str]") -> None:
    until = time.monotonic() + 90
    while len(list(out.glob("part-*"))) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)


def workers_of(pid: int) -> list[psutil.Process]:
    children = psutil.Process(pid).children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def ended(processes: list[psutil.Process], within_s: float = 10) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=within_s)
    return not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]


def stats(out: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in out.iterdir()}


@pytest.mark.long
def test_the_number_of_workers_does_not_change_a_byte(
    slow_model: Path, many_posts: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scores"
    result = finish(start(many_posts, slow_model, out, "--workers", "2"))
    assert result.returncode == 0, result.stderr
    assert contents(out) == contents(undisturbed)
    assert len(contents(out)) == PARTS
    lines = result.stdout.splitlines()
    texts = [text or "" for text in pq.read_table(many_posts)["text"].to_pylist()]
    cut = sum(len(text.split()) > 62 for text in texts) / 2400  # [CLS] and [SEP] make 64
    assert lines[0] == (
        f"{out}: 2,400 posts, 2,352 scored, 48 empty, 0 failed; {cut:.1%} cut at --max-tokens."
    )
    assert lines[-1].startswith("Next: corpus-lonely study --scores ")
    assert "2 Dask workers; watch them at http://127.0.0.1:" in result.stderr
    assert "distributed" not in result.stderr
    again = finish(start(many_posts, slow_model, out))
    assert again.returncode == 0
    assert "All of it was done before" in again.stdout
    assert "Dask" not in again.stderr


@pytest.mark.parametrize("whom", [pytest.param("group", marks=pytest.mark.long), "driver"])
def test_kill_9_loses_nothing_and_leaves_nobody(
    slow_model: Path, many_posts: Path, undisturbed: Path, tmp_path: Path, whom: str
) -> None:
    out = tmp_path / "scores"
    process = start(many_posts, slow_model, out, "--workers", "2")
    wait_for_parts(out, 5, process)
    workers = workers_of(process.pid)
    assert len(workers) == 2
    (os.killpg if whom == "group" else os.kill)(process.pid, signal.SIGKILL)
    process.communicate()
    assert ended(workers)
    before = stats(out)
    assert 5 <= len(before) < PARTS

    result = finish(start(many_posts, slow_model, out, "--workers", "1"))
    assert result.returncode == 0, result.stderr
    assert contents(out) == contents(undisturbed)
    after = stats(out)
    assert {name: after[name] for name in before} == before
    assert f"{len(before)} of {PARTS} parts were done before" in result.stdout
    assert sorted(p.name for p in (tmp_path / "scores.about").iterdir()) == ["lock", "scores.json"]


@pytest.mark.long
def test_a_killed_worker_is_replaced(
    slow_model: Path, many_posts: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scores"
    process = start(many_posts, slow_model, out, "--workers", "2")
    for parts in (3, 8):
        wait_for_parts(out, parts, process)
        workers_of(process.pid)[0].kill()
    result = finish(process)
    assert result.returncode == 0, result.stderr
    assert contents(out) == contents(undisturbed)
    assert "1 of 2 workers died; their shards are handed out again" in result.stderr


def test_ctrl_c_ends_promptly_and_can_be_resumed(
    slow_model: Path, many_posts: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scores"
    process = start(many_posts, slow_model, out, "--workers", "2")
    wait_for_parts(out, 3, process)
    workers = workers_of(process.pid)
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    result = finish(process)
    assert time.monotonic() - began < 30  # some 3 s; a busy machine takes longer
    assert result.returncode == 130
    assert result.stderr.endswith(
        "Error: Interrupted. What is done is kept: run the same command again to go on.\n"
    )
    assert "Traceback" not in result.stderr
    assert ended(workers)
    assert finish(start(many_posts, slow_model, out, "--workers", "1")).returncode == 0
    assert contents(out) == contents(undisturbed)


@pytest.mark.long
def test_a_full_disk_is_told_in_one_line(
    slow_model: Path, many_posts: Path, undisturbed: Path, tmp_path: Path, small_disk: Path
) -> None:
    out = small_disk / "scores"
    result = finish(start(many_posts, slow_model, out, "--workers", "2"))
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("Error: ")
    assert last.endswith(
        "no space left on the disk. Free some space and run the same command again"
    )
    assert "Traceback" not in result.stderr
    remount = ["mount", "-o", "remount,size=8m", str(small_disk)]
    subprocess.run(remount, check=True)
    assert finish(start(many_posts, slow_model, out, "--workers", "1")).returncode == 0
    assert contents(out) == contents(undisturbed)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small file system can only be mounted by root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def die_on_the_second(shard: Shard, task: Task, topic: str) -> Outcome:
    """What stands in for `_on_worker`, in the worker."""
    if shard.index == 1:
        os._exit(1)
    return _ON_WORKER(shard, task, topic)


@pytest.mark.long
def test_a_shard_that_kills_its_workers_is_set_aside(
    posts: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_cluster, "_on_worker", die_on_the_second)
    heard = Heard()
    cluster = ClusterSettings(workers=2, threads=1)
    with pytest.raises(
        ScoringError, match=r"1 of 4 shards .* part-000001.*its worker died 3 times"
    ):
        run(posts, model, tmp_path / "scores", heard, cluster=cluster)
    assert len(contents(tmp_path / "scores")) == 3
    assert sum(heard.amounts) == 1000


def die(_task: Task) -> None:
    """What stands in for `prepare`, in the worker."""
    os._exit(1)


def test_a_model_that_kills_its_workers_ends_the_run(
    posts: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "prepare", die)
    cluster = ClusterSettings(workers=1, threads=1)
    with pytest.raises(ScoringError, match=r"could not load the model \(KilledWorker\)"):
        run(posts, model, tmp_path / "scores", cluster=cluster)
    assert not (tmp_path / "scores").exists()


@pytest.fixture
def scheduler() -> Iterator[LocalCluster]:
    """A cluster that somebody else has started, with one worker of two threads."""
    with started(threads=2) as cluster:
        yield cluster


def test_a_cluster_that_exists(
    posts: Path, model: Path, tmp_path: Path, scheduler: LocalCluster
) -> None:
    heard = Heard()
    cluster = ClusterSettings(scheduler=scheduler.scheduler_address, threads=1)
    report = run(posts, model, tmp_path / "there", heard, cluster=cluster)
    run(posts, model, tmp_path / "here")
    assert contents(tmp_path / "there") == contents(tmp_path / "here")
    assert report.counts.rows == sum(heard.amounts) == 1000


def test_a_scheduler_that_goes_away(
    many_posts: Path, slow_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "_LOST_AFTER_S", 1.0)
    code = (
        "from distributed import LocalCluster\n"
        "cluster = LocalCluster(n_workers=1, threads_per_worker=1, processes=False,\n"
        "    protocol='tcp://', dashboard_address=None)\n"
        "print(cluster.scheduler_address, flush=True)\n"
        "input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        cluster = ClusterSettings(scheduler=process.stdout.readline().strip(), threads=1)
        began: list[float] = []
        with pytest.raises(ScoringError, match="the scheduler is gone"):
            run(
                many_posts,
                slow_model,
                tmp_path / "scores",
                _KillAtFirstPost(process.kill, began),
                cluster=cluster,
            )
        assert time.monotonic() - began[0] < 60


class _KillAtFirstPost(Heard):
    def __init__(self, kill: Callable[[], None], began: list[float]) -> None:
        super().__init__()
        self._kill, self._began = kill, began

    def advance(self, amount: float, detail: str = "") -> None:
        if not self._began:
            self._began.append(time.monotonic())
            self._kill()
