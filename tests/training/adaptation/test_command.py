"""`corpus-lonely adapt` as it is typed."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from corpus_lonely.cli.main import main
from tests.training.adaptation.made import made_texts, record, write_posts


def test_the_last_lines_tell_perplexity_and_the_next_command(
    tiny_encoder: Path, tiny_labels: Path, tmp_path: Path
) -> None:
    first, second = (
        write_posts(tmp_path / f"{seed}.parquet", made_texts(40, seed)) for seed in (1, 2)
    )
    settings = tmp_path / "settings.toml"
    settings.write_text("[adapt]\nmax-tokens = 64\nepochs = 1\ndevice = 'cpu'\nmicro-batch = 4\n")
    words = ["adapt", "--input", first, "--input", second, "--encoder", tiny_encoder]
    words += ["--out", tmp_path / "e", "--exclude", tiny_labels, "--config", settings]
    ran = CliRunner().invoke(main, [str(word) for word in words])
    assert ran.exit_code == 0, ran.output
    found = record(tmp_path / "e")
    assert (found["settings"]["batch_size"], found["settings"]["micro_batch"]) == (16, 4)
    assert found["posts"]["read"] == 80
    before, after = (found["perplexity"][name] for name in ("before", "after"))
    assert ran.stdout.splitlines() == [
        f"Encoder {tmp_path / 'e'} made from 78 posts: perplexity {before:.2f} before, "
        f"{after:.2f} after, on 2 other posts. Next:",
        f"  corpus-lonely train --labels FIG-Loneliness/FIG-Loneliness --encoder {tmp_path / 'e'} "
        "--out model/",
    ]
    shown = [text for text in made_texts(40, 1) if text in ran.output]
    assert shown == []
    again = CliRunner().invoke(main, [str(word) for word in words])
    assert "is there already" in again.stdout


@pytest.mark.parametrize(
    ("words", "status", "problem"),
    [
        (["--input", "nowhere/", "--out", "e"], 1, "Error: nowhere/: does not exist"),
        (["--input", "p", "--out", "e", "--epochs", "0"], 2, "Error: --epochs must be at least 1, got 0"),
        (["--out", "e"], 2, "Missing option '--input'"),
    ],
)  # fmt: skip
def test_errors_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], status: int, problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = CliRunner().invoke(main, ["adapt", *words])
    assert ran.exit_code == status
    assert problem in ran.stderr
    assert "Traceback" not in ran.output
