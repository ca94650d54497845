"""Scores on S3: against a real server process on loopback, looked at by boto3 and not by what wrote them."""

import errno
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import boto3
import fsspec
import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

import corpus_lonely
from corpus_lonely import sources, storage, tables
from corpus_lonely.cli.main import main
from corpus_lonely.errors import InputError, OutputError, ScoringError, SettingsError
from corpus_lonely.scoring.inputs import find_posts, verify_unchanged
from corpus_lonely.scoring.job import ScoreReport, ScoreSettings, score_posts
from corpus_lonely.scoring.parts import Counts, Output
from corpus_lonely.scoring.plan import Shard, cut_shards
from corpus_lonely.scoring.reading import read_rows
from corpus_lonely.scoring.task import ShardFailure, ShardResult
from corpus_lonely.scoring.worker import score_shard
from corpus_lonely.sources import InputFile, is_inside
from corpus_lonely.storage import RemotePath, place
from tests.command_lines import commands_in, fenced, parsed
from tests.scoring import test_job
from tests.scoring.test_job import HERE, Heard
from tests.scoring.test_plan import RUN
from tests.scoring.test_worker import make_task
from tests.study.simulated import simulated_scores, write_scores

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from corpus_lonely.cli.main import main; main()", "score"]


@dataclass
class Store:
    """A bucket of its own on the server, seen from outside."""

    endpoint: str
    environment: dict[str, str]
    bucket: str

    @property
    def url(self) -> str:
        """Its address."""
        return f"s3://{self.bucket}"

    @property
    def client(self) -> Any:
        """Another library than the one under test."""
        return boto3.client("s3", endpoint_url=self.endpoint)

    def keys(self, prefix: str = "") -> list[str]:
        """The names of all objects."""
        listed = self.client.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [entry["Key"] for entry in listed.get("Contents", [])]

    def get(self, key: str) -> bytes:
        """An object's content."""
        content: bytes = self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return content

    def put(self, key: str, content: bytes) -> None:
        """Writes an object behind the back of whoever has listed the folder."""
        self.client.put_object(Bucket=self.bucket, Key=key, Body=content)

    def delete(self, key: str) -> None:
        """Removes an object."""
        self.client.delete_object(Bucket=self.bucket, Key=key)

    def contents(self, folder: str = "scores") -> dict[str, bytes]:
        """As `test_job.contents`."""
        return {key.rpartition("/")[2]: self.get(key) for key in self.keys(f"{folder}/")}

    def asked(self) -> list[dict[str, str]]:
        """All requests since it was called last."""
        return self._control("asked", b"")

    def fail(self, *faults: dict[str, Any]) -> None:
        """Has requests fail from now on; with none given, they succeed again."""
        self._control("faults", json.dumps(faults).encode())

    def _control(self, what: str, body: bytes) -> list[dict[str, str]]:
        with urlopen(Request(f"{self.endpoint}/-/{what}", data=body)) as answer:
            asked: list[dict[str, str]] = json.loads(answer.read())
        return asked


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of the server."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.scoring.s3_server"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    process.kill()
    process.communicate()


@pytest.fixture
def store(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """An empty bucket, which this process and its children find."""
    environment = {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "made-up",
        "AWS_SECRET_ACCESS_KEY": "made-up",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "AWS_MAX_ATTEMPTS": "1",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(storage, "_WAITS_S", (0.01, 0.01, 0.01))
    store = Store(server, environment, f"bucket-{uuid.uuid4().hex}")
    store.client.create_bucket(Bucket=store.bucket)
    yield store
    store.fail()


def run(posts: str, model: Path, out: str, **options: Any) -> ScoreReport:
    settings = {"shard_rows": 300, "precision": "fp32", "cluster": HERE, **options}
    progress = settings.pop("progress", None)
    return score_posts(ScoreSettings(posts, model, place(out), **settings), progress)


@pytest.fixture
def near(posts: Path, model: Path, tmp_path: Path) -> dict[str, bytes]:
    """The parts of a run on this machine."""
    test_job.run(posts, model, tmp_path / "near")
    return test_job.contents(tmp_path / "near")


def test_from_s3_to_s3_gives_the_bytes_of_a_local_run(
    store: Store, posts: Path, model: Path, near: dict[str, bytes], tmp_path: Path
) -> None:
    store.put("corpus/posts.parquet", posts.read_bytes())
    report = run(f"{store.url}/corpus/posts.parquet", model, f"{store.url}/scores/")
    assert store.contents() == near
    assert (report.shards, report.counts.rows) == (4, 1000)
    assert store.keys("scores.") == ["scores.about/scores.json"]
    told = json.loads(store.get("scores.about/scores.json"))
    told_near = json.loads((tmp_path / "near.about" / "scores.json").read_text())
    assert told.pop("input") == f"{store.url}/corpus/posts.parquet"
    assert told == {key: value for key, value in told_near.items() if key != "input"}


def test_a_part_takes_few_requests(store: Store, posts: Path, model: Path) -> None:
    run(str(posts), model, f"{store.url}/scores")
    of_parts = [r["method"] for r in store.asked() if r["path"].endswith(".parquet")]
    assert of_parts.count("PUT") == 4
    assert len(of_parts) <= 3 * 4
    run(str(posts), model, f"{store.url}/scores")
    again = store.asked()
    assert len([r for r in again if r["path"].endswith(".parquet")]) == 2 * 4
    assert len(again) < 2 * 4 + 8


@pytest.mark.parametrize("address", ["memory://{}/scores", "file://{}/scores"])
def test_other_urls_go_the_same_way(
    posts: Path, model: Path, near: dict[str, bytes], tmp_path: Path, address: str
) -> None:
    out = address.format(tmp_path)
    run(str(posts), model, out)
    folder = place(out)
    found = {entry.name: (folder / entry.name).read_bytes() for entry in storage.contents(folder)}
    assert found == near
    assert run(str(posts), model, out).shards_before == 4


def test_what_is_missing_cut_or_foreign_is_made_again_and_nothing_else(
    store: Store, posts: Path, model: Path, near: dict[str, bytes]
) -> None:
    out = f"{store.url}/scores"
    run(str(posts), model, out)
    store.delete("scores/part-000000.parquet")
    store.put("scores/part-000001.parquet", near["part-000001.parquet"][:-9])
    store.put("scores/part-000002.parquet", near["part-000003.parquet"])
    store.asked()
    report = run(str(posts), model, out)
    assert report.shards_before == 1
    assert store.contents() == near
    written = {r["path"].rpartition("/")[2] for r in store.asked() if r["method"] == "PUT"}
    assert written == {"scores.json", *(f"part-00000{index}.parquet" for index in range(3))}


def test_nothing_to_do_writes_nothing(store: Store, posts: Path, model: Path) -> None:
    run(str(posts), model, f"{store.url}/scores")
    store.asked()
    assert run(str(posts), model, f"{store.url}/scores").shards_before == 4
    assert {request["method"] for request in store.asked()} <= {"GET", "HEAD"}


def test_another_model_is_refused_and_can_overwrite(
    store: Store, posts: Path, model: Path, other_model: Path, tmp_path: Path
) -> None:
    out = f"{store.url}/scores"
    run(str(posts), model, out, shard_rows=100)
    whole = store.contents()
    with pytest.raises(OutputError, match=r"scores: was begun with another model\. Choose"):
        run(str(posts), other_model, out, shard_rows=100)
    assert store.contents() == whole
    run(str(posts), other_model, out, overwrite=True)
    test_job.run(posts, other_model, tmp_path / "other")
    assert store.contents() == test_job.contents(tmp_path / "other")


def test_what_cannot_be_removed_is_told(store: Store) -> None:
    output = Output(place(f"{store.url}/scores"))
    output.write(SHARDS[0], part(SHARDS[0]))
    kept = "<Key>scores/part-000000.parquet</Key><Code>{code}</Code><Message>No.</Message>"
    refused = {"status": "200 OK", "body": f"<DeleteResult><Error>{kept}</Error></DeleteResult>"}
    store.fail({"method": "POST", "holds": store.bucket, "code": "AccessDenied", **refused})
    with pytest.raises(OutputError, match=r"part-000000\.parquet: could not be removed"):
        output.clear()
    store.fail()
    output.clear()
    assert store.keys() == []


def test_a_claim_without_parts_keeps_others_out_and_can_be_overwritten(
    store: Store, posts: Path, model: Path, near: dict[str, bytes]
) -> None:
    output = Output(place(f"{store.url}/scores"))
    output.insist({"run": RUN.to_dict()})
    with pytest.raises(OutputError, match="was begun with another model"):
        run(str(posts), model, f"{store.url}/scores")
    run(str(posts), model, f"{store.url}/scores", overwrite=True)
    assert store.contents() == near


def test_a_folder_with_other_things_is_left_alone(store: Store, posts: Path, model: Path) -> None:
    store.put("scores/sub/part-000000.parquet", b"")
    with pytest.raises(OutputError, match=r"scores: holds 'sub/', which is no part of scores"):
        run(str(posts), model, f"{store.url}/scores")
    store.put("other/", b"")  # as consoles mark an empty folder
    run(str(posts), model, f"{store.url}/other")


_CLAIM = """
import sys, time
from dataclasses import replace
from corpus_lonely.errors import InputError, OutputError
from corpus_lonely.scoring.parts import Output
from corpus_lonely.storage import place
from tests.scoring.test_plan import RUN
from tests.scoring.test_worker import make_task
output, run = Output(place(sys.argv[1])), replace(RUN, max_tokens=int(sys.argv[2]))
output.begun()  # the library is loaded, the connection made
print("ready", flush=True)
sys.stdin.readline()
try:
    output.insist({"run": run.to_dict(), "by": sys.argv[2]})
except OutputError as error:
    sys.exit(str(error))
"""


def race(out: str, max_tokens: list[int]) -> list[tuple[int, str]]:
    """Exit status and last words of processes that claim a folder at the same moment."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _CLAIM, out, str(number)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in max_tokens
    ]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    told = [process.communicate(timeout=60)[1] for process in processes]
    return [(process.returncode, text) for process, text in zip(processes, told, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("where", [pytest.param("s3", marks=pytest.mark.long), "here"])
def test_of_runs_that_differ_one_gets_the_folder(store: Store, tmp_path: Path, where: str) -> None:
    out = f"{store.url}/scores" if where == "s3" else str(tmp_path / "scores")
    ended = race(out, [16, 32, 64])
    winners = [
        number for number, (status, _) in zip((16, 32, 64), ended, strict=True) if not status
    ]
    assert len(winners) == 1
    described = json.loads(Output(place(out)).description.read_text())
    assert described["by"] == str(winners[0])
    for status, told in ended:
        assert not status or f"scores: was begun with --max-tokens {winners[0]}, not " in told


def test_of_many_that_create_an_object_at_once_one_does(store: Store) -> None:
    for number in range(5):
        wanted = place(f"{store.url}/claims/{number}")
        assert isinstance(wanted, RemotePath)
        contents = [str(by).encode() for by in range(8)]
        with ThreadPoolExecutor(8) as threads:
            created = list(threads.map(wanted.create, contents))
        assert created.count(True) == 1
        assert wanted.read_bytes() == contents[created.index(True)]


@pytest.mark.slow
def test_runs_that_agree_all_go_on(store: Store) -> None:
    assert race(f"{store.url}/scores", [32, 32]) == [(0, ""), (0, "")]


def test_a_store_without_exclusive_writes_still_tells_who_came_first(store: Store) -> None:
    store.fail(
        {
            "method": "PUT",
            "holds": "scores.json",
            "status": "501 Not Implemented",
            "code": "NotImplemented",
            "times": 1,
        }
    )
    output = Output(place(f"{store.url}/scores"))
    output.insist({"run": RUN.to_dict()})
    output.insist({"run": RUN.to_dict()})
    with pytest.raises(OutputError, match="--max-tokens"):
        output.insist({"run": replace(RUN, max_tokens=8).to_dict()})


FILE = InputFile("a.parquet", "/a.parquet", 100, "f", 600_000)
SHARDS = [Shard(0, FILE, 0, 300_000), Shard(1, FILE, 300_000, 600_000)]


def part(shard: Shard) -> pa.Table:
    """A part of incompressible numbers."""
    counts = Counts(rows=shard.rows, ok=shard.rows)
    facts = {"fingerprint": RUN.fingerprint(shard), "counts": asdict(counts), "run": RUN.to_dict()}
    table = pa.table({"lonely": np.random.default_rng(shard.index).random(shard.rows)})
    return table.cast(tables.with_footer(table.schema, facts))


def done(output: Output) -> set[int]:
    """The indices of the shards whose parts stand."""
    return {shard.index for shard, _counts in output.done(RUN, SHARDS)}


def test_what_is_done_is_told_by_footers_alone(store: Store) -> None:
    output = Output(place(f"{store.url}/scores"))
    for shard in SHARDS:
        output.write(shard, part(shard))
    size = len(store.get("scores/part-000000.parquet"))
    assert size > 2_000_000
    store.asked()
    assert done(output) == {0, 1}
    read = [request for request in store.asked() if request["path"].endswith(".parquet")]
    ranges = [request["range"] for request in read if request["method"] == "GET"]
    assert len(ranges) == 2
    for asked in ranges:
        first, last = map(int, asked.removeprefix("bytes=").split("-"))
        assert last - first < 70_000
        assert last >= size - 1


def test_a_footer_longer_than_expected_is_read_whole(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = Output(place(f"{store.url}/scores"))
    output.write(SHARDS[0], part(SHARDS[0]))
    monkeypatch.setattr(tables, "_FOOTER_BYTES", 100)
    assert done(output) == {0}


def test_what_others_did_meanwhile_is_seen(store: Store) -> None:
    output = Output(place(f"{store.url}/scores"))
    output.write(SHARDS[0], part(SHARDS[0]))
    assert done(output) == {0}
    store.put("scores/part-000001.parquet", tables.sealed_bytes(part(SHARDS[1])))
    assert done(output) == {0, 1}
    store.delete("scores/part-000000.parquet")
    assert done(output) == {1}
    store.put("scores/part-000001.parquet", store.get("scores/part-000001.parquet")[:-100])
    assert done(output) == set()
    store.put("scores/part-000001.parquet", b"")
    assert done(output) == set()


def busy(holds: str, **more: Any) -> dict[str, Any]:
    """A fault: the store is too busy for what is put."""
    fault = {"status": "503 Slow Down", "code": "ServiceUnavailable"}
    return {"method": "PUT", "holds": holds, **fault, **more}


def test_a_store_that_is_busy_for_a_while_is_asked_again(
    store: Store, posts: Path, model: Path, near: dict[str, bytes]
) -> None:
    store.fail(busy("part-000001", times=2))
    run(str(posts), model, f"{store.url}/scores")
    assert store.contents() == near


class Slept:
    """A clock that remembers for how long it was asked to sleep, and does not."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> Slept:
    slept = Slept()
    monkeypatch.setattr(storage, "time", slept)
    return slept


AWAY: list[dict[str, Any]] = [
    {"method": "GET", "status": "503 Slow Down", "code": "ServiceUnavailable"},
    {"method": "GET", "status": "500 Internal Server Error", "code": "InternalError"},
    {"method": "GET", "status": "cut", "times": 7},  # s3fs itself asks again some times
    {"method": "HEAD", "status": "503 Slow Down", "body": ""},
]


@pytest.mark.parametrize("fault", AWAY)
def test_posts_are_asked_for_again_while_their_store_is_away(
    store: Store, posts: Path, model: Path, tmp_path: Path, slept: Slept, fault: dict[str, Any]
) -> None:
    store.put("corpus/posts.parquet", posts.read_bytes())
    task, shards = make_task(f"{store.url}/corpus/posts.parquet", model, tmp_path / "scores", 300)
    fsspec.get_filesystem_class("s3").clear_instance_cache()  # and what it has listed
    store.fail({"holds": "corpus/posts", "times": 2, **fault})
    outcome = score_shard(shards[1], task)
    assert isinstance(outcome, ShardResult), outcome
    assert slept.waits


def test_posts_are_asked_for_again_between_the_footer_and_the_rows(
    store: Store, posts: Path, slept: Slept
) -> None:
    store.put("corpus/posts.parquet", posts.read_bytes())
    shard = next(cut_shards(find_posts(f"{store.url}/corpus/posts.parquet"), 300))
    store.fail({"method": "GET", "holds": "corpus/posts", "status": "503 Slow Down", "times": 2})
    assert read_rows(shard, ["text"]).num_rows == 300
    assert slept.waits == [0.01, 0.01]


def test_posts_whose_store_stays_away_are_set_aside_in_one_line(
    store: Store, posts: Path, model: Path, tmp_path: Path, slept: Slept
) -> None:
    store.put("corpus/posts.parquet", posts.read_bytes())
    url = f"{store.url}/corpus/posts.parquet"
    task, shards = make_task(url, model, tmp_path / "scores", 300)
    busy = {"method": "GET", "status": "503 Slow Down", "code": "ServiceUnavailable"}
    store.fail({"holds": "corpus/posts", **busy})
    outcome = score_shard(shards[0], task)
    assert isinstance(outcome, ShardFailure)
    assert outcome.fatal is None
    again = "What is done is kept: run the same command again to go on"
    assert outcome.reason == f"{url}: does not answer (ServiceUnavailable, says S3). {again}"
    assert slept.waits == [0.01, 0.01, 0.01]


def test_posts_that_are_gone_or_damaged_are_not_asked_for_again(
    store: Store, posts: Path, tmp_path: Path, slept: Slept
) -> None:
    store.put("corpus/posts.parquet", posts.read_bytes())
    shard = next(cut_shards(find_posts(f"{store.url}/corpus/posts.parquet"), 300))
    size = posts.stat().st_size
    store.put("corpus/posts.parquet", b"PAR1" + bytes(size - 8) + b"PAR1")
    with pytest.raises(InputError, match="is not readable as Parquet"):
        verify_unchanged(shard.file)
    with pytest.raises(InputError, match="cannot be read"):
        read_rows(shard, ["text"])
    store.delete("corpus/posts.parquet")
    fsspec.get_filesystem_class("s3").clear_instance_cache()  # and what it has listed
    with pytest.raises(InputError, match="is not readable as Parquet"):
        verify_unchanged(shard.file)
    with pytest.raises(InputError, match="cannot be read"):
        read_rows(shard, ["text"])
    assert slept.waits == []


def test_a_path_of_this_machine_is_not_asked_for_again(
    posts: Path, monkeypatch: pytest.MonkeyPatch, slept: Slept
) -> None:
    shard = next(cut_shards(find_posts(str(posts)), 300))

    def broken(*_arguments: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(sources, "_footer_bytes", broken)
    with pytest.raises(InputError, match="is not readable as Parquet"):
        verify_unchanged(shard.file)
    assert slept.waits == []


def test_a_part_that_stands_is_seen_though_its_store_is_away_for_a_while(
    store: Store, slept: Slept
) -> None:
    output = Output(place(f"{store.url}/scores"))
    output.write(SHARDS[0], part(SHARDS[0]))
    store.fail({"method": "GET", "holds": "part-", "status": "503 Slow Down", "times": 2})
    assert output.standing(RUN, SHARDS[0])
    assert slept.waits == [0.01, 0.01]


def test_a_part_that_cannot_be_put_is_set_aside_and_not_to_be_seen(
    store: Store, posts: Path, model: Path, near: dict[str, bytes]
) -> None:
    store.fail(busy("scores/part-000001"))
    heard = Heard()
    with pytest.raises(ScoringError, match=r"1 of 4 shards .* does not answer"):
        run(str(posts), model, f"{store.url}/scores", progress=heard)
    assert store.contents() == {n: c for n, c in near.items() if n != "part-000001.parquet"}
    store.fail()
    assert run(str(posts), model, f"{store.url}/scores").shards_before == 3
    assert store.contents() == near


def test_a_store_that_refuses_ends_the_run_at_once(store: Store, posts: Path, model: Path) -> None:
    refused = {"method": "PUT", "status": "403 Forbidden", "code": "AccessDenied"}
    store.fail({**refused, "holds": "part-000001"})
    with pytest.raises(
        OutputError, match=r"part-000001\.parquet: permission denied \(AccessDenied"
    ):
        run(str(posts), model, f"{store.url}/scores")
    assert list(store.contents()) == ["part-000000.parquet"]


@pytest.mark.slow
def test_kill_9_within_an_upload_leaves_nothing_to_be_seen(
    store: Store, posts: Path, model: Path, near: dict[str, bytes]
) -> None:
    store.fail({"method": "PUT", "holds": "part-000002", "status": "stall"})
    store.asked()
    process = start(store, posts, model, "--workers", "0")
    until, seen = time.monotonic() + 60, ""
    while "part-000002" not in seen:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)
        seen = str([r["path"] for r in store.asked() if r["method"] == "PUT"])
    process.kill()
    process.communicate()
    assert store.contents() == {name: near[name] for name in sorted(near)[:2]}
    store.fail()
    assert run(str(posts), model, f"{store.url}/scores").shards_before == 2
    assert store.contents() == near


def start(store: Store, posts: Path, model: Path, *options: str) -> "subprocess.Popen[str]":
    fixed = ["--input", posts, "--model", model, "--out", f"{store.url}/scores/"]
    fixed += ["--threads", "1", "--shard-rows", "300", "--precision", "fp32"]
    return subprocess.Popen(
        [*COMMAND, *map(str, fixed), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_the_command_with_two_workers(
    store: Store, posts: Path, model: Path, near: dict[str, bytes]
) -> None:
    process = start(store, posts, model, "--workers", "2")
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert store.contents() == near
    assert stdout.startswith(f"{store.url}/scores: 1,000 posts, 980 scored, ")
    assert f"Next: corpus-lonely study --scores {store.url}/scores " in stdout


def invoke(*arguments: object) -> str:
    """The line of the error with which `score` ends."""
    result = CliRunner().invoke(main, ["score", *map(str, arguments)])
    assert result.exit_code == 1, result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1, result.stderr
    return lines[0]


@pytest.mark.parametrize(
    ("fault", "code", "told"),
    [
        ("", "", "the bucket does not exist. Make it, or check its name"),
        (
            "403 Forbidden",
            "AccessDenied",
            "permission denied (AccessDenied, says S3). Check the cr",
        ),
        ("503 Busy", "SlowDown", "does not answer (SlowDown, says S3). What is done is kept: run"),
    ],
)
def test_bad_buckets_get_one_line(
    store: Store, posts: Path, model: Path, fault: str, code: str, told: str
) -> None:
    if fault:
        store.fail({"method": "GET", "holds": "no-such", "status": fault, "code": code})
    given = ("--input", posts, "--model", model, "--workers", 0)
    error = invoke(*given, "--out", "s3://no-such-bucket/scores")
    assert error.startswith(f"Error: s3://no-such-bucket/scores: {told}")


def in_a_process(code: str, posts: Path, model: Path, out: str, **environment: str) -> str:
    """What the command says, as a process of its own, with other credentials or packages."""
    given = ["--input", str(posts), "--model", str(model), "--workers", "0", "--out", out]
    ended = subprocess.run(
        [sys.executable, "-c", f"{code}; {COMMAND[2]}", "score", *given],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stderr.splitlines()[-1]


@pytest.mark.slow
def test_what_is_lacking_gets_one_line(store: Store, posts: Path, model: Path) -> None:
    out = f"{store.url}/scores"
    no_package = "import sys; sys.modules['s3fs'] = None"
    assert in_a_process(no_package, posts, model, out) == (
        f"Error: {out}: needs a package that is not installed. Run: pip install 'corpus-lonely[s3]'"
    )
    no_keys = (
        "import os; [os.environ.pop(n) for n in ('AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY')]"
    )
    assert in_a_process(no_keys, posts, model, out) == (
        f"Error: {out}: no credentials for it were found. docs/storage.md says where to put them"
    )
    nobody = in_a_process("pass", posts, model, out, AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert nobody.startswith(
        f"Error: {out}: does not answer (Could not connect to the endpoint URL"
    )


def test_input_errors_are_told_alike(store: Store, model: Path, tmp_path: Path) -> None:
    given = ("--model", model, "--workers", 0, "--out", tmp_path / "scores")
    told = invoke(*given, "--input", "s3://no-such-bucket/posts")
    assert told.startswith("Error: s3://no-such-bucket/posts: ")
    store.fail(
        {"method": "GET", "holds": "no-such", "status": "403 Forbidden", "code": "AccessDenied"}
    )
    told = invoke(*given, "--input", "s3://no-such-bucket/posts2")
    assert "permission denied" in told


def upload(store: Store, folder: Path, name: str) -> str:
    """Copies a folder of this machine to the store."""
    for file in folder.iterdir():
        store.put(f"{name}/{file.name}", file.read_bytes())
    return f"{store.url}/{name}/"


def test_scores_on_s3_are_scanned_as_local_ones(
    store: Store, near: dict[str, bytes], tmp_path: Path
) -> None:
    here = corpus_lonely.scan_scores(tmp_path / "near").collect()
    folder = upload(store, tmp_path / "near", "scores")
    for source in (folder, folder.rstrip("/"), f"{folder}*.parquet"):
        assert corpus_lonely.scan_scores(source).collect().equals(here), source
    one = corpus_lonely.scan_scores(f"{folder}part-000001.parquet").collect()
    assert one.equals(here[300:600])
    with pytest.raises(InputError, match="none/: does not exist"):
        corpus_lonely.scan_scores(f"{store.url}/none/")
    with pytest.raises(OutputError, match="no-such-bucket/scores: the bucket does not exist"):
        corpus_lonely.scan_scores("s3://no-such-bucket/scores")


def test_scores_of_two_models_on_s3_are_not_read_together(
    store: Store, near: dict[str, bytes], posts: Path, other_model: Path
) -> None:
    run(str(posts), other_model, f"{store.url}/scores")
    store.put("scores/part-000001.parquet", near["part-000001.parquet"])
    with pytest.raises(InputError, match=r"do not belong together: .* differ in model"):
        corpus_lonely.scan_scores(f"{store.url}/scores")


@pytest.mark.slow
def test_a_study_of_scores_on_s3_says_what_one_of_local_ones_does(
    store: Store, tmp_path: Path
) -> None:
    write_scores(tmp_path / "near", simulated_scores())
    told = []
    for source in (str(tmp_path / "near"), upload(store, tmp_path / "near", "scores")):
        arguments = [
            "--cut",
            "2020-03-11",
            "--replicates",
            "100",
            "--out",
            str(tmp_path / "report"),
        ]
        result = CliRunner().invoke(main, ["study", "--scores", source, *arguments])
        assert result.exit_code == 0, result.output
        told.append(result.stdout)
    assert told[0] == told[1]
    store.put("scores.about/scores.json", b'{"totals": null}')
    result = CliRunner().invoke(main, ["study", "--scores", f"{store.url}/scores", *arguments])
    assert result.stdout != told[0]
    assert "Scoring has not ended" in result.stdout


def test_the_commands_of_the_page_parse() -> None:
    blocks = fenced((ROOT / "docs" / "storage.md").read_text("utf-8"), "bash")
    contexts = [parsed(words) for block in blocks for words in commands_in(block)]
    assert [context.info_name for context in contexts] == ["score", "study"]
    assert contexts[0].params["out"] == RemotePath("s3://my-bucket/scores")


def test_addresses() -> None:
    assert place("scores/") == Path("scores")
    assert place("file:///tmp/scores") == Path("/tmp/scores")
    out = place("s3://bucket/a/scores/")
    assert isinstance(out, RemotePath)
    assert str(Output(out).description) == "s3://bucket/a/scores.about/scores.json"
    assert (out.name, str(out.parent), str(out / "x")) == (
        "scores",
        "s3://bucket/a",
        "s3://bucket/a/scores/x",
    )
    with pytest.raises(
        SettingsError, match="must name a folder, as s3://bucket/scores/, got s3://b"
    ):
        place("s3://bucket/")
    with pytest.raises(SettingsError, match="carrier-pigeon:// is no kind of store"):
        place("carrier-pigeon://coop/scores")


def test_out_must_not_lie_in_an_input_on_the_store() -> None:
    assert is_inside(place("s3://bucket/posts/scores"), "s3://bucket/posts/")
    assert is_inside(place("s3://bucket/posts"), "s3://bucket/posts")
    assert not is_inside(place("s3://bucket/posts-scores"), "s3://bucket/posts")
    assert not is_inside(place("s3://bucket/posts"), "s3://bucket/posts/one.parquet")
