"""Scores made on a real SLURM are those of one process, whatever ends in between."""

from pathlib import Path

import pytest

from corpus_lonely.cluster import ClusterSettings, SlurmSettings
from corpus_lonely.scoring.job import score_posts
from tests.cluster.conftest import Files, Score, parts
from tests.cluster.slurm import Slurm

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.xdist_group("slurm")]


@pytest.fixture
def settings(tmp_path: Path) -> SlurmSettings:
    return SlurmSettings(walltime="00:05:00", memory="1GB", folder=tmp_path / "workers")


def test_the_same_bytes_from_workers_in_jobs(
    slurm: Slurm, settings: SlurmSettings, scoring: Score, expected: Files
) -> None:
    cluster = ClusterSettings(workers=2, threads=1, kind="slurm", slurm=settings)
    report = score_posts(scoring(cluster))
    assert report.shards == 20
    assert parts(scoring(cluster).out) == expected
    slurm.wait_until_empty(20)  # the jobs were cancelled
    assert [path.name for path in settings.folder.glob("tls-*")] == []
