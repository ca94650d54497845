"""The demo's pipeline, small."""

from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from corpus_lonely.cli.main import main
from corpus_lonely.demo.run import DemoSettings, run_demo
from corpus_lonely.errors import OutputError, SettingsError


def small(out: Path) -> list[str]:
    return [
        "demo", "--out", str(out), "--submissions", "300", "--comments", "100", "--authors", "60",
        "--labelled", "60", "--epochs", "1", "--workers", "1",
    ]  # fmt: skip


@pytest.mark.slow
def test_the_whole_pipeline_runs_and_tells(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    result = CliRunner().invoke(main, small(out))
    assert result.exit_code == 0, result.output
    for expected in (
        "[6/6]",
        "lines read =",
        "The planted change",
        "CC BY-NC 4.0",
        "study --scores",
    ):
        assert expected in result.output
    posts = pl.scan_parquet(out / "posts" / "*" / "*.parquet").collect()
    scores = pl.scan_parquet(out / "scores" / "*.parquet").collect()
    assert scores["post_id"].to_list() == posts["post_id"].to_list()
    assert "text" not in scores.columns
    assert (out / "report" / "trends.png").stat().st_size > 10_000
    # everything that a second run needs is there: it makes nothing anew
    parts = {path: path.stat().st_mtime_ns for path in (out / "scores").iterdir()}
    assert CliRunner().invoke(main, small(out)).exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in (out / "scores").iterdir()} == parts


def test_a_folder_of_someone_elses_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(OutputError, match="was not made by `corpus-lonely demo`"):
        run_demo(DemoSettings(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_settings_name_key_rule_and_value() -> None:
    with pytest.raises(SettingsError, match="--labelled must be at least 1, got 0"):
        DemoSettings(Path("demo"), labelled=0)
