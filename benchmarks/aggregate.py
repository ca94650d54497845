"""How much memory and time a study's sums take as rows grow, beside DuckDB's months alone.

    python benchmarks/aggregate.py [--rows 2000000] [--different 10000000] [--folder /tmp/aggregate]

Makes scores of that many rows by a tenth as many authors over five years, in parts of a million; parts beyond
`--different` rows are the first ones once more (hard links), which spares the disk and readers cannot know. Then runs each
reader in a process of its own: `corpus-lonely study` as a whole, the monthly sums of Polars, and the same in DuckDB.
Prints CPU seconds and peak memory. The files stay in the folder; remove it afterwards.
"""

import argparse
import os
import resource
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from corpus_lonely.taxonomy import loneliness

PART = 1_000_000
_SUMS = """
import sys; import polars as pl; from datetime import date
from corpus_lonely.study.pieces import frames
from corpus_lonely.study.running import Months
from corpus_lonely.study.scores import scan_scores
from corpus_lonely.study.selection import Selection, columns_read
from corpus_lonely.study.usable_rows import usable
from corpus_lonely.taxonomy import loneliness
frame, asked = scan_scores(sys.argv[1]), Selection(loneliness(), date(2020, 3, 11))
months = Months(loneliness())
for piece in frames(sys.argv[1], frame, columns_read(frame, asked)):
    months.add(usable(piece, asked, "scores").collect())
print(len(months.table()))
"""
_DUCKDB = """
import sys, duckdb
from corpus_lonely.taxonomy import loneliness
labels = ", ".join(f"sum(lonely::DOUBLE * {c})" for c in loneliness().score_columns[1:])
print(len(duckdb.sql(f"SELECT strftime(created_at AT TIME ZONE 'UTC', '%Y-%m'), count(*), count(DISTINCT author), sum(lonely::DOUBLE), {labels} "
                     f"FROM '{sys.argv[1]}/*.parquet' WHERE status = 'ok' GROUP BY 1").fetchall()))
"""


def make(folder: Path, rows: int, different: int) -> None:
    """Parts of scores with labels at random; those that are there are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    first = datetime(2017, 1, 1, tzinfo=UTC).timestamp()
    for number in range(-(-rows // PART)):
        path = folder / f"part-{number:06d}.parquet"
        if path.exists():
            continue
        if number * PART >= different:
            os.link(folder / f"part-{number % (different // PART):06d}.parquet", path)
            continue
        rng, count = np.random.default_rng(number), min(PART, rows - number * PART)
        seconds = (first + rng.integers(5 * 365 * 86_400, size=count)) * 1_000_000
        columns = {"post_id": np.arange(count) + number * PART}
        authors = rng.integers(max(1, rows // 10), size=count)
        labels = {c: rng.random(count, dtype=np.float32) for c in loneliness().score_columns}
        pl.DataFrame(columns | labels).with_columns(
            pl.format("t3_{}", "post_id").alias("post_id"),
            pl.Series("author", authors).cast(pl.String).hash().cast(pl.String).alias("author"),
            pl.Series("created_at", seconds.astype(np.int64)).cast(pl.Datetime("us", "UTC")),
            pl.lit("submission").alias("kind"),
            pl.lit("ok").alias("status"),
        ).write_parquet(path)


def measure(name: str, command: list[str]) -> None:
    """Runs it and prints what it took; the greatest memory of all children so far is the kernel's figure."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        f"{name:<24}{seconds:>8.1f} CPU s{used.ru_maxrss / 1024:>9,.0f} MB  status {status}",
        flush=True,
    )


def main() -> None:
    """Makes the scores and measures the three."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--different", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/aggregate"))
    asked = parser.parse_args()
    scores = asked.folder / f"scores-{asked.rows}"
    make(scores, asked.rows, asked.different)
    study = ["-m", "corpus_lonely", "study", "--scores", str(scores), "--cut", "2020-03-11"]
    measure("DuckDB, monthly sums", [sys.executable, "-c", _DUCKDB, str(scores)])
    measure("Polars, monthly sums", [sys.executable, "-c", _SUMS, str(scores)])
    measure("study, whole", [sys.executable, *study, "--out", str(asked.folder / "report")])


if __name__ == "__main__":
    main()
