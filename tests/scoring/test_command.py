"""The command itself: what it prints, and with which status it ends."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from corpus_lonely.cli.main import main


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["score", *map(str, arguments)])


def test_a_run_ends_with_what_was_made_and_the_next_command(
    posts: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scores"
    given = ("--input", posts, "--model", model, "--out", out, "--workers", 0, "--threads", 1)
    first = invoke(*given, "--keep", "score")
    assert first.exit_code == 0, first.output
    made, speed, following = first.stdout.splitlines()
    assert made.startswith(f"{out}: 1,000 posts, 980 scored, 20 empty, 0 failed; ")
    assert " posts/s over " in speed
    assert following == (f"Next: corpus-lonely study --scores {out} --cut 2020-03-11 --out report/")
    again = invoke(*given, "--keep", "score")
    assert again.stdout.splitlines()[1] == "All of it was done before: nothing to do."


def test_settings_come_from_a_file_too(posts: Path, model: Path, tmp_path: Path) -> None:
    config = tmp_path / "run.toml"
    config.write_text(
        f'model = "{model}"\nworkers = 0\nthreads = 1\n[score]\ninput = "{posts}"\nkeep = ["score"]\n'
    )
    result = invoke("--config", config, "--out", tmp_path / "scores")
    assert result.exit_code == 0, result.output
    assert "score" in pq.read_schema(tmp_path / "scores" / "part-000000.parquet").names


@pytest.mark.parametrize(
    ("changes", "status", "told"),
    [
        ({"--text-column": "body"}, 1, "has no column 'body'; its columns are post_id, subreddit"),
        ({"--input": "nowhere.parquet"}, 1, "nowhere.parquet: does not exist"),
        ({"--input": "cut.parquet"}, 1, "cut.parquet: is not readable as Parquet (its end is miss"),
        ({"--model": "empty"}, 1, "empty: is no model folder: it has no config.json"),
        ({"--out": "full"}, 1, "full: holds 'notes.txt', which is no part of scores"),
        ({"--keep": "text"}, 2, "--keep must not name a column of text"),
        ({"--max-tokens": "500"}, 2, "--max-tokens must be at most 128 for this bert, got 500"),
        ({"--device": "abacus"}, 2, "--device 'abacus' is not there"),
        ({"--batch-tokens": "64"}, 2, "64 is not in the range x>=512"),
        ({"--workers": "-1"}, 2, "-1 is not in the range x>=0"),
    ],
)
def test_bad_input_gets_one_line(
    posts: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, str],
    status: int,
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("full").mkdir()
    Path("full/notes.txt").touch()
    Path("cut.parquet").write_bytes(posts.read_bytes()[:-30])
    given = {"--input": posts, "--model": model, "--out": "scores", "--workers": 0, **changes}
    result = invoke(*(word for pair in given.items() for word in pair))
    assert result.exit_code == status, result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1
    assert told in lines[0]
    assert not Path("scores").exists()
    assert result.stdout == ""


def test_an_unencrypted_scheduler_elsewhere_is_refused() -> None:
    result = invoke(
        *("--input", "x", "--model", "x", "--out", "y", "--scheduler", "tcp://10.0.0.3:8786")
    )
    assert result.exit_code == 2
    assert "is not encrypted, and who reaches it can run code on it. Use tls://" in result.stderr


def test_post_text_is_not_shown(model: Path, tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a secret"], "x": [1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": [1], "x": ["a secret"]}), tmp_path / "b.parquet")
    result = invoke("--input", tmp_path, "--model", model, "--out", tmp_path.parent / "scores")
    assert result.exit_code == 1
    assert "secret" not in result.output


def test_help_tells_defaults_and_ends_with_an_example() -> None:
    text = " ".join(invoke("--help").output.split())
    assert "[default: (one per GPU, else one per core that memory allows)" in text
    assert text.endswith(
        "--scheduler tls://host:8786 --tls-ca ca.pem --tls-cert cert.pem --tls-key key.pem"
    )
