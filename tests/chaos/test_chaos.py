"""Whatever dies or breaks, and whenever: run it again, and the scores are those of an undisturbed run."""

import os
import signal
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from corpus_lonely.scoring.describe import inspect_scores
from tests.chaos.processes import leftovers, score
from tests.chaos.schedule import Disturbance, Schedule, draw
from tests.chaos.stage import PARTS, ROWS_OF_A_PART, Stage, small_disk
from tests.scoring.test_job import contents

FIRST = int(os.environ.get("CHAOS_FIRST", "0"))
SCHEDULES = int(os.environ.get("CHAOS_SCHEDULES", "50"))
INTERRUPTED = "Interrupted. What is done is kept: run the same command again to go on."
DIED = "a worker process ended while it started (Nanny failed to start). It may be short of memory."


def play(
    schedule: Schedule, posts: Path, model: Path, home: Path, undisturbed: Path
) -> tuple[int, ...]:
    """Runs disturbed as the schedule says, then once in peace, and compares; the runs' exit statuses."""
    print(schedule)
    with small_disk(home / "disk") as small:
        stage = Stage(schedule, posts, model, home)
        stage.small = small
        try:
            statuses = tuple(stage.run(disturbances) for disturbances in schedule.runs)
            last = stage.run()
            log = stage.runs[-1].log.read_text("utf-8")
            assert last == 0, f"{schedule} ended with {statuses}, then {last}: {log}"
            _compare(stage, posts, undisturbed)
        finally:
            stage.close()
    return statuses


def _compare(stage: Stage, posts: Path, undisturbed: Path) -> None:
    assert contents(stage.out) == contents(undisturbed)
    assert stage.made_again() == []
    about = stage.out.with_name("scores.about")
    left = {entry.name for entry in about.iterdir()} - {"lock", "scores.json"}
    if stage.apart and left == {"staging"}:
        # a worker that has outlived its scheduler began to write a part that others had made meanwhile
        left -= {"staging"} if not any((about / "staging").iterdir()) else set()
    assert left == set()
    assert (about / "scores.json").exists()
    told = undisturbed.with_name("scores.about") / "scores.json"
    assert (about / "scores.json").read_bytes() == told.read_bytes()
    description = inspect_scores(stage.out).description
    assert description.complete, description.bad
    assert description.counts.rows == PARTS * ROWS_OF_A_PART
    # what both might have wrong: rows lost, or there twice
    scored = [pq.read_table(part, columns=["post_id"])["post_id"] for part in stage.parts()]
    ids = [post for column in scored for post in column.to_pylist()]
    assert ids == pq.read_table(posts, columns=["post_id"])["post_id"].to_pylist()
    assert len(stage.parts()) == PARTS


@pytest.mark.chaos
@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", range(FIRST, FIRST + SCHEDULES))
def test_a_random_schedule(
    number: int, chaos_posts: Path, chaos_model: Path, tmp_path: Path, undisturbed: Path
) -> None:
    play(draw(number), chaos_posts, chaos_model, tmp_path, undisturbed)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.long
def test_a_worker_dies_a_part_rots_the_driver_dies(
    chaos_posts: Path, chaos_model: Path, tmp_path: Path, undisturbed: Path
) -> None:
    run = (
        Disturbance("kill", "worker", 0.1, 0.0, 0.0),
        Disturbance("damage", "overwritten", 0.3, 0.0, 0.0),
        Disturbance("kill", "driver", 0.6, 0.0, 0.0),
    )
    schedule = Schedule(-1, apart=False, runs=(run,))
    assert play(schedule, chaos_posts, chaos_model, tmp_path, undisturbed) == (-9,)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("blow", "after_s", "status", "told"),
    [
        (signal.SIGINT, 0.0, 130, INTERRUPTED),
        (signal.SIGINT, 0.1, 130, INTERRUPTED),
        (signal.SIGINT, 0.4, 130, INTERRUPTED),
        (signal.SIGKILL, 0.0, 1, DIED),
    ],
)
def test_what_happens_while_workers_start_is_told_in_one_line(
    chaos_posts: Path,
    chaos_model: Path,
    tmp_path: Path,
    blow: signal.Signals,
    after_s: float,
    status: int,
    told: str,
) -> None:
    options: dict[str, object] = {
        "--input": chaos_posts,
        "--model": chaos_model,
        "--out": tmp_path / "scores",
        "--workers": 2,
    }
    run = score(options, tmp_path / "run.log")
    try:
        while not run.workers():
            assert run.process.poll() is None, run.log.read_text("utf-8")
        time.sleep(after_s)
        if blow == signal.SIGINT:  # as a terminal does: to all of them, the resource tracker too
            os.killpg(run.process.pid, blow)
        else:
            run.workers()[0].send_signal(blow)
        assert run.process.wait(60) == status
        assert leftovers(run) == []
        *before, last = run.log.read_text("utf-8").splitlines()
        assert last.startswith(f"Error: {told}")
        assert [line for line in before if " Dask workers; watch them at " not in line] == []
    finally:
        run.end_all()
