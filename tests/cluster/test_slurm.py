"""Scores made on a real SLURM are those of one process, whatever ends in between."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from corpus_lonely.cluster import ClusterSettings, SlurmSettings, open_cluster, upkeep
from corpus_lonely.errors import InputError
from corpus_lonely.files import about_folder, read_json
from corpus_lonely.scoring.job import score_posts
from tests.cluster.conftest import SHARD_ROWS, Files, Score, parts
from tests.cluster.ending import end_lives
from tests.cluster.slurm import Slurm
from tests.cluster.strangers import assert_strangers_are_turned_away
from tests.command_lines import ROOT

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.xdist_group("slurm")]

SBATCH = ("sbatch", "--parsable")


@pytest.fixture
def asked(tmp_path: Path) -> SlurmSettings:
    """What is asked of SLURM for each worker."""
    return SlurmSettings(walltime="00:05:00", memory="1GB", folder=tmp_path / "workers")


def cluster_of(asked: SlurmSettings, workers: int = 2) -> ClusterSettings:
    return ClusterSettings(workers=workers, threads=1, kind="slurm", slurm=asked)


def jobs_so_far(asked: SlurmSettings) -> int:
    return len(list(asked.folder.glob("*.out")))


def test_the_same_bytes_from_workers_in_jobs(
    slurm: Slurm, asked: SlurmSettings, scoring: Score, expected: Files
) -> None:
    settings = scoring(cluster_of(asked))
    report = score_posts(settings)
    assert report.shards == len(expected) == 20
    assert parts(settings.out) == expected
    slurm.wait_until_empty(20)  # the jobs were cancelled
    assert list(asked.folder.glob("tls-*")) == []  # and the certificates deleted


@pytest.mark.long
def test_workers_whose_lives_end_lose_nothing(
    slurm: Slurm,
    asked: SlurmSettings,
    scoring: Score,
    expected: Files,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    end_lives(monkeypatch, "slurm", parts=4)
    monkeypatch.setattr(upkeep, "_POLL_S", 1)
    settings = scoring(cluster_of(asked))
    report = score_posts(settings)
    assert report.shards == 20
    assert parts(settings.out) == expected
    assert jobs_so_far(asked) > 2  # others took the places of those that ended


def test_a_worker_leaves_when_its_life_is_over_and_another_comes(
    slurm: Slurm, asked: SlurmSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "_POLL_S", 1)
    short = SlurmSettings(walltime="5", memory="1GB", folder=asked.folder, lifetime_s=6)
    with open_cluster(cluster_of(short, workers=1)) as opened:
        seen = opened.workers()
        while len(seen) < 2:
            time.sleep(0.2)
            seen |= opened.workers()
    assert jobs_so_far(asked) >= 2
    first, *_ = sorted(asked.folder.glob("*.err"), key=lambda path: path.stat().st_mtime)
    assert "worker-lifetime-reached" in first.read_text()


@pytest.mark.long
def test_a_driver_that_is_killed_leaves_no_jobs_behind(
    slurm: Slurm, asked: SlurmSettings, scoring: Score, expected: Files, tmp_path: Path
) -> None:
    settings = scoring(cluster_of(asked))
    words = ["--input", settings.input, "--model", settings.model, "--out", settings.out]
    words += ["--shard-rows", SHARD_ROWS, "--precision", "fp32", "--cluster", "slurm"]
    words += ["--workers", 2, "--threads", 1, "--worker-memory", "1GB"]
    words += ["--cluster-folder", asked.folder]
    command = [sys.executable, "-m", "corpus_lonely", "score", *map(str, words)]
    driver = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        while not parts(settings.out):
            assert driver.poll() is None
            time.sleep(0.05)
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    slurm.wait_until_empty(60)
    score_posts(settings)
    assert parts(settings.out) == expected


def test_who_may_talk_to_workers_in_jobs(slurm: Slurm, asked: SlurmSettings) -> None:
    with open_cluster(cluster_of(asked, workers=1)) as opened:
        (worker,) = opened.workers()
        assert opened.client.submit(os.getpid).result() != os.getpid()
        assert_strangers_are_turned_away(opened.address)
        assert_strangers_are_turned_away(worker)
        assert str(opened.dashboard).startswith("http://127.0.0.1:")
        (folder,) = asked.folder.glob("tls-*")
        assert folder.stat().st_mode & 0o077 == 0
        # a command line is for all users of a node to read
        shown = slurm.run("ps", "-ewwo", "args")
        assert f"--tls-key {folder}/key.pem" in shown
        assert "PRIVATE KEY" not in shown


def test_several_workers_in_a_job_that_is_cancelled_are_replaced(
    slurm: Slurm, asked: SlurmSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "_POLL_S", 1)
    pair = SlurmSettings(walltime="5", memory="1GB", folder=asked.folder, workers_per_job=2)
    with open_cluster(cluster_of(pair)) as opened:
        opened.client.wait_for_workers(2, timeout=30)
        before = opened.workers()
        # SLURM tells all processes of a job that it ends, as when it takes a node away
        slurm.run("scancel", slurm.jobs()[0].split()[0])
        while opened.workers() & before or len(opened.workers()) < 2:
            time.sleep(0.3)
    assert jobs_so_far(pair) == 2


@pytest.mark.long
def test_a_job_that_is_held_is_replaced_once_slurm_takes_jobs_again(
    slurm: Slurm, asked: SlurmSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "_POLL_S", 1)
    notes: list[str] = []
    with open_cluster(cluster_of(asked, workers=1), note=notes.append) as opened:
        before = opened.workers()
        job = slurm.jobs()[0].split()[0]
        slurm.run("scontrol", "update", "PartitionName=test", "State=INACTIVE")
        try:
            slurm.run("scontrol", "requeuehold", job)
            while not any("sbatch refused the job" in note for note in notes):
                time.sleep(0.3)
        finally:
            slurm.run("scontrol", "update", "PartitionName=test", "State=UP")
        while opened.workers() <= before:
            time.sleep(0.3)
    assert len(notes) == len(set(notes))
    assert all("\n" not in note for note in notes)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"prologue": ("exit 3",)}, "the SLURM jobs ended before a worker could reach"),
        ({"partition": "moon"}, "sbatch refused the job (.*invalid partition specified: moon"),
    ],
)
def test_jobs_that_cannot_work_are_told_in_one_line(
    slurm: Slurm,
    asked: SlurmSettings,
    wrong: dict[str, object],
    told: str,
) -> None:
    settings = SlurmSettings(memory="1GB", folder=asked.folder, **wrong)  # type: ignore[arg-type]
    refused = pytest.raises(InputError, match=told.replace("(.", r"\(."))
    with refused, open_cluster(cluster_of(settings, workers=1)):
        pass


SCORE = "corpus-lonely score --input posts/ --model model/ --out scores/"


class Recipe:
    """The recipes of jobs/slurm as a user would edit them, in a folder of this SLURM's."""

    def __init__(self, slurm: Slurm, folder: Path, posts: Path, model: Path) -> None:
        self.slurm, self.folder = slurm, folder
        self._score = (
            f"corpus-lonely score --input {posts} --model {model} --out scores/ "
            f"--shard-rows {SHARD_ROWS} --precision fp32"
        )

    def start(self, name: str, *changes: tuple[str, str], by: Sequence[str] = SBATCH) -> str:
        """Edits a recipe and starts it; returns what that says."""
        text = (ROOT / "jobs" / "slurm" / name).read_text("utf-8")
        path = f"export PATH={Path(sys.executable).parent}:$PATH"
        for old, new in (("source .venv/bin/activate", path), (SCORE, self._score), *changes):
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        script = self.folder / name
        script.write_text(
            re.sub(r"^#SBATCH --mem=.*$", "#SBATCH --mem=2G", text, flags=re.MULTILINE)
        )
        return self.slurm.run(*by, str(script), cwd=self.folder).strip()

    def log(self, job: str) -> str:
        """What a job has said."""
        return (self.folder / f"score-{job}.log").read_text()

    def assert_made(self, expected: Files) -> None:
        """The scores are whole, once no job is left, and what stands beside them says so."""
        self.slurm.wait_until_empty()
        logs = {path.name: path.read_text() for path in self.folder.glob("score-*.log")}
        out = self.folder / "scores"
        assert out.is_dir(), logs
        assert parts(out) == expected, logs
        assert read_json(about_folder(out) / "scores.json")["totals"]["rows"] == 2000


@pytest.fixture
def recipe(slurm: Slurm, tmp_path: Path, posts: Path, model: Path) -> Recipe:
    """Starts recipes that score `posts`."""
    return Recipe(slurm, tmp_path, posts, model)


@pytest.mark.long
def test_the_recipe_of_a_job_array(recipe: Recipe, expected: Files) -> None:
    told = recipe.start(
        "array.sbatch",
        ("#SBATCH --array=0-7", "#SBATCH --array=0-2"),
        ("#SBATCH --cpus-per-task=4", "#SBATCH --cpus-per-task=1"),
        by=("bash",),
    )
    first, last = map(int, re.findall(r"Jobs (\d+) and, after them, (\d+) are", told)[0])
    recipe.assert_made(expected)
    array = [recipe.log(f"{first}_{index}") for index in range(3)]
    shares = [re.findall(r"scores, \d of its 20 parts: (\d+) posts", log) for log in array]
    assert shares == [["700"], ["700"], ["600"]]
    checked = recipe.log(f"{last}_0")
    assert "scores: 2,000 posts, 1,960 scored, 40 empty, 0 failed" in checked
    assert "All of it was done before: nothing to do." in checked


WORKERS_OF_THE_DRIVER = "--workers 8 --threads 4 --worker-memory 8GB --walltime 04:00:00"


def test_the_recipe_with_a_driver_in_a_job(recipe: Recipe, expected: Files) -> None:
    two = "--workers 2 --threads 1 --worker-memory 1GB --walltime 5"
    recipe.start("cluster.sbatch", (WORKERS_OF_THE_DRIVER, two))
    recipe.assert_made(expected)
    assert len(list((recipe.folder / "corpus-lonely-workers").glob("*.out"))) == 2


def test_a_driver_in_a_job_whose_time_ends_takes_its_jobs_along(
    slurm: Slurm, recipe: Recipe
) -> None:
    late = "--workers 1 --worker-memory 1GB --sbatch=--begin=now+1hour"  # as in a long queue
    job = recipe.start("cluster.sbatch", (WORKERS_OF_THE_DRIVER, late))
    while len(slurm.jobs()) < 2:
        time.sleep(0.3)
    slurm.run("scancel", "--batch", "--signal=INT", job)  # what --signal=B:INT@120 does
    slurm.wait_until_empty(30)
    assert "run the same command again to go on" in recipe.log(job)


@pytest.mark.parametrize(
    "interface",
    [pytest.param((), marks=pytest.mark.long), ("lo",)],
    ids=["any interface", "one"],
)
def test_the_recipe_with_a_scheduler_file(
    slurm: Slurm, recipe: Recipe, expected: Files, interface: tuple[str, ...]
) -> None:
    job = recipe.start(
        "scheduler-file.sbatch",
        ("#SBATCH --nodes=2", "#SBATCH --nodes=1"),
        ("#SBATCH --cpus-per-task=16", "#SBATCH --cpus-per-task=2"),
        ("workers=()", "workers=(--workers 2 --threads 1)"),
        *(
            ("# interface=(--interface ib0)", f"interface=(--interface {name})")
            for name in interface
        ),
    )
    recipe.assert_made(expected)
    assert slurm.state(job) == "COMPLETED", recipe.log(job)
    assert list(recipe.folder.glob("tls-*")) == []
