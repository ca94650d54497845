"""One shard, in this process: which rows are read, what is written, what an error may tell."""

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus_lonely import tables
from corpus_lonely.errors import ModelError, OutputError, ScoringError
from corpus_lonely.files import files_sha256
from corpus_lonely.inference import engine, folder
from corpus_lonely.inference.engine import Engine, EngineSettings
from corpus_lonely.inference.faults import device_failure
from corpus_lonely.inference.folder import NUMERICS_VERSION, model_facts
from corpus_lonely.scoring import worker
from corpus_lonely.scoring.inputs import find_posts
from corpus_lonely.scoring.plan import Run, Shard, cut_shards
from corpus_lonely.scoring.reading import read_rows
from corpus_lonely.scoring.task import Abandoned, Ready, ShardFailure, ShardResult, Task
from corpus_lonely.scoring.worker import prepare, score_shard
from corpus_lonely.taxonomy import loneliness
from tests.scoring.test_plan import RUN


def make_task(
    source: Path | str, model: Path, out: Path, shard_rows: int
) -> tuple[Task, list[Shard]]:
    posts = find_posts(str(source))
    run = Run(
        **{
            **RUN.to_dict(),
            "model": model_facts(model).fingerprint,
            "carried": tuple(posts.carried.names),
            "max_tokens": 64,
            "precision": "fp32",
            "shard_rows": shard_rows,
            "numerics_version": NUMERICS_VERSION,
        }
    )
    shards = list(cut_shards(posts, shard_rows))
    return Task(run, model, out, "cpu", 1, posts.carried, len(shards)), shards


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(1, 40), st.integers(1, 60), st.integers(1, 60))
def test_a_shard_reads_its_rows_and_no_others(
    tmp_path: Path, rows: int, group: int, shard_rows: int
) -> None:
    path = tmp_path / "posts.parquet"
    whole = pa.table({"text": [f"post {i}" for i in range(rows)], "post_id": map(str, range(rows))})
    pq.write_table(whole, path, row_group_size=group)
    posts = find_posts(str(path))
    read = [read_rows(shard, ["text", "post_id"]) for shard in cut_shards(posts, shard_rows)]
    assert pa.concat_tables(read).to_pylist() == whole.to_pylist()


def test_a_part_holds_the_engines_scores_of_its_rows(
    posts: Path, model: Path, tmp_path: Path
) -> None:
    task, shards = make_task(posts, model, tmp_path / "scores", 400)
    result = score_shard(shards[1], task)
    assert isinstance(result, ShardResult)
    part = pl.read_parquet(tmp_path / "scores" / "part-000001.parquet")
    rows = pl.read_parquet(posts).slice(400, 400)
    expected = Engine.load(model, EngineSettings(precision="fp32")).score(rows["text"].to_list())

    assert part["post_id"].to_list() == rows["post_id"].to_list()
    assert part.columns == [
        "post_id",
        "subreddit",
        *loneliness().score_columns,
        *tables.SCORE_FACTS,
    ]
    assert "text" not in part.columns
    assert part["status"].to_list() == expected.status
    lonely = part["lonely"].fill_null(np.nan).to_numpy()
    np.testing.assert_allclose(lonely, expected.probabilities_NL[:, 1], atol=1e-5)
    empty = part.filter(pl.col("status") == "empty")
    assert len(empty) == 8
    assert empty.select(loneliness().score_columns).null_count().row(0) == (8,) * 20
    assert result.counts.rows == 400
    assert result.counts.ok == 392
    assert result.counts.empty == 8
    assert result.counts.tokens == part["num_tokens"].sum()
    assert result.counts.truncated == part["truncated"].sum() > 0


def test_the_footer_tells_where_scores_come_from(posts: Path, model: Path, tmp_path: Path) -> None:
    task, shards = make_task(posts, model, tmp_path / "scores", 400)
    score_shard(shards[2], task)
    facts = tables.footer(tmp_path / "scores" / "part-000002.parquet")
    assert facts["run"]["model"] == model_facts(model).fingerprint
    assert facts["device"] == "cpu"
    assert facts["shard"]["file"] == "posts.parquet"
    assert (facts["shard"]["start"], facts["shard"]["stop"], facts["shard"]["of"]) == (800, 1000, 3)
    assert set(facts["versions"]) == {"corpus-lonely", "torch", "transformers", "tokenizers"}
    assert facts["counts"]["rows"] == 200
    told = json.dumps(facts)  # a short name of a host may stand in compressed bytes by chance
    for private in (str(tmp_path), os.uname().nodename):
        assert private not in told


def test_odd_texts_get_scores_or_a_status(model: Path, tmp_path: Path) -> None:
    texts = [None, "", " \u200b\n", "ba" * 200_000, "😀😀", "\x01\x02", "שלום", "bara " * 5000]
    path = tmp_path / "posts.parquet"
    broken = pa.array([None if t is None else t.encode() for t in texts] + [b"bara \xff\xfe dosi"])
    # a writer that does not check its text, as some do not
    text = pa.Array.from_buffers(pa.string(), len(broken), broken.buffers())
    pq.write_table(pa.table({"text": text}), path)
    task, shards = make_task(path, model, tmp_path / "scores", 100)
    result = score_shard(shards[0], task)
    assert isinstance(result, ShardResult)
    assert (result.counts.rows, result.counts.empty, result.counts.error) == (9, 3, 0)


def test_hive_values_are_carried(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "posts" / "subreddit=lonely" / "a.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"text": ["bara", "dosi"]}), path)
    task, shards = make_task(tmp_path / "posts", model, tmp_path / "scores", 100)
    score_shard(shards[0], task)
    part = pl.read_parquet(tmp_path / "scores" / "part-000000.parquet")
    assert part["subreddit"].to_list() == ["lonely", "lonely"]


def test_a_part_that_stands_is_not_made_again(posts: Path, model: Path, tmp_path: Path) -> None:
    task, shards = make_task(posts, model, tmp_path / "scores", 400)
    first = score_shard(shards[0], task)
    before = (tmp_path / "scores" / "part-000000.parquet").stat()
    again = score_shard(shards[0], task)
    assert isinstance(first, ShardResult)
    assert isinstance(again, ShardResult)
    assert first.counts == again.counts
    assert (tmp_path / "scores" / "part-000000.parquet").stat() == before


def test_progress_is_told_in_posts(posts: Path, model: Path, tmp_path: Path) -> None:
    task, shards = make_task(posts, model, tmp_path / "scores", 1000)
    task = replace(task, run=replace(task.run, batch_tokens=512))
    heard: list[int] = []
    score_shard(shards[0], task, heard.append)
    assert heard
    assert heard == sorted(heard)
    assert heard[-1] <= 1000


def test_an_input_that_changed_is_set_aside(posts: Path, model: Path, tmp_path: Path) -> None:
    task, shards = make_task(posts, model, tmp_path / "scores", 400)
    pq.write_table(pa.table({"text": ["other"]}), posts)
    failure = score_shard(shards[0], task)
    assert isinstance(failure, ShardFailure)
    assert failure.fatal is None
    assert "posts.parquet: has changed since the run began" in failure.reason


def test_damage_between_the_footer_and_the_start_is_set_aside(
    posts: Path, model: Path, tmp_path: Path
) -> None:
    size = posts.stat().st_size
    with posts.open("r+b") as file:
        file.seek(50)
        file.write(b"\xff" * (size // 2))
    task, shards = make_task(posts, model, tmp_path / "scores", 400)
    failure = score_shard(shards[0], task)
    assert isinstance(failure, ShardFailure)
    assert failure.fatal is None
    assert "posts.parquet: cannot be read (" in failure.reason
    assert not list((tmp_path / "scores").glob("*"))


def test_another_model_in_the_folder_stops_the_run(
    posts: Path, model: Path, other_model: Path, tmp_path: Path
) -> None:
    task, shards = make_task(posts, model, tmp_path / "scores", 400)
    failure = score_shard(shards[0], replace(task, model=other_model))
    assert isinstance(failure, ShardFailure)
    assert isinstance(failure.fatal, ModelError)
    assert isinstance(prepare(replace(task, model=other_model)), ModelError)


def test_an_unforeseen_error_does_not_quote_a_post(
    posts: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, shards = make_task(posts, model, tmp_path / "scores", 400)

    def fail(self: Engine, texts: list[str], progress: object) -> None:
        raise ValueError(f"cannot make sense of {texts[1]}")

    monkeypatch.setattr(Engine, "score", fail)
    failure = score_shard(shards[0], task)
    assert isinstance(failure, ShardFailure)
    assert failure.reason.startswith("ValueError at test_worker.py:")
    assert "cannot" not in repr(failure)


def test_a_full_disk_stops_the_run(
    posts: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, shards = make_task(posts, model, tmp_path / "scores", 400)
    full = OSError(28, "No space left on device")
    monkeypatch.setattr(Path, "write_bytes", lambda *_args: (_ for _ in ()).throw(full))
    failure = score_shard(shards[0], task)
    assert isinstance(failure, ShardFailure)
    assert isinstance(failure.fatal, OutputError)
    assert "no space left on the disk" in failure.reason
    assert [p for p in (tmp_path / "scores.about").rglob("*") if p.is_file()] == []


def test_one_model_serves_auto_and_what_it_turned_out_to_be(
    posts: Path, model: Path, tmp_path: Path
) -> None:
    task, _ = make_task(posts, model, tmp_path / "scores", 400)
    auto = replace(task, run=replace(task.run, precision="auto"))
    ready = prepare(auto)
    assert isinstance(ready, Ready)
    loaded = worker._engine
    prepare(replace(auto, run=replace(auto.run, precision=ready.precision)))
    assert worker._engine is loaded
    other = "bf16" if ready.precision == "fp32" else "fp32"
    prepare(replace(auto, run=replace(auto.run, precision=other)))
    assert worker._engine is not loaded


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            RuntimeError("CUDA error: an illegal memory access was encountered\nCompile with"),
            "CUDA error: an illegal memory access was encountered",
        ),
        (
            RuntimeError("CUDA error: device-side assert triggered\nFor debugging"),
            "CUDA error: device-side assert triggered",
        ),
        (
            RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
            "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
        ),
        (torch.AcceleratorError("what torch raises by its own name"), "AcceleratorError"),
        (torch.OutOfMemoryError("CUDA out of memory. CUDA error: none"), None),
        (torch.AcceleratorError("CUDA error: out of memory\nCompile with"), None),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), None),
        (RuntimeError("The size of tensor a must match"), None),
        (ValueError("CUDA error: says somebody's post"), None),
    ],
)
def test_what_a_new_process_alone_can_mend(error: Exception, told: str | None) -> None:
    assert device_failure(error) == told


def test_a_broken_device_stops_a_run_that_has_no_other_process(
    posts: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, shards = make_task(posts, model, tmp_path / "scores", 400)

    def fail(*_arguments: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(Engine, "score", fail)
    failure = score_shard(shards[0], task)
    assert isinstance(failure, ShardFailure)
    assert failure.broken
    assert "can compute nothing more in this process (CUDA error: an ill" in str(failure.fatal)


def test_memory_that_ran_out_is_told_by_the_shard_that_met_it(
    posts: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, shards = make_task(posts, model, tmp_path / "scores", 400)
    real = Engine.score

    def short(self: Any, *arguments: Any) -> Any:
        if not (tmp_path / "scores" / shards[1].part).exists():
            self.sweep.halvings, self.sweep.batch_tokens = self.halvings + 1, 4096
        return real(self, *arguments)

    monkeypatch.setattr(Engine, "score", short)
    results = [score_shard(shard, task) for shard in shards]
    told = [(r.halvings, r.batch_tokens) for r in results if isinstance(r, ShardResult)]
    assert told == [(1, 4096), (1, 4096), (0, 4096)]
    monkeypatch.setattr(worker, "_engine", None)  # the budget would stay cut for other tests


def test_memory_that_ran_out_once_is_told_once_by_shards_that_share_an_engine(
    posts: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, shards = make_task(posts, model, tmp_path / "scores", 400)
    assert isinstance(prepare(task), Ready)
    real, together = Engine.score, Barrier(len(shards))

    def short(self: Any, *arguments: Any) -> Any:
        if together.wait(60) == 0:
            self.sweep.halvings += 1
        scored = real(self, *arguments)
        together.wait(60)
        return scored

    monkeypatch.setattr(Engine, "score", short)
    with ThreadPoolExecutor(len(shards)) as threads:
        results = list(threads.map(lambda shard: score_shard(shard, task), shards))
    assert sum(r.halvings for r in results if isinstance(r, ShardResult)) == 1


def test_a_shard_that_is_not_wanted_any_more_is_not_written(
    posts: Path, model: Path, tmp_path: Path
) -> None:
    task, shards = make_task(posts, model, tmp_path / "scores", 400)

    def told(rows: int) -> None:
        if rows == shards[0].rows:  # at the last moment
            raise Abandoned

    outcome = score_shard(shards[0], task, told)
    assert isinstance(outcome, ShardFailure)
    assert outcome.fatal is None
    assert not (tmp_path / "scores").exists()


def test_a_part_that_another_wrote_meanwhile_is_left_as_it_is(
    posts: Path, model: Path, tmp_path: Path
) -> None:
    task, shards = make_task(posts, model, tmp_path / "scores", 400)
    written: list[int] = []

    def overtaken(rows: int) -> None:
        if rows == shards[0].rows:
            part = tmp_path / "scores" / "part-000000.parquet"
            part.parent.mkdir()
            part.write_bytes(whole)
            written.append(part.stat().st_mtime_ns)

    score_shard(shards[0], replace(task, out=tmp_path / "before"))
    whole = (tmp_path / "before" / "part-000000.parquet").read_bytes()
    assert isinstance(score_shard(shards[0], task, overtaken), ShardResult)
    assert (tmp_path / "scores" / "part-000000.parquet").stat().st_mtime_ns == written[0]


def test_a_process_reads_a_model_once_to_know_it(
    posts: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Path(shutil.copytree(model, tmp_path / "model"))
    read: list[str] = []
    real = files_sha256

    def counted(paths: list[Path]) -> str:
        read.extend(path.name for path in paths)
        return real(paths)

    monkeypatch.setattr(folder, "files_sha256", counted)
    known = model_facts(mine).fingerprint
    Engine.load(mine, EngineSettings(device="cpu"))
    assert model_facts(mine).fingerprint == known
    assert read.count("model.safetensors") == 1
    (mine / "config.json").write_text((mine / "config.json").read_text() + " ")
    assert model_facts(mine).fingerprint != known


def test_whatever_keeps_a_model_from_loading_comes_back_without_text(
    posts: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker may load it, so it is no error of the run's."""
    task, _ = make_task(posts, model, tmp_path / "scores", 400)
    monkeypatch.setattr(worker, "_engine", None)

    def fail(*_arguments: object) -> None:
        raise ValueError("somebody's post")

    monkeypatch.setattr(Engine, "load", fail)
    told = prepare(task)
    assert isinstance(told, ScoringError)
    assert str(told).startswith("a worker could not load the model: ValueError at test_worker.py:")


def test_a_gpu_that_cannot_be_used_is_no_reason_to_take_the_cpu(
    posts: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, shards = make_task(posts, model, tmp_path / "scores", 400)
    monkeypatch.setattr(worker, "_engine", None)
    monkeypatch.setattr(worker, "count_gpus", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    auto = replace(task, device="auto")
    failure = score_shard(shards[0], auto)
    assert isinstance(failure, ShardFailure)
    assert failure.host
    assert str(prepare(auto)).startswith(f"{os.uname().nodename}: there is a GPU, and it cannot")
    assert isinstance(prepare(task), Ready)  # who asks for the CPU gets it


def test_the_device_says_how_many_tokens_a_batch_has(
    posts: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, _ = make_task(posts, model, tmp_path / "scores", 400)
    left_open = replace(task, run=replace(task.run, batch_tokens=None))
    monkeypatch.setattr(engine, "default_batch_tokens", lambda _gpu: 4096)
    monkeypatch.setattr(worker, "default_batch_tokens", lambda _gpu: 4096)
    monkeypatch.setattr(worker, "_engine", None)
    ready = prepare(left_open)
    assert isinstance(ready, Ready)
    assert ready.batch_tokens == 4096
    loaded = worker._engine
    prepare(replace(task, run=replace(task.run, batch_tokens=4096)))
    assert worker._engine is loaded
    prepare(task)
    other = worker._engine
    assert other is not loaded
    again = prepare(left_open)  # what an earlier run asked for is not what this one leaves open
    assert isinstance(again, Ready)
    assert (again.batch_tokens, worker._engine is other) == (4096, False)


def test_what_an_earlier_run_asked_for_does_not_decide_for_the_next(
    posts: Path, model: Path, tmp_path: Path
) -> None:
    task, _ = make_task(posts, model, tmp_path / "scores", 400)
    auto = replace(task, run=replace(task.run, precision="auto"))
    usual = prepare(auto)
    assert isinstance(usual, Ready)
    other = "bf16" if usual.precision == "fp32" else "fp32"
    prepare(replace(task, run=replace(task.run, precision=other)))
    again = prepare(auto)
    assert isinstance(again, Ready)
    assert again.precision == usual.precision
