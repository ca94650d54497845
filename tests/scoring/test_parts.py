"""The output folder: whose it is, what is done, what is cleaned."""

import errno
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus_lonely import tables
from corpus_lonely.errors import OutputError
from corpus_lonely.scoring import lock, parts
from corpus_lonely.scoring.parts import Counts, Output, total
from corpus_lonely.scoring.plan import Run, Shard
from corpus_lonely.sources import InputFile
from tests.scoring.test_plan import RUN

FILE = InputFile("a.parquet", "/a.parquet", 100, "f", 6)
SHARDS = [Shard(0, FILE, 0, 3), Shard(1, FILE, 3, 6)]
COUNTS = Counts(rows=3, ok=2, empty=1, tokens=20)


def local(output: Output) -> Path:
    assert isinstance(output.folder, Path)
    return output.folder


def staging(output: Output) -> Path:
    assert output.staging
    return output.staging


def _write(output: Output, shard: Shard, run: Run = RUN, rows: int = 3) -> Path:
    facts = {
        "fingerprint": run.fingerprint(shard),
        "run": run.to_dict(),
        "counts": asdict(COUNTS),
    }
    table = pa.table({"lonely": [0.5] * rows})
    output.write(shard, table.cast(tables.with_footer(table.schema, facts)))
    return local(output) / shard.part


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output(tmp_path / "scores")


def test_what_is_done_is_what_stands_whole_and_fits(output: Output) -> None:
    assert list(output.done(RUN, SHARDS)) == []
    _write(output, SHARDS[0])
    assert list(output.done(RUN, SHARDS)) == [(SHARDS[0], COUNTS)]
    _write(output, SHARDS[1])
    assert list(output.done(RUN, SHARDS)) == [(SHARDS[0], COUNTS), (SHARDS[1], COUNTS)]
    assert list(output.done(replace(RUN, precision="fp32"), SHARDS)) == []


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "rows", "other shard"])
def test_a_part_that_is_damaged_is_not_done(output: Output, damage: str) -> None:
    _write(output, SHARDS[0])
    path = _write(output, SHARDS[1])
    if damage == "rows":
        _write(output, SHARDS[1], rows=2)
    elif damage == "other shard":
        path.write_bytes((local(output) / SHARDS[0].part).read_bytes())
    else:
        whole = path.read_bytes()
        path.write_bytes({"cut": whole[:-1], "garbage": b"\xff" * 99, "empty": b""}[damage])
    assert output.begun() == RUN
    assert list(output.done(RUN, SHARDS)) == [(SHARDS[0], COUNTS)]


def test_damage_to_any_byte_is_seen(output: Output) -> None:
    path = _write(output, SHARDS[0])
    whole = path.read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        assert output.standing(RUN, SHARDS[0]) is None, position
    path.write_bytes(whole + b"\0")
    assert output.standing(RUN, SHARDS[0]) is None
    path.write_bytes(whole)
    assert output.standing(RUN, SHARDS[0]) == COUNTS


def test_a_part_without_a_seal_is_not_done(output: Output) -> None:
    path = _write(output, SHARDS[0])
    facts, table = tables.footer(path), pq.read_table(path)
    tables.write_parquet(table.cast(tables.with_footer(table.schema, facts)), path)
    assert output.standing(RUN, SHARDS[0]) is None


def test_whose_folder_it_is(output: Output) -> None:
    assert output.begun() is None
    local(output).mkdir()
    assert output.begun() is None
    _write(output, SHARDS[0])
    assert output.begun() == RUN  # told by a footer: the description may be lost
    output.describe({"run": replace(RUN, precision="fp32").to_dict()})
    assert output.begun() == replace(RUN, precision="fp32")


def test_a_foreign_file_keeps_us_out(output: Output) -> None:
    local(output).mkdir()
    (local(output) / ".DS_Store").touch()
    assert output.begun() is None
    (local(output) / "thesis.docx").touch()
    with pytest.raises(
        OutputError, match=r"scores: holds 'thesis.docx', which is no part.*Remove it"
    ):
        output.begun()
    with pytest.raises(OutputError, match="thesis"):
        output.clear()


def test_a_strangers_parquet_is_neither_taken_nor_removed(output: Output) -> None:
    path = local(output) / "part-000000.parquet"
    tables.write_parquet(pa.table({"x": [1]}), path)
    with pytest.raises(OutputError, match="no part of scores"):
        output.begun()
    with pytest.raises(OutputError, match="no part of scores"):
        output.clear()
    assert path.exists()


def test_a_file_is_no_folder(output: Output) -> None:
    local(output).touch()
    with pytest.raises(OutputError, match="is a file, not a folder"):
        output.begun()


def test_clear_removes_parts_and_description(output: Output) -> None:
    _write(output, SHARDS[0])
    output.describe({"run": RUN.to_dict()})
    output.clear()
    assert list(local(output).iterdir()) == []
    assert not output.description.exists()


def test_clean_removes_what_a_killed_run_left(output: Output) -> None:
    left = staging(output) / ".part-000001.parquet.0123abcd.tmp"
    left.parent.mkdir(parents=True)
    left.touch()
    output.describe({"run": RUN.to_dict()})
    output.clean()
    assert not staging(output).exists()
    assert output.description.exists()


def test_two_runs_do_not_share_a_folder(output: Output) -> None:
    refused = pytest.raises(OutputError, match="another run is writing there")
    with output.locked(), refused, output.locked():
        pass
    with output.locked():
        pass


def test_the_lock_of_a_killed_run_is_gone(output: Output) -> None:
    code = (
        "import os, sys; from pathlib import Path; from corpus_lonely.scoring.parts import Output\n"
        "with Output(Path(sys.argv[1])).locked(): os.kill(os.getpid(), 9)"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(output.folder)], check=False)
    assert ended.returncode == -9
    with output.locked():
        pass


_MEMBER = (
    "import sys; from pathlib import Path; from corpus_lonely.scoring.parts import Output\n"
    "with Output(Path(sys.argv[1])).locked(shared=True): print('in', flush=True); input()"
)


@contextmanager
def member(output: Output) -> Iterator["subprocess.Popen[str]"]:
    """Another process that shares the folder until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", _MEMBER, str(output.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "in\n"
    yield process
    process.communicate("\n", timeout=10)


def test_members_share_a_folder_that_whole_runs_do_not(
    output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_PATIENCE_S", 0.2)
    refused = pytest.raises(OutputError, match="another run is writing there")
    with member(output), output.locked(shared=True):
        pass
    with member(output), refused, output.locked():
        pass
    with output.locked(), refused, Output(output.folder).locked(shared=True):
        pass
    with member(output) as killed:
        killed.kill()
        killed.wait()
        with output.locked():
            pass


def test_a_member_waits_for_one_that_cleans_up(output: Output) -> None:
    began = time.monotonic()
    with ThreadPoolExecutor() as threads, output.locked():
        waiting = threads.submit(_share, output)
        time.sleep(0.3)
        assert not waiting.done()
    assert waiting.result() - began >= 0.3


def _share(output: Output) -> float:
    with Output(output.folder).locked(shared=True):
        return time.monotonic()


def test_what_members_left_is_removed_by_the_last_to_leave(output: Output) -> None:
    left = staging(output) / ".part-000001.parquet.0123abcd.tmp"
    left.parent.mkdir(parents=True)
    left.touch()
    with member(output):
        with output.locked(shared=True):
            output.clean()
            assert left.exists()  # the other may be writing it
        assert left.exists()
    assert not left.exists()
    left.parent.mkdir(parents=True)
    left.touch()
    with output.locked():
        output.clean()
        assert not left.exists()


def test_members_claim_a_folder_or_agree(output: Output) -> None:
    content = {"kind": "scores", "run": RUN.to_dict()}
    output.insist({**content, "by": "first"})
    output.insist({**content, "by": "second"})
    described = json.loads(output.description.read_text("utf-8"))
    assert described == {**content, "by": "first", "totals": None}
    with pytest.raises(
        OutputError, match=r"scores: was begun with --max-tokens 512, not 8\. Choose"
    ):
        output.insist({**content, "run": replace(RUN, max_tokens=8).to_dict()})
    beside = local(output).with_name("scores.about")
    assert [path.name for path in beside.iterdir()] == ["scores.json"]


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP])
def test_a_disk_without_links_can_be_claimed_too(
    output: Output, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def no_links(_path: Path, _target: Path) -> None:
        raise OSError(number, "no links here")

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    test_members_claim_a_folder_or_agree(output)


def test_a_spoilt_description_is_replaced(output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_BETWEEN_LOOKS_S", 0.001)
    output.insist({"run": RUN.to_dict()})
    whole = output.description.read_bytes()
    local(output).with_name("scores.about").joinpath("scores.json").write_bytes(whole[:20])
    output.insist({"run": RUN.to_dict()})
    assert output.description.read_bytes() == whole


def test_counts_add_up() -> None:
    assert total([COUNTS, COUNTS]) == Counts(rows=6, ok=4, empty=2, tokens=40)
    assert total([]) == Counts()
