"""Simulated scores for the whole room."""

from pathlib import Path

import polars as pl
import pytest

from tests.study.simulated import simulated_scores, write_scores


@pytest.fixture(scope="session")
def table() -> pl.DataFrame:
    """Scores with a planted change of context."""
    return simulated_scores(seed=1, moved=0.5)


@pytest.fixture(scope="session")
def scores(tmp_path_factory: pytest.TempPathFactory, table: pl.DataFrame) -> Path:
    """The same as a folder."""
    return write_scores(tmp_path_factory.mktemp("study") / "scores", table)
