"""The demo's pipeline, small."""

import json
import subprocess
import sys
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner
from rich.console import Console

from corpus_lonely.cli.demo import _truth_table
from corpus_lonely.cli.main import main
from corpus_lonely.demo import run
from corpus_lonely.demo.run import DemoSettings, run_demo
from corpus_lonely.demo.truth import planted
from corpus_lonely.errors import OutputError, SettingsError
from corpus_lonely.model.encoder import load_tokenizer
from corpus_lonely.taxonomy import loneliness


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


def claimed(out: Path, monkeypatch: pytest.MonkeyPatch, **asked: int) -> None:
    """A demo that is interrupted at its first stage."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "write_dumps", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_demo(DemoSettings(out, **asked))


def test_two_worlds_do_not_mix_in_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "demo"
    claimed(out, monkeypatch, seed=2)
    mark = (out / "made-by-corpus-lonely-demo.json").read_text()
    assert "synthetic" in json.loads(mark)["note"]
    claimed(out, monkeypatch, seed=2, workers=1)
    with pytest.raises(OutputError, match=r"made with --seed 2, not 3\. Give another --out"):
        run_demo(DemoSettings(out, seed=3))
    assert (out / "made-by-corpus-lonely-demo.json").read_text() == mark


def test_an_interval_that_is_not_known_has_no_verdict(tmp_path: Path) -> None:
    truth = planted()
    row = {"measure": "share_of_lonely", "difference": None}
    rows: list[dict[str, Any]] = [
        {"group": group, "label": label, **row, "difference_low": None, "difference_high": None}
        for group, label in [
            (category.name, label)
            for category in loneliness().categories
            for label in category.labels
        ]
    ]
    rows.append({"group": "lonely", "label": "lonely", "measure": "mean_probability",
                 "difference": 0.2, "difference_low": 0.1, "difference_high": 0.3})  # fmt: skip
    report: Any = SimpleNamespace(
        truth=truth, study=SimpleNamespace(periods=pl.DataFrame(rows, infer_schema_length=None))
    )
    console = Console(width=110, record=True, file=StringIO())
    console.print(_truth_table(report))
    lines = [line.split() for line in console.export_text().splitlines()]
    (lonely,) = (line for line in lines if "lonely" in line)
    assert lonely[-2] == "found"
    (physical,) = (line for line in lines if "context_physical" in line)
    assert physical.count("-") == 2


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_no_generator_takes_is_told(seed: int) -> None:
    with pytest.raises(SettingsError, match=f"--seed must be from 0 to 2.32 - 1, got {seed}"):
        DemoSettings(Path("demo"), seed=seed)


def test_settings_name_key_rule_and_value() -> None:
    with pytest.raises(SettingsError, match="--labelled must be at least 1, got 0"):
        DemoSettings(Path("demo"), labelled=0)


@pytest.mark.long
def test_the_same_texts_make_the_same_encoder_in_every_process(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from corpus_lonely.demo.encoder import make_encoder; "
        "make_encoder(['one two two', 'three two one', 'one é, three'] * 3, Path(sys.argv[1]))"
    )
    for name in ("a", "b"):
        subprocess.run([sys.executable, "-c", script, str(tmp_path / name)], check=True)
    for file in ("tokenizer.json", "model.safetensors", "config.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    tokenizer = load_tokenizer(tmp_path / "a")
    assert tokenizer.tokenize("Two, wo") == ["two", ",", "w", "##o"]
