"""Whether the cost of scoring grows with the posts alone, and memory not at all.

    python benchmarks/linear.py [--sizes 10000 100000 1000000] [--workers 2]

Runs `corpus-lonely score` on ever more posts, all in one file of one row group, with a model so small that
everything but the model is seen. Prints posts/s from the first part handed out to the last one done, and
the greatest memory of the driver and of a worker (resident set, looked at four times a second).
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from contenders import make_model

from corpus_lonely.tables import footer


def write_posts(path: Path, posts: int) -> None:
    """Posts of 2 to 30 words, none like another, in one row group."""
    dice = np.random.default_rng(0)
    words = np.array(["alone", "garden", "music", "friend", "winter", "train", "letter", "house"])
    with pq.ParquetWriter(
        path, pa.schema([("post_id", pa.string()), ("text", pa.string())])
    ) as out:
        texts = [
            f"{row} {' '.join(words[dice.integers(0, len(words), dice.integers(1, 30))])}"
            for row in range(posts)
        ]
        ids = [f"t3_{row}" for row in range(posts)]
        out.write_table(pa.table({"post_id": ids, "text": texts}), row_group_size=posts)


def run(source: Path, model: Path, out: Path, workers: int) -> tuple[float, float, float, int]:
    """Seconds in all, greatest MB of the driver and of a worker, parts."""
    words = ["score", "--input", source, "--model", model, "--out", out, "--workers", workers]
    command = [sys.executable, "-m", "corpus_lonely", *map(str, words), "--threads", "1"]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    driver, greatest = psutil.Process(process.pid), [0.0, 0.0]
    while process.poll() is None:
        try:
            greatest[0] = max(greatest[0], driver.memory_info().rss / 1e6)
            for child in driver.children(recursive=True):
                greatest[1] = max(greatest[1], child.memory_info().rss / 1e6)
        except psutil.NoSuchProcess:
            pass
        time.sleep(0.25)
    assert process.returncode == 0
    parts = sorted(out.glob("*.parquet"))
    rows = sum(footer(part)["counts"]["rows"] for part in parts)
    assert rows == pq.read_metadata(source).num_rows
    return time.perf_counter() - began, greatest[0], greatest[1], len(parts)


def main() -> None:
    """Measures each size and prints a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        model = make_model("tiny", Path(scratch) / "model")
        start_up = None
        for size in (1, *arguments.sizes):
            source = Path(scratch) / f"{size}.parquet"
            write_posts(source, size)
            out = Path(scratch) / f"scores-{size}"
            seconds, driver, worker, parts = run(source, model, out, arguments.workers)
            if start_up is None:
                start_up = seconds  # a run of one post is nothing else
                print(f"one post, all in all: {seconds:.1f} s")
                continue
            rate = size / (seconds - start_up)
            print(
                f"{size:>9,} posts in {parts:>4} parts: {rate:6,.0f} posts/s after start-up, "
                f"{seconds:6.1f} s in all; driver {driver:,.0f} MB, worker {worker:,.0f} MB"
            )


if __name__ == "__main__":
    main()
