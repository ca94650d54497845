"""Files that break off: what is taken of them, and what is said."""

import bz2
import gzip
import json
import lzma
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from click.testing import CliRunner, Result

from corpus_lonely.cli.main import main

PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}  # fmt: skip


def ingest(path: Path, door: str = "table") -> Result:
    command = ["ingest", door, str(path), "--out", str(path.parent / "posts")]
    return CliRunner().invoke(main, command)


def rows(count: int) -> list[dict[str, object]]:
    draw = random.Random(3)
    return [
        {"created_at": 1583020800 + n, "text": draw.randbytes(20).hex(), "subreddit": "x"}
        for n in range(count)
    ]


def csv_of(count: int) -> str:
    lines = [",".join(map(str, row.values())) + "\n" for row in rows(count)]
    return "created_at,text,subreddit\n" + "".join(lines)


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_of_half_a_compressed_table_nothing_is_taken(tmp_path: Path, kind: str, form: str) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in rows(3_000))
    whole = PACKED[kind]((csv_of(3_000) if form == "csv" else lines).encode())
    path = tmp_path / f"p.{form}.{kind}"
    for content, what in (
        (whole[:-900], f"ends at byte {len(whole) - 900:,} within a"),
        (whole[: len(whole) // 2] + bytes(100) + whole[len(whole) // 2 + 100 :], ""),
    ):
        path.write_bytes(content)
        ran = ingest(path)
        assert ran.exit_code == 1
        assert f"{path}: {what}" in ran.stderr
        assert "Nothing of it was taken: get the file again" in ran.stderr
        assert "What stands before was read" not in ran.stderr
        assert not (tmp_path / "posts").exists()
