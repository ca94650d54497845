"""What all schedules share: a tiny model, 3,000 posts, and the scores of an undisturbed run."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.chaos.processes import score
from tests.chaos.stage import PARTS, ROWS_OF_A_PART, struck
from tests.scoring.conftest import make_model, make_posts


@pytest.fixture(scope="session")
def chaos_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that scores a part in milliseconds."""
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def chaos_posts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many posts as fill the parts, in two files whose row groups end within parts."""
    folder = tmp_path_factory.mktemp("posts")
    for number in range(2):
        posts = make_posts(PARTS * ROWS_OF_A_PART // 2, seed=number, longest=40)
        pq.write_table(posts, folder / f"{number}.parquet", row_group_size=400)
    return folder


@pytest.fixture(scope="session")
def undisturbed(
    chaos_posts: Path, chaos_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The scores of a run that nobody disturbed, by one worker."""
    home = tmp_path_factory.mktemp("undisturbed")
    options: dict[str, object] = {
        "--input": chaos_posts,
        "--model": chaos_model,
        "--out": home / "scores",
        "--shard-rows": ROWS_OF_A_PART,
        "--precision": "fp32",
        "--threads": 1,
        "--workers": 1,
    }
    run = score(options, home / "run.log")
    assert run.process.wait(240) == 0, run.log.read_text("utf-8")
    return home / "scores"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tells what was done to the runs."""
    if struck:
        terminalreporter.section("chaos: what was done")
        for name, times in sorted(struck.items()):
            terminalreporter.write_line(f"{times:5d} {name}")
