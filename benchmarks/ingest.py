"""Ingest beside what people use instead, on a made-up dump of real shape, in one run.

    python benchmarks/ingest.py [--mib 1024] [--copies 3] [--repeat 3] [--dump FILE]

Contenders, each in processes of its own, one after the other, round after round:

    zstd | wc -l        the floor: nothing but unpacking and counting lines
    python floor        the same in Python, where the program zstd is absent
    json script         the usual script: unpack, decode, split, `json.loads` a line; it keeps nothing
    json to csv         the same, with ten fields of each post written as CSV, which is what such scripts are for
    orjson script       the first on lines of bytes, with orjson
    duckdb, polars      `read_json` and `scan_ndjson` to Parquet, if they can open the file
    ingest, all         `corpus-lonely ingest dump`, every post kept, to finished Parquet
    ingest, filter      the same with `--subreddit` for 0.5 % of the lines

The filter and its floor read the dump's frames `--copies` times, as one long file: what a process takes to
start does not hide its speed then. Prints the medians of wall time, CPU time of all processes, and the largest
process's memory; then the ratios. A machine that has other work to do slows those most that use two cores:
compare by CPU time there.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import dumps

_SCRIPT = """
import sys, zstandard
{imports}
def lines(path):
    with open(path, "rb") as file:
        reader = zstandard.ZstdDecompressor(max_window_size=2**31).stream_reader(
            file, read_across_frames=True)
        rest = {empty}
        while chunk := reader.read(2**24):
            *whole, rest = (rest + {chunk}).split({newline})
            yield from whole
        if rest:
            yield rest
"""
_COUNT = 'print(sum({parsed}["subreddit"] is not None for line in lines(sys.argv[1])))'
_TEXT_LINES = _SCRIPT.format(
    imports="import json",
    empty='""',
    chunk='chunk.decode("utf-8", "replace")',
    newline='"\\n"',
)
_JSON = _TEXT_LINES + _COUNT.format(parsed="json.loads(line)")
_CSV = (
    _TEXT_LINES
    + """
import csv
names = ["id", "author", "subreddit", "created_utc", "score", "title", "selftext", "body", "link_id", "permalink"]
with open(sys.argv[2], "w", newline="", encoding="utf-8") as out:
    writer = csv.writer(out)
    writer.writerow(names)
    for line in lines(sys.argv[1]):
        post = json.loads(line)
        writer.writerow([post.get(name, "") for name in names])
"""
)
_ORJSON = _SCRIPT.format(
    imports="import orjson", empty='b""', chunk="chunk", newline='b"\\n"'
) + _COUNT.format(parsed="orjson.loads(line)")
_FLOOR = """
import sys
from pathlib import Path
from corpus_lonely.ingest.codecs import decompress
print(sum(piece.data.count(b"\\n") for piece in decompress(Path(sys.argv[1]))))
"""
_DUCKDB = """
import sys, duckdb
duckdb.sql(f"copy (select id, author, subreddit, created_utc, title, selftext, body from read_json("
           f"'{sys.argv[1]}', format='newline_delimited', compression='zstd', union_by_name=true))"
           f" to '{sys.argv[2]}' (format parquet)")
"""
_POLARS = """
import sys, polars as pl
columns = ["id", "author", "subreddit", "created_utc", "title", "selftext", "body"]
pl.scan_ndjson(sys.argv[1], infer_schema_length=10_000).select(columns).sink_parquet(sys.argv[2])
"""


class Run(NamedTuple):
    """One run of a contender."""

    wall: float
    cpu: float
    memory_mb: int
    error: str


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mib", type=int, default=1024, help="plain MiB of the dump")
    parser.add_argument("--copies", type=int, default=3, help="times that the filter reads it")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--dump", type=Path, help="made before: taken if there, made if not")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        dump = arguments.dump or home / "dump.zst"
        if not dump.exists():
            dumps.write_dump(dump, arguments.mib << 20)
        long = home / "long.zst"
        with long.open("wb") as out:
            for _ in range(arguments.copies):
                with dump.open("rb") as one:
                    shutil.copyfileobj(one, out)
        contenders = _contenders(dump, long, home)
        runs: dict[str, list[Run]] = {name: [] for name in contenders}
        for _ in range(arguments.repeat):
            for name, command in contenders.items():
                if not (runs[name] and runs[name][-1].error):
                    runs[name].append(_run(command, home))
        lines = int(subprocess.check_output([sys.executable, "-c", _FLOOR, dump], text=True))
    _tell(runs, lines, dump.name, arguments.copies)


def _contenders(dump: Path, long: Path, home: Path) -> dict[str, list[str]]:
    out, table = str(home / "posts"), str(home / "table.parquet")
    ingest = [sys.executable, "-m", "corpus_lonely", "ingest", "dump"]
    if shutil.which("zstd"):
        floor, name = ["sh", "-c", 'zstd -dcq --long=31 "$0" | wc -l'], "zstd | wc -l"
    else:
        floor, name = [sys.executable, "-c", _FLOOR], "python floor"
    return {
        name: [*floor, str(dump)],
        "json script": [sys.executable, "-c", _JSON, str(dump)],
        "json to csv": [sys.executable, "-c", _CSV, str(dump), str(home / "posts.csv")],
        "orjson script": [sys.executable, "-c", _ORJSON, str(dump)],
        "duckdb": [sys.executable, "-c", _DUCKDB, str(dump), table],
        "polars": [sys.executable, "-c", _POLARS, str(dump), table],
        "ingest, all": [*ingest, str(dump), "--out", out],
        f"{name}, long": [*floor, str(long)],
        "ingest, filter": [*ingest, str(long), "--out", out, "--subreddit", dumps.RARE],
    }


def _run(command: list[str], home: Path) -> Run:
    for made in ("posts", "posts.about"):
        shutil.rmtree(home / made, ignore_errors=True)
    began = time.perf_counter()
    with (home / "errors").open("w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - began
        errors.seek(0)
        told = [line for line in errors.read().splitlines() if "Error" in line]
        last = (told or ["no message"])[-1]
    error = last[:90] if process.returncode else ""
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return Run(wall, used.ru_utime + used.ru_stime, used.ru_maxrss // unit, error)


def _tell(runs: dict[str, list[Run]], lines: int, dump: str, copies: int) -> None:
    cores = os.cpu_count()
    print(f"{lines:,} lines of {dump}; the long file has {copies} times as many; {cores} cores")
    print(f"{'':24}{'wall s':>8}{'CPU s':>8}{'rows/s':>10}{'rows/CPU-s':>12}{'MB':>7}")
    middle: dict[str, Run] = {}
    for name, several in runs.items():
        if several[-1].error:
            print(f"{name:24}  cannot: {several[-1].error}")
            continue
        wall = statistics.median(run.wall for run in several)
        cpu = statistics.median(run.cpu for run in several)
        memory = max(run.memory_mb for run in several)
        middle[name] = Run(wall, cpu, memory, "")
        read = lines * copies if name.endswith(("long", "filter")) else lines
        rates = f"{read / wall:10,.0f}{read / cpu:12,.0f}"
        print(f"{name:24}{wall:8.2f}{cpu:8.2f}{rates}{memory:7}")
    floor = next(name for name in middle if name.endswith("long"))
    for told, one, other, aim in (
        ("ingest with a filter takes", "ingest, filter", floor, "of the floor's; aim: 1.5 or less"),
        ("the json script takes", "json script", "ingest, all", "of ingest's; aim: 3 or more"),
        ("with a CSV written it takes", "json to csv", "ingest, all", "of ingest's"),
        ("the orjson script takes", "orjson script", "ingest, all", "of ingest's"),
    ):
        if one in middle and other in middle:
            times = middle[one].wall / middle[other].wall
            work = middle[one].cpu / middle[other].cpu
            print(f"{told} {times:.2f} times the wall time, {work:.2f} times the CPU time {aim}")


if __name__ == "__main__":
    main()
