"""Shards that were set aside are remembered until they are done, and can be tried alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corpus_lonely.errors import ScoringError, SettingsError
from corpus_lonely.scoring import dispatch, worker
from corpus_lonely.scoring.aside import Aside
from corpus_lonely.scoring.parts import Output
from corpus_lonely.scoring.task import ShardFailure
from tests.scoring.test_job import Heard, contents, run

REAL = worker.score_shard


def failing(*indices: int, tried: list[int] | None = None) -> Callable[..., Any]:
    """What stands in for `score_shard`: some shards fail, and all that are tried are told."""

    def score(shard: Any, *rest: Any) -> Any:
        if tried is not None:
            tried.append(shard.index)
        return ShardFailure(shard, "not to be") if shard.index in indices else REAL(shard, *rest)

    return score


def set_aside(out: Path) -> dict[str, str]:
    described: dict[str, Any] = json.loads(Output(out).description.read_text())
    found: dict[str, str] = described.get("set_aside", {})
    return found


@pytest.fixture
def two_aside(posts: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten parts, of which two are set aside and a third was lost later."""
    out = tmp_path / "scores"
    with monkeypatch.context() as patched:
        patched.setattr(dispatch, "score_shard", failing(3, 7))
        with pytest.raises(ScoringError, match="2 of 10 shards could not be scored"):
            run(posts, model, out, shard_rows=100)
    (out / "part-000001.parquet").unlink()
    return out


def test_retry_does_what_was_set_aside_and_nothing_else(
    posts: Path, model: Path, two_aside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []
    monkeypatch.setattr(dispatch, "score_shard", failing(tried=tried))
    heard = Heard()
    report = run(posts, model, two_aside, heard, shard_rows=100, retry_failed=True)
    assert tried == [3, 7]
    assert (report.shards, report.standing, report.parts) == (2, 9, 10)
    assert (heard.total, sum(heard.amounts), report.counts.rows) == (200, 200, 200)
    assert set_aside(two_aside) == {}
    run(posts, model, two_aside, shard_rows=100)
    run(posts, model, tmp_path / "whole", shard_rows=100)
    assert contents(two_aside) == contents(tmp_path / "whole")
    described = [(tmp_path / f"{n}.about" / "scores.json").read_text() for n in ("scores", "whole")]
    assert described[0] == described[1]


def test_what_fails_again_stays_aside(
    posts: Path, model: Path, two_aside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "score_shard", failing(7))
    with pytest.raises(ScoringError, match="1 of 2 shards could not be scored: part-000007"):
        run(posts, model, two_aside, shard_rows=100, retry_failed=True)
    assert set_aside(two_aside) == {"part-000007.parquet": "not to be"}


def test_an_interrupted_rerun_forgets_nothing(
    posts: Path, model: Path, two_aside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(shard: Any, *rest: Any) -> Any:
        if shard.index == 7:
            raise KeyboardInterrupt
        return REAL(shard, *rest)

    monkeypatch.setattr(dispatch, "score_shard", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(posts, model, two_aside, shard_rows=100)
    assert list(Aside(Output(two_aside)).reasons()) == [7]
    assert "part-000007.parquet" in set_aside(two_aside)
    assert (two_aside / "part-000003.parquet").exists()


def test_all_shards_of_a_run_can_be_aside(
    posts: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(dispatch, "score_shard", failing(0, 1, 2, 3))
        with pytest.raises(ScoringError):
            run(posts, model, tmp_path / "scores")
    report = run(posts, model, tmp_path / "scores", retry_failed=True)
    assert (report.shards, report.standing) == (4, 4)


def test_members_remember_each_for_itself_and_one_command_retries_all(
    posts: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "scores"
    with monkeypatch.context() as patched:
        patched.setattr(dispatch, "score_shard", failing(3, 6))
        for index in range(2):
            with pytest.raises(ScoringError, match="1 of 5 shards"):
                run(posts, model, out, shard_rows=100, shard_index=index, num_shards=2)
    assert list(set_aside(out)) == ["part-000003.parquet", "part-000006.parquet"]
    report = run(posts, model, out, shard_rows=100, retry_failed=True)
    assert (report.shards, report.standing) == (2, 10)
    assert json.loads(Output(out).description.read_text())["totals"]["rows"] == 1000


def test_nothing_aside_is_told_in_one_line(posts: Path, model: Path, tmp_path: Path) -> None:
    run(posts, model, tmp_path / "scores")
    with pytest.raises(ScoringError, match=r"scores: no shard was set aside\. Without --retry-fa"):
        run(posts, model, tmp_path / "scores", retry_failed=True)
    with pytest.raises(SettingsError, match="--retry-failed cannot be given with --overwrite"):
        run(posts, model, tmp_path / "scores", retry_failed=True, overwrite=True)


def test_a_new_start_forgets_what_was_aside(posts: Path, model: Path, two_aside: Path) -> None:
    run(posts, model, two_aside, shard_rows=50, overwrite=True)
    assert set_aside(two_aside) == {}
    assert Aside(Output(two_aside)).reasons() == {}
