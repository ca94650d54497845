"""Services that stand while the tests of this folder run, and what is scored on them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from corpus_lonely.cluster import ClusterSettings
from corpus_lonely.scoring.job import ScoreSettings, score_posts
from corpus_lonely.storage import Place
from tests.cluster import slurm as slurm_service
from tests.cluster.slurm import Slurm
from tests.scoring.conftest import make_model, make_posts

SHARD_ROWS = 100


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model's folder."""
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    """A file of 2,000 posts: 20 parts."""
    path = tmp_path / "posts.parquet"
    pq.write_table(make_posts(2000), path, row_group_size=300)
    return path


Files = dict[str, bytes]


def parts(folder: Place) -> Files:
    """Every part of a folder of scores on this machine, by name."""
    return {path.name: path.read_bytes() for path in Path(str(folder)).glob("*")}


@pytest.fixture
def expected(posts: Path, model: Path, tmp_path: Path) -> Files:
    """The parts that one process makes, undisturbed."""
    out = tmp_path / "undisturbed"
    settings = ScoreSettings(
        str(posts),
        model,
        out,
        shard_rows=SHARD_ROWS,
        precision="fp32",
        cluster=ClusterSettings(workers=0, threads=1),
    )
    score_posts(settings)
    return parts(out)


@pytest.fixture(scope="session")
def slurm_of_the_session() -> Iterator[Slurm]:
    try:
        with slurm_service.started() as slurm:
            yield slurm
    except slurm_service.NotThereError as error:
        pytest.skip(f"no SLURM: {error}")


@pytest.fixture
def slurm(slurm_of_the_session: Slurm, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slurm]:
    """A SLURM without jobs, whose commands this process finds as well."""
    for name in ("SLURM_CONF", "PATH", "PYTHONPATH"):
        monkeypatch.setenv(name, slurm_of_the_session.environment[name])
    yield slurm_of_the_session
    slurm_of_the_session.run("scancel", "--state=PENDING")
    slurm_of_the_session.run("scancel", "--state=RUNNING")
    slurm_of_the_session.wait_until_empty()


Score = Callable[..., ScoreSettings]


@pytest.fixture
def scoring(posts: Path, model: Path, tmp_path: Path) -> Score:
    """Settings of the run whose parts are `expected`, on another cluster."""

    def settings(cluster: ClusterSettings) -> ScoreSettings:
        return ScoreSettings(
            str(posts),
            model,
            tmp_path / "scores",
            shard_rows=SHARD_ROWS,
            precision="fp32",
            cluster=cluster,
        )

    return settings
