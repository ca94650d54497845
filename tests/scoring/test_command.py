"""The command itself: what it prints, and with which status it ends."""

import shlex
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from corpus_lonely.cli.main import main
from corpus_lonely.scoring import job
from corpus_lonely.scoring.job import ScoreReport, ScoreSettings
from corpus_lonely.scoring.parts import Counts


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


def test_a_share_ends_with_how_many_parts_stand_and_the_command_that_checks(
    posts: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "my scores"
    given = ("--input", posts, "--model", model, "--out", out, "--workers", 0, "--threads", 1)
    first = invoke(*given, "--shard-rows", 300, "--shard-index", 1, "--num-shards=2")
    assert first.exit_code == 0, first.output
    made, _, standing, following = first.stdout.splitlines()
    assert made.startswith(f"{out}, 2 of its 4 parts: 400 posts, 392 scored, 8 empty, 0 failed; ")
    assert standing == "2 of all 4 parts stand."
    command = f"--input {posts} --model {model} --out '{out}' --workers 0 --threads 1"
    assert following == (
        f"Next, once the other shares have ended: corpus-lonely score {command} --shard-rows 300"
    )
    last = invoke(*shlex.split(command), "--shard-rows", 300, "--shard-index=0", "--num-shards=2")
    assert last.stdout.splitlines()[-1].startswith("Next: corpus-lonely study --scores ")
    nothing = invoke(*given, "--shard-rows", 300, "--shard-index", 6, "--num-shards", 7)
    assert nothing.stdout.splitlines()[0] == f"{out}: no part falls to this share."


def test_memory_that_ran_out_is_told(
    posts: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(settings: ScoreSettings, progress: object) -> ScoreReport:
        counts = Counts(rows=10, ok=10, tokens=100)
        return ScoreReport(counts, 1, 0, 1, 1, 1.0, 10.0, halvings=2, batch_tokens=2048)

    monkeypatch.setattr(job, "score_posts", short)
    result = invoke("--input", posts, "--model", model, "--out", tmp_path / "scores")
    assert result.stdout.splitlines()[2] == (
        "Memory ran out 2 times; the batches were cut to 2,048 tokens."
    )


POISON = [
    None,
    b"",
    " \u200b\n".encode(),
    b"bara" * 500_000,  # 2 MB without a space
    b"bara " * 400_000,  # 2 MB of one word
    "😀🫥👨‍👩‍👧".encode() * 40,
    b"\xed\xa0\x80 bara \xed\xb0\x80",  # lone surrogates, as some writers encode them
    b"\xff\xfe\x00bara",
    bytes(range(32)),
    "שלום עולם \u202e bara".encode(),
    b"dosi kura",
]


@pytest.mark.slow
@pytest.mark.long
def test_poisoned_rows_get_scores_or_a_status_and_end_no_worker(
    model: Path, tmp_path: Path
) -> None:
    raw = pa.array(POISON * 3, pa.binary())
    # a writer that does not check its text, as some do not
    text = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())
    path, out = tmp_path / "posts.parquet", tmp_path / "scores"
    pq.write_table(pa.table({"post_id": [f"t3_{i}" for i in range(len(raw))], "text": text}), path)
    given = ("--input", path, "--model", model, "--out", out, "--shard-rows", 11, "--workers", 2)
    result = invoke(*given, "--threads", 1)
    assert result.exit_code == 0, result.output
    assert "died" not in result.stderr
    scores = pq.read_table(out)
    assert scores["post_id"].to_pylist() == [f"t3_{i}" for i in range(len(raw))]
    statuses, lonely = scores["status"].to_pylist(), scores["lonely"].to_pylist()
    # control characters are no text, as white space is none
    assert statuses[:3] == ["empty"] * 3
    assert statuses[-1] == "ok"
    assert set(statuses) == {"empty", "ok"}
    assert [score is None for score in lonely] == [status == "empty" for status in statuses]
    assert all(score is None or 0 <= score <= 1 for score in lonely)
    assert scores["truncated"].to_pylist()[4]
    assert statuses[:11] * 3 == statuses


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
        ({"--num-shards": "2"}, 2, "--shard-index and --num-shards must be given together"),
        ({"--report": "report.html"}, 2, "--report tells of Dask, and --workers 0 works without"),
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
