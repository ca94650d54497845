"""`corpus-lonely study` as its users meet it."""

from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from corpus_lonely.cli.main import main


def study(*asked: str | Path) -> Result:
    return CliRunner().invoke(main, ["study", *map(str, asked)])


def test_it_prints_the_table_and_what_was_made(scores: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    result = study("--scores", scores, "--cut", "2020-03-11", "--out", out, "--replicates", "200")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["before", "after", "difference", "95", "%", "interval"]
    assert any(line.startswith("  physical") and line.endswith("*") for line in lines)
    assert "not corrected for classifier error" in result.stdout
    assert lines[-1].startswith(f"Made {out}: ")
    assert lines[-1].endswith(f"Next: open {out / 'report.html'}")
    assert "Reading scores" in result.stderr
    assert "Reading scores" not in result.stdout


def test_settings_may_come_from_a_file(scores: Path, tmp_path: Path) -> None:
    config = tmp_path / "covid.toml"
    config.write_text(
        f"scores = {str(scores)!r}\n[study]\ncut = 2020-03-11\nout = {str(tmp_path / 'r')!r}\n"
        "replicates = 100\nmin-authors = 3\n"
    )
    result = study("--config", config)
    assert result.exit_code == 0, result.output
    assert '"cut": "2020-03-11"' in (tmp_path / "r" / "study.json").read_text()


@pytest.mark.parametrize(
    ("cut", "status", "said"),
    [
        ("2030-01-01", 2, "--cut must have posts before and after it"),
        ("March 2020", 2, "'March 2020' is no day; write it like 2020-03-11"),
    ],
)
def test_a_bad_cut_is_one_line(
    scores: Path, tmp_path: Path, cut: str, status: int, said: str
) -> None:
    result = study("--scores", scores, "--cut", cut, "--out", tmp_path / "report")
    assert result.exit_code == status
    assert said in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "report").exists()


def test_scores_without_dates_are_told(table: pl.DataFrame, tmp_path: Path) -> None:
    table.drop("created_at").write_parquet(tmp_path / "scores.parquet")
    result = study(
        "--scores", tmp_path / "scores.parquet", "--cut", "2020-03-11", "--out", tmp_path
    )
    assert result.exit_code == 1
    assert "has no column 'created_at'" in result.stderr.splitlines()[-1]


def test_help_ends_with_an_example() -> None:
    result = study("--help")
    assert result.exit_code == 0
    last = result.stdout.rstrip().splitlines()[-1]
    assert last.strip() == ("corpus-lonely study --scores scores/ --cut 2020-03-11 --out report/")
