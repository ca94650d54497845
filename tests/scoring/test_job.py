"""Whole runs in this process: resume, conflicts, what is set aside."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from corpus_lonely.cluster import ClusterSettings
from corpus_lonely.errors import (
    CorpusLonelyError,
    InputError,
    ModelError,
    OutputError,
    ScoringError,
    SettingsError,
)
from corpus_lonely.inference.forward import Forward
from corpus_lonely.progress import Silent
from corpus_lonely.scoring import dispatch, worker
from corpus_lonely.scoring.job import ScoreReport, ScoreSettings, score_posts
from corpus_lonely.scoring.parts import Output
from corpus_lonely.scoring.plan import Shard
from corpus_lonely.scoring.task import ShardFailure
from corpus_lonely.taxonomy import loneliness

HERE = ClusterSettings(workers=0, threads=1)
LABELS = list(loneliness().score_columns)


def run(
    posts: Path, model: Path, out: Path, progress: Silent | None = None, **options: Any
) -> ScoreReport:
    settings = {"shard_rows": 300, "precision": "fp32", "cluster": HERE, **options}
    return score_posts(ScoreSettings(str(posts), model, out, **settings), progress)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


class Heard(Silent):
    """Remembers what a run told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.amounts: list[float] = []
        self.before = self.total = 0.0

    def start(self, task: str, total: float | None, unit: str, done: float = 0.0) -> None:
        self.total, self.before = total or 0, done

    def advance(self, amount: float, detail: str = "") -> None:
        self.amounts.append(amount)

    def note(self, message: str) -> None:
        self.notes.append(message)


def test_rows_and_order_are_the_inputs(posts: Path, model: Path, tmp_path: Path) -> None:
    report = run(posts, model, tmp_path / "scores", keep=("score",))
    scores, rows = pl.read_parquet(tmp_path / "scores"), pl.read_parquet(posts)
    assert scores["score"].to_list() == rows["score"].to_list()
    assert scores["post_id"].to_list() == rows["post_id"].to_list()
    for category in loneliness().categories:
        sums = scores.filter(pl.col("status") == "ok").select(pl.sum_horizontal(category.columns))
        np.testing.assert_allclose(sums.to_series().to_numpy(), 1, atol=1e-4)
    assert (report.counts.rows, report.counts.ok, report.counts.empty) == (1000, 980, 20)
    assert (report.shards, report.shards_before) == (4, 0)


def test_a_model_of_some_groups_is_refused(posts: Path, model: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text("utf-8"))
    (tmp_path / "model" / "config.json").write_text(json.dumps({**config, "only": ["duration"]}))
    with pytest.raises(ModelError, match="has learnt duration alone, so most of its scores would"):
        score_posts(ScoreSettings(str(posts), tmp_path / "model", tmp_path / "scores"))
    assert not (tmp_path / "scores").exists()


@pytest.mark.parametrize(("packs", "told"), [(True, "packed"), (False, "padded")])
def test_whether_posts_are_packed_is_told(
    posts: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    packs: bool,
    told: str,
) -> None:
    monkeypatch.setattr(worker, "_engine", None)
    monkeypatch.setattr(worker, "_loaded", ())  # put back with it
    monkeypatch.setattr(Forward, "pack", lambda self: setattr(self, "packed", packs))
    heard = Heard()
    run(posts, model, tmp_path / "scores", heard, precision="bf16")
    assert f"Model loaded: cpu, bf16, {told}." in heard.notes


@pytest.mark.parametrize(
    ("device", "gpus", "pinned", "workers"),
    [("cuda:1", True, False, 1), ("cuda", True, True, None), ("cpu", False, True, None)],
)
def test_how_a_device_is_asked_for(
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    gpus: bool,
    pinned: bool,
    workers: int | None,
) -> None:
    asked: list[ClusterSettings] = []

    @contextmanager
    def opened(wanted: ClusterSettings, **_rest: Any) -> Iterator[Any]:
        asked.append(wanted)
        yield SimpleNamespace(client=None, address="", dashboard=None, workers=set)

    monkeypatch.setattr(dispatch, "open_cluster", opened)
    with dispatch.open_executor(ScoreSettings("x", model, tmp_path, device=device), Heard()):
        assert asked == [ClusterSettings(gpus=gpus, pinned=pinned, workers=workers)]


def test_the_same_settings_give_the_same_bytes(posts: Path, model: Path, tmp_path: Path) -> None:
    run(posts, model, tmp_path / "one")
    run(posts, model, tmp_path / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    described = [(tmp_path / f"{n}.about" / "scores.json").read_bytes() for n in ("one", "two")]
    assert described[0] == described[1]


def test_another_shard_size_gives_the_same_scores(posts: Path, model: Path, tmp_path: Path) -> None:
    run(posts, model, tmp_path / "one", shard_rows=1000, precision="bf16")
    run(posts, model, tmp_path / "two", shard_rows=77, precision="bf16")
    one, two = (pl.read_parquet(tmp_path / n) for n in ("one", "two"))
    assert one["post_id"].to_list() == two["post_id"].to_list()
    assert one["status"].to_list() == two["status"].to_list()
    difference = (one.select(LABELS).fill_null(0) - two.select(LABELS).fill_null(0)).to_numpy()
    assert np.abs(difference).max() < 0.01
    assert one["lonely"].n_unique() > 500  # the model does tell posts apart


def test_the_description_tells_totals_once_all_is_done(
    posts: Path, model: Path, tmp_path: Path
) -> None:
    report = run(posts, model, tmp_path / "scores")
    described = json.loads((tmp_path / "scores.about" / "scores.json").read_text())
    assert described["totals"]["rows"] == described["rows"] == 1000
    assert described["totals"]["tokens"] == report.counts.tokens
    assert described["run"]["shard_rows"] == 300
    assert sorted(p.name for p in (tmp_path / "scores.about").iterdir()) == ["lock", "scores.json"]


@pytest.mark.parametrize(
    "spoil",
    [
        Path.unlink,
        lambda path: path.write_bytes(b"rubbish"),
        lambda path: path.write_bytes(path.read_bytes()[:-9]),
    ],
)
def test_what_is_missing_is_made_again_and_nothing_else(
    posts: Path, model: Path, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    out = tmp_path / "scores"
    run(posts, model, out)
    whole = contents(out)
    stats = {path.name: path.stat() for path in out.iterdir()}
    spoil(out / "part-000002.parquet")
    heard = Heard()
    report = run(posts, model, out, heard)
    assert contents(out) == whole
    assert report.shards_before == 3
    assert report.counts.rows == 1000
    assert (heard.before, heard.total, sum(heard.amounts)) == (700, 1000, 300)
    for name in ("part-000000.parquet", "part-000001.parquet", "part-000003.parquet"):
        assert (out / name).stat() == stats[name]


def test_nothing_to_do_takes_no_torch_and_no_cluster(
    posts: Path, model: Path, tmp_path: Path
) -> None:
    run(posts, model, tmp_path / "scores")
    code = (
        "import sys; from pathlib import Path\n"
        "from corpus_lonely.scoring import job\n"
        "job.open_cluster = None\n"
        "settings = job.ScoreSettings(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))\n"
        "report = job.score_posts(settings)\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
        "print(report.shards_before, report.shards, report.counts.rows)"
    )
    arguments = [str(posts), str(model), str(tmp_path / "scores")]
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert ended.stdout == "4 4 1000\n", ended.stderr


def test_what_is_not_given_is_as_the_folder_was_begun(
    posts: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scores"
    run(posts, model, out, max_tokens=16, batch_tokens=1024)
    (out / "part-000001.parquet").unlink()
    report = run(posts, model, out, shard_rows=None, precision="auto")
    assert (report.shards, report.shards_before) == (4, 3)
    assert pl.read_parquet(out)["num_tokens"].max() == 16


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"precision": "bf16"}, "--precision fp32, not bf16"),
        ({"max_tokens": 32}, "--max-tokens 64, not 32"),
        ({"batch_tokens": 1024}, "--batch-tokens 2048, not 1024"),
        ({"shard_rows": 100}, "--shard-rows 300, not 100"),
        ({"keep": ("score",)}, "other columns carried along"),
        ({"text_column": "subreddit"}, "--text-column text, not subreddit"),
    ],
)
def test_other_settings_are_refused(
    posts: Path, model: Path, tmp_path: Path, options: dict[str, Any], told: str
) -> None:
    out = tmp_path / "scores"
    run(posts, model, out)
    whole = contents(out)
    with pytest.raises(OutputError) as raised:
        run(posts, model, out, **options)
    assert told in str(raised.value)
    assert "--overwrite" in str(raised.value)
    assert contents(out) == whole
    run(posts, model, out, overwrite=True, **options)
    assert contents(out) != whole


def test_another_model_or_input_is_refused(
    posts: Path, model: Path, other_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scores"
    run(posts, model, out)
    with pytest.raises(OutputError, match=r"scores: was begun with another model\. Choose"):
        run(posts, other_model, out)
    pq.write_table(pq.read_table(posts).slice(1), posts)
    with pytest.raises(OutputError, match=r"scores: was begun with another input\. Choose"):
        run(posts, model, out)


def test_overwrite_leaves_nothing_of_the_old_run(posts: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores"
    run(posts, model, out, shard_rows=100)
    run(posts, model, out, shard_rows=500, overwrite=True)
    assert list(contents(out)) == ["part-000000.parquet", "part-000001.parquet"]


def test_overwrite_clears_only_once_the_new_run_can_begin(
    posts: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scores"
    run(posts, model, out, shard_rows=100)
    whole = contents(out)
    with pytest.raises(SettingsError, match="--max-tokens must be at most"):
        run(posts, model, out, max_tokens=100_000, overwrite=True)
    assert contents(out) == whole


def test_overwrite_goes_on_where_its_own_run_was_interrupted(
    posts: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scores"
    run(posts, model, out, shard_rows=100, overwrite=True)
    (out / "part-000003.parquet").unlink()
    kept = (out / "part-000000.parquet").stat()
    report = run(posts, model, out, shard_rows=100, overwrite=True)
    assert (out / "part-000000.parquet").stat().st_mtime_ns == kept.st_mtime_ns
    assert report.shards_before == report.shards - 1


def test_a_shard_that_fails_is_set_aside_and_the_others_finish(
    posts: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, heard, real = tmp_path / "scores", Heard(), worker.score_shard

    def fail_second(shard: Any, *rest: Any) -> Any:
        return ShardFailure(shard, "it was not to be") if shard.index == 1 else real(shard, *rest)

    monkeypatch.setattr(dispatch, "score_shard", fail_second)
    with pytest.raises(ScoringError) as raised:
        run(posts, model, out, heard)
    assert "1 of 4 shards could not be scored: part-000001.parquet (rows 300 to 600 of " in str(
        raised.value
    )
    assert "it was not to be" in str(raised.value)
    assert any("Set aside part-000001.parquet" in note for note in heard.notes)
    assert len(contents(out)) == 3
    described = json.loads((tmp_path / "scores.about" / "scores.json").read_text())
    assert described["set_aside"] == {"part-000001.parquet": "it was not to be"}
    assert described["totals"] is None
    monkeypatch.undo()
    assert run(posts, model, out).shards_before == 3


def test_a_part_that_does_not_stand_at_the_end_is_told(
    posts: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Output.write

    def lose(self: Output, shard: Shard, table: Any) -> None:
        if shard.index != 2:
            write(self, shard, table)

    monkeypatch.setattr(Output, "write", lose)
    with pytest.raises(ScoringError) as raised:
        run(posts, model, tmp_path / "scores")
    assert "1 of 4 shards could not be scored: part-000002.parquet" in str(raised.value)
    assert "it does not stand in the folder" in str(raised.value)
    assert not Output(tmp_path / "scores").totalled()
    monkeypatch.undo()
    assert run(posts, model, tmp_path / "scores").shards_before == 3
    assert Output(tmp_path / "scores").totalled()


def test_a_run_whose_every_shard_fails_ends_early(
    posts: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def fail(shard: Any, *_rest: Any) -> Any:
        tried.append(shard.index)
        return ShardFailure(shard, "no")

    monkeypatch.setattr(dispatch, "score_shard", fail)
    with pytest.raises(ScoringError, match="the first 5 shards failed"):
        run(posts, model, tmp_path / "scores", shard_rows=10)
    assert tried == [0, 1, 2, 3, 4]


def test_files_that_cannot_be_read_say_nothing_of_others(
    posts: Path, model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for index in range(12):
        shutil.copy(posts, folder / f"{index:02}.parquet")
    for index in range(6):
        with (folder / f"{index:02}.parquet").open("r+b") as file:
            file.seek(4)
            file.write(bytes(5000))
    with pytest.raises(ScoringError) as raised:
        run(folder, model, tmp_path / "scores", shard_rows=1000)
    assert "6 of 12 shards could not be scored: part-000000.parquet" in str(raised.value)
    assert "The others are kept: run" in str(raised.value)
    assert len(contents(tmp_path / "scores")) == 6


def test_rows_that_cannot_be_read_say_nothing_of_those_behind_them(
    posts: Path, model: Path, tmp_path: Path
) -> None:
    end = pq.read_metadata(posts).row_group(1).column(0).dictionary_page_offset
    with posts.open("r+b") as file:
        file.seek(4)
        file.write(bytes(end - 4))
    with pytest.raises(ScoringError, match="6 of 20 shards could not be scored"):
        run(posts, model, tmp_path / "scores", shard_rows=50)


def test_a_run_of_which_nothing_stands_does_not_say_that_something_is_kept(
    posts: Path, model: Path, tmp_path: Path
) -> None:
    with posts.open("r+b") as file:
        file.seek(4)
        file.write(bytes(posts.stat().st_size // 2))
    with pytest.raises(ScoringError, match=r"the first 5 shards failed: .*Mend that, and run the"):
        run(posts, model, tmp_path / "scores", shard_rows=100)


def test_a_resumed_run_whose_every_shard_fails_ends_early_too(
    posts: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, tried, real = tmp_path / "scores", list[int](), worker.score_shard

    def fail(shard: Any, *_rest: Any) -> Any:
        tried.append(shard.index)
        return ShardFailure(shard, "no")

    run(posts, model, out, shard_rows=100)
    for index in range(1, 10):
        (out / f"part-{index:06d}.parquet").unlink()
    monkeypatch.setattr(dispatch, "score_shard", fail)
    with pytest.raises(ScoringError, match="the first 5 shards failed"):
        run(posts, model, out, shard_rows=100)
    assert tried == [1, 2, 3, 4, 5]

    def fail_again(shard: Any, *rest: Any) -> Any:
        return fail(shard) if shard.index in tried else real(shard, *rest)

    # those five are no sign now: they had been set aside before
    monkeypatch.setattr(dispatch, "score_shard", fail_again)
    with pytest.raises(ScoringError, match="5 of 10 shards could not be scored"):
        run(posts, model, out, shard_rows=100)
    assert len(contents(out)) == 5


def test_a_full_disk_stops_at_once(
    posts: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    write_bytes = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if "part-" not in path.name:
            return write_bytes(path, content)
        tried.append(path.name)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match=r"part-000000\.parquet: no space left on the disk"):
        run(posts, model, tmp_path / "scores")
    assert len(tried) == 1


def test_input_on_another_file_system(posts: Path, model: Path, tmp_path: Path) -> None:
    with fsspec.open("memory://corpus/posts.parquet", "wb") as file:
        file.write(posts.read_bytes())
    settings = ScoreSettings(
        "memory://corpus/posts.parquet",
        model,
        tmp_path / "far",
        shard_rows=300,
        precision="fp32",
        cluster=HERE,
    )
    score_posts(settings)
    run(posts, model, tmp_path / "near")
    assert contents(tmp_path / "far") == contents(tmp_path / "near")


def test_what_cannot_be_is_refused_before_anything_is_written(
    posts: Path, model: Path, tmp_path: Path
) -> None:
    cases: list[tuple[type[CorpusLonelyError], str, dict[str, Any]]] = [
        (ModelError, "is no model folder", {"model": tmp_path}),
        (ModelError, "does not exist", {"model": tmp_path / "none"}),
        (InputError, "does not exist", {"posts": tmp_path / "none.parquet"}),
        (InputError, "has no column 'body'", {"text_column": "body"}),
        (SettingsError, "--out must not lie inside --input", {"posts": tmp_path}),
        (SettingsError, "--shard-rows must be at least 1", {"shard_rows": 0}),
    ]
    for kind, told, changes in cases:
        with pytest.raises(kind, match=told):
            run(**{"posts": posts, "model": model, "out": tmp_path / "scores", **changes})
    assert not (tmp_path / "scores").exists()
    assert not (tmp_path / "scores.about").exists()
