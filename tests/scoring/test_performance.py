"""Dask's performance report: made however a run ends, and asked for only where it can be made."""

import builtins
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from distributed import LocalCluster

from corpus_lonely.cluster import ClusterSettings
from corpus_lonely.errors import OutputError, SettingsError
from corpus_lonely.scoring import performance
from corpus_lonely.scoring.performance import check_report
from tests.scoring.test_job import Heard, run

needs_bokeh = pytest.mark.skipif(find_spec("bokeh") is None, reason="bokeh is not installed")


@pytest.fixture
def scheduler() -> Any:
    """A cluster that somebody else has started."""
    with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tcp://",
        memory_limit=0,
        dashboard_address=":0",
    ) as cluster:
        yield cluster.scheduler_address


def test_without_bokeh_it_is_refused_with_the_way_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(performance, "find_spec", lambda _name: None)
    with pytest.raises(SettingsError) as raised:
        check_report(tmp_path / "report.html")
    assert str(raised.value) == (
        "--report needs the package bokeh, which is not installed. "
        "Install it with: pip install bokeh"
    )


def test_a_folder_is_no_report(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(performance, "find_spec", lambda _name: builtins)
    with pytest.raises(OutputError, match="is a folder"):
        check_report(tmp_path)


class Interrupted(Heard):
    """Presses Ctrl-C once the first posts are scored."""

    def advance(self, amount: float, detail: str = "") -> None:
        raise KeyboardInterrupt


@needs_bokeh
@pytest.mark.slow
def test_the_report_is_made_however_the_run_ends(
    posts: Path, model: Path, tmp_path: Path, scheduler: str
) -> None:
    there = ClusterSettings(scheduler=scheduler, threads=1)
    stopped, whole = tmp_path / "stopped.html", tmp_path / "whole.html"
    with pytest.raises(KeyboardInterrupt):
        run(posts, model, tmp_path / "one", Interrupted(), cluster=there, report=stopped)
    heard = Heard()
    run(posts, model, tmp_path / "two", heard, cluster=there, report=whole)
    for page in (stopped, whole):
        assert "Dask Performance Report" in page.read_text()
    assert heard.notes[-1] == f"Performance report: {whole}"
    told = whole.read_text()
    texts = [text for text in pq.read_table(posts)["text"].to_pylist() if text and len(text) > 40]
    assert texts
    assert not any(text in told for text in texts)


@pytest.mark.slow
def test_a_report_that_fails_does_not_fail_the_scores(
    posts: Path, model: Path, tmp_path: Path, scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError("no such luck")

    monkeypatch.setattr(performance, "find_spec", lambda _name: builtins)
    monkeypatch.setattr(performance, "_has_bokeh", true)
    monkeypatch.setattr(performance, "_write", fail)
    heard, there = Heard(), ClusterSettings(scheduler=scheduler, threads=1)
    report = run(posts, model, tmp_path / "s", heard, cluster=there, report=tmp_path / "r.html")
    assert report.standing == 4
    assert heard.notes[-1] == "The performance report could not be made (no such luck)"


def true() -> bool:
    """What stands in for `_has_bokeh`."""
    return True
