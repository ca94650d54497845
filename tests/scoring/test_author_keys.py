"""Posts and scores of two author keys are never joined by mistake."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from corpus_lonely.errors import InputError
from corpus_lonely.identities import PLAIN_NAMES
from corpus_lonely.ingest.authors import read_key
from corpus_lonely.ingest.run import ingest_dumps
from corpus_lonely.ingest.settings import IngestSettings
from corpus_lonely.marking.run import mark_posts
from corpus_lonely.marking.settings import MarkSettings
from corpus_lonely.scoring.inputs import find_posts
from corpus_lonely.study.run import run_study
from corpus_lonely.study.sample import SampleSettings, draw_sample
from corpus_lonely.study.scores import scan_posts, scan_scores
from corpus_lonely.study.settings import StudySettings
from corpus_lonely.tables import footer
from tests.ingest.lines import DAY, MARCH, comment, submission, write_dump
from tests.scoring.test_job import run


@pytest.fixture
def home(tmp_path: Path) -> Path:
    dump = write_dump(tmp_path / "d.gz", [submission(), comment()])
    for name in ("a", "b"):
        ingest_dumps([dump], tmp_path / "all" / name)
    ingest_dumps([dump], tmp_path / "plain" / "c", IngestSettings(keep_authors=True))
    return tmp_path


def test_posts_of_two_keys_are_refused(home: Path) -> None:
    for pattern in ("all/[ab]/*/*.parquet", "*/[bc]/month*/*.parquet"):
        with pytest.raises(InputError, match=r"with another key .* one --author-key"):
            find_posts(str(home / pattern))
        with pytest.raises(InputError, match=r"hashed with several keys: .* one --author-key"):
            scan_posts(str(home / pattern))
    assert find_posts(str(home / "plain/c")).identities.author_key == PLAIN_NAMES
    assert scan_posts(home / "all" / "a").collect().height == 2


def test_a_sample_of_hashed_ids_wants_the_same_key(home: Path, model: Path) -> None:
    dump = write_dump(
        home / "e.gz", [submission(f"{n}", created_utc=MARCH + n * 40 * DAY) for n in range(9)]
    )
    for name in ("c", "d"):
        ingest_dumps([dump], home / "hashed" / name, IngestSettings(hash_ids=True))
    run(home / "hashed" / "c", model, home / "scores" / "c")
    drawn = draw_sample(_sample(home, "c"))
    assert len(drawn) == 8
    with pytest.raises(InputError, match="has ids hashed with the key"):
        draw_sample(_sample(home, "d"))


def test_a_study_names_the_keys_that_do_not_join(home: Path, model: Path) -> None:
    lines = [submission(f"{n}", created_utc=MARCH + n * 10 * DAY) for n in range(9)]
    dump = write_dump(home / "e.gz", lines)
    keys = {}
    for name, hashed in (("c", True), ("d", True), ("p", False)):
        posts = home / "hashed" / name
        ingest_dumps([dump], posts, IngestSettings(hash_ids=hashed))
        keys[name] = read_key(home / "hashed" / f"{name}.about" / "author.key").fingerprint
        mark_posts(MarkSettings(str(posts), home / "marks" / name, near_duplicates=True))
    run(home / "hashed" / "c", model, home / "scores" / "c")

    def study(**of: str) -> None:
        asked = {"posts": ("over_18", "false"), "marks": ("near_duplicate", "false")}
        given: dict[str, Any] = {**of, "where": tuple(asked[name] for name in of)}
        scores, out = str(home / "scores" / "c"), home / "report"
        run_study(
            StudySettings(scores, date(2020, 4, 10), out, min_authors=1, replicates=100, **given)
        )

    for kind, option in (("hashed", "posts"), ("marks", "marks")):
        told = rf"{home / kind}/d: has ids hashed with the key {keys['d']}, the scores have ids hashed with "
        with pytest.raises(InputError, match=rf"{told}the key {keys['c']}, .* --{option} must be"):
            study(**{option: str(home / kind / "d")})
        with pytest.raises(InputError, match="/p: has plain ids, the scores have ids hashed"):
            study(**{option: str(home / kind / "p")})
    study(posts=str(home / "hashed" / "c"), marks=str(home / "marks" / "c"))


def _sample(home: Path, posts: str) -> SampleSettings:
    return SampleSettings(
        str(home / "scores" / "c"), str(home / "hashed" / posts), date(2020, 6, 1),
        home / f"{posts}.csv", size=8,
    )  # fmt: skip


def test_scores_remember_the_key_and_are_not_joined(home: Path, model: Path) -> None:
    for name in ("a", "b"):
        run(home / "all" / name, model, home / "scores" / name)
        key = footer(home / "all" / name / "month=2020-03" / "part-0.parquet")["author_key"]
        assert footer(home / "scores" / name / "part-000000.parquet")["author_key"] == key
        scan_scores(home / "scores" / name)
    with pytest.raises(InputError, match="hashed with several keys"):
        scan_scores(str(home / "scores" / "*" / "*.parquet"))
