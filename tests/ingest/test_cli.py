import json
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from corpus_lonely.cli.main import main
from tests.ingest.lines import MARCH, PACKERS, comment, ndjson, submission, write_dump


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["ingest", "dump", *map(str, arguments)])


def test_dumps_in_posts_out(tmp_path: Path) -> None:
    files = [
        write_dump(tmp_path / "RS.zst", [submission(), submission("x", subreddit="pics"), b"{bad"]),
        write_dump(tmp_path / "RC.bz2", [comment(), comment(), comment("y", body="[removed]")]),
    ]
    out, report = tmp_path / "posts", tmp_path / "report.json"
    done = run(*files, "--out", out, "--subreddit", "r/LONELY", "--report", report)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].split() == [
        "file",
        "read",
        "kept",
        "bad",
        "json",
        "other",
        "subreddit",
        "removed",
        "duplicate",
    ]
    assert lines[1].split() == ["RS.zst", "3", "1", "1", "1", "0", "0"]
    assert lines[2].split() == ["RC.bz2", "3", "1", "0", "0", "1", "1"]
    assert "read 6 = kept 2 + dropped 4" in lines
    assert "keep it private" in done.stdout
    assert lines[-1].endswith(f"corpus-lonely score --input {out} --model model/ --out scores/")
    assert "2 posts" in lines[-1]
    assert pl.read_parquet(out / "*" / "*.parquet").height == 2
    assert json.loads(report.read_text())["totals"]["read"] == 6


def test_a_broken_file_is_told_by_the_exit_status(tmp_path: Path) -> None:
    good = write_dump(tmp_path / "good.json", [comment()])
    cut = tmp_path / "cut.zst"
    cut.write_bytes(PACKERS["zst"](ndjson([submission()])) + PACKERS["zst"](b"x" * 99)[:-3])
    done = run(good, cut, "--out", tmp_path / "posts")
    assert done.exit_code == 1
    assert "cut.zst (broken)" in done.stdout
    assert f"Error: {cut}: ends at byte" in done.stderr
    assert pl.read_parquet(tmp_path / "posts" / "*" / "*.parquet").height == 2


def test_again_says_that_it_is_done(tmp_path: Path) -> None:
    path = write_dump(tmp_path / "d.json", [comment()])
    run(path, "--out", tmp_path / "posts")
    done = run(path, "--out", tmp_path / "posts")
    assert done.exit_code == 0
    assert f"{path}: in the folder already, not read again" in done.stdout


@pytest.mark.parametrize(
    ("content", "options", "status", "told"),
    [
        (None, [], 1, "does not exist"),
        (b"", [], 1, "is empty"),
        (b"id,text\n1,a\n", [], 1, "is not a Reddit dump"),
        (ndjson([comment()]), ["--since", "yesterday"], 2, "2020-03-11"),
        (ndjson([comment()]), ["--since", "2021-01-01", "--until", "2020-01-01"], 2, "--since"),
        (ndjson([comment()]), ["--min-words", "-1"], 2, "--min-words"),
        (ndjson([comment()]), ["--bots", "nowhere.txt"], 1, "nowhere.txt: does not exist"),
    ],
)
def test_bad_input_gets_one_line(
    tmp_path: Path, content: bytes | None, options: list[str], status: int, told: str
) -> None:
    path = tmp_path / "file.zst"
    if content is not None:
        path.write_bytes(content)
    done = run(path, "--out", tmp_path / "posts", *options)
    assert done.exit_code == status
    assert told in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.output
    assert not (tmp_path / "posts").exists()
    assert not (tmp_path / "posts.about").exists()


def test_settings_from_toml_with_its_own_dates(tmp_path: Path) -> None:
    path = write_dump(tmp_path / "d.json", [comment(), comment("c", created_utc=MARCH - 1)])
    config = tmp_path / "ingest.toml"
    config.write_text(f'out = "{tmp_path}/posts"\nsince = 2020-03-01\nsubreddit = ["Lonely"]\n')
    done = run(path, "--config", config)
    assert done.exit_code == 0, done.output
    assert "read 2 = kept 1 + dropped 1" in done.stdout


def test_help_ends_with_an_example() -> None:
    done = run("--help")
    assert done.exit_code == 0
    assert "corpus-lonely ingest dump RS_2020-03.zst" in done.stdout.split("Options:")[1]
