"""Scores of a simulated model: known shares, authors as clusters, a change where it is asked for."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from corpus_lonely.taxonomy import loneliness

CUT = datetime(2020, 3, 11, tzinfo=UTC)
FIRST = datetime(2019, 3, 1, tzinfo=UTC)


def simulated_scores(
    seed: int = 0, posts: int = 3000, authors: int = 200, moved: float = 0.0
) -> pl.DataFrame:
    """A table of scores over 24 months; `moved` is what context turns from social to physical."""
    rng = np.random.default_rng(seed)
    lean = rng.dirichlet(np.ones(5), authors)
    rows = []
    for number in range(posts):
        when = FIRST + timedelta(seconds=int(rng.integers(730 * 86_400)))
        author = min(int(rng.pareto(1.2) * 8), authors - 1)
        rows.append(_row(rng, number, when, author, lean[author], moved if when >= CUT else 0.0))
    columns = loneliness().score_columns
    return pl.DataFrame(rows, infer_schema_length=None).with_columns(
        pl.col("created_at").dt.convert_time_zone("UTC"),
        *(pl.col(column).cast(pl.Float32) for column in columns),
    )


def _row(
    rng: np.random.Generator, number: int, when: datetime, author: int, lean: Any, moved: float
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "post_id": f"t3_{number:05d}",
        "kind": "comment" if rng.random() < 0.3 else "submission",
        "author": None if rng.random() < 0.05 else f"author{author}",
        "created_at": when,
        "status": "empty" if rng.random() < 0.01 else "ok",
    }
    ok = row["status"] == "ok"
    row["lonely"] = float(rng.beta(2, 2)) if ok else None
    for category in loneliness().categories:
        mean = np.full(len(category.labels), 1 / len(category.labels))
        if category.name == "context":
            mean = 0.6 * np.array([0.5, 0.1, 0.1, 0.2, 0.1]) + 0.4 * lean
            mean[0], mean[1] = mean[0] * (1 - moved), mean[1] + mean[0] * moved
        drawn = rng.dirichlet(6 * mean)
        for column, value in zip(category.columns, drawn, strict=True):
            row[column] = float(value) if ok else None
    return row


def write_scores(folder: Path, table: pl.DataFrame) -> Path:
    """The table in two parts, as `score` leaves them."""
    folder.mkdir(parents=True, exist_ok=True)
    half = len(table) // 2
    table[:half].write_parquet(folder / "part-000000.parquet")
    table[half:].write_parquet(folder / "part-000001.parquet")
    return folder
