from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_lonely.ingest import merge
from corpus_lonely.ingest.merge import Merged, Source, merge_month
from corpus_lonely.ingest.normalize import Row
from corpus_lonely.ingest.writer import StagingWriter, posts_schema, staged_runs
from corpus_lonely.tables import footer
from tests.ingest.lines import MARCH

SCHEMA = posts_schema(keep_permalinks=False)


class Post(NamedTuple):
    """What merging looks at."""

    id: int
    second: int
    retrieved: int | None
    file: int


def row(post: Post, mark: int) -> Row:
    return Row(
        post_id=f"t1_{post.id}",
        kind="comment",
        subreddit="lonely",
        author=None,
        created_at=(MARCH + post.second) * 10**6,
        text=f"post {mark}",
        title=None,
        score=mark,
        num_comments=None,
        over_18=None,
        link_id=None,
        parent_id=None,
        edited_at=None,
        edited=None,
        removed=None,
        crosspost=None,
        retrieved_at=None if post.retrieved is None else (MARCH + post.retrieved) * 10**6,
        permalink=None,
    )


def staged(folder: Path, posts: list[tuple[Post, int]], file: int) -> list[Source]:
    folder.mkdir(parents=True)
    writer = StagingWriter(folder, SCHEMA, buffered_bytes=3000)  # a few rows a run
    for line, (post, mark) in enumerate(posts, start=1):
        writer.add(row(post, mark), line)
    writer.close()
    return [Source(path, file) for _, path in staged_runs(folder)]


def merged(folder: Path, sources: list[Source]) -> tuple[list[int], Merged, Source]:
    out, origins = folder / "part.parquet", folder / "origins.parquet"
    result = merge_month(sources, out, origins, SCHEMA, {"made": "by a test"})
    marks = pq.ParquetFile(out).read().column("score").to_pylist()
    return marks, result, Source(out, origins)


def by_hand(posts: list[Post]) -> list[int]:
    """The places of the posts that stay, in order: a plain loop over all of them."""
    best: dict[int, int] = {}
    for place, post in enumerate(posts):
        rank = (-1 if post.retrieved is None else post.retrieved, post.file, place)
        there = best.get(post.id)
        if there is not None:
            old = posts[there]
            if rank < (-1 if old.retrieved is None else old.retrieved, old.file, there):
                continue
        best[post.id] = place
    return sorted(best.values(), key=lambda place: (posts[place].second, f"t1_{posts[place].id}"))


_POSTS = st.lists(
    st.builds(
        Post,
        id=st.integers(0, 12),
        second=st.integers(0, 6),
        retrieved=st.none() | st.integers(0, 3),
        file=st.integers(0, 2),
    ),
    max_size=40,
).map(lambda posts: sorted(posts, key=lambda post: post.file))


@pytest.mark.parametrize("rows_per_pass", [7, 10**6])
@pytest.mark.parametrize("at_once", [True, False])
@settings(max_examples=25, deadline=None)
@given(posts=_POSTS)
def test_each_post_once_the_freshest_in_order_of_time(
    tmp_path_factory: pytest.TempPathFactory, rows_per_pass: int, at_once: bool, posts: list[Post]
) -> None:
    """However the rows are split into passes, runs and commits: as a plain loop has it."""
    if not posts:
        return
    folder = tmp_path_factory.mktemp("merge")
    files = sorted({post.file for post in posts})
    runs = [
        staged(
            folder / f"staged-{file}", [(p, n) for n, p in enumerate(posts) if p.file == file], file
        )
        for file in files
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merge, "_ROWS_PER_PASS", rows_per_pass)
        kept, duplicates = Counter[int](), Counter[int]()
        if at_once:
            marks, result, last = merged(folder, [source for sources in runs for source in sources])
            kept, duplicates = result.kept, result.duplicates
        else:
            last_source: list[Source] = []
            for step, sources in enumerate(runs):
                marks, result, last = merged(folder / str(step), [*last_source, *sources])
                last_source, kept = [last], result.kept
                duplicates.update(result.duplicates)
    expected = by_hand(posts)
    assert marks == expected
    assert kept == Counter(posts[place].file for place in expected)
    assert kept + duplicates == Counter(post.file for post in posts)
    assert isinstance(last.origin, Path)
    assert pq.read_table(last.origin).column("file").to_pylist() == [
        posts[p].file for p in expected
    ]


def test_the_same_bytes_however_the_rows_were_staged(tmp_path: Path) -> None:
    posts = [Post(n, n * 37 % 50, None, 0) for n in range(200)]
    numbered = [(post, n) for n, post in enumerate(posts)]
    first = merged(tmp_path / "a", staged(tmp_path / "one", numbered, 0))[2]
    halves = staged(tmp_path / "h0", numbered[:90], 0) + staged(tmp_path / "h1", numbered[90:], 0)
    second = merged(tmp_path / "b", halves)[2]
    assert first.path.read_bytes() == second.path.read_bytes()
    assert footer(first.path) == {"made": "by a test"}


def test_row_groups_have_one_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corpus_lonely.ingest.writer.ROWS_PER_GROUP", 64)
    numbered = [(Post(n, n, None, 0), n) for n in range(200)]
    marks, _, source = merged(tmp_path / "a", staged(tmp_path / "one", numbered, 0))
    metadata = pq.read_metadata(source.path)
    assert [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)] == [
        64,
        64,
        64,
        8,
    ]
    assert marks == list(range(200))
    more = staged(tmp_path / "two", [(Post(n, n, 1, 1), n) for n in range(0, 300, 3)], 1)
    again, result, _ = merged(tmp_path / "b", [source, *more])
    assert again == sorted({*range(200), *range(0, 300, 3)})
    assert result.kept == {0: 133, 1: 100}
    assert result.duplicates == {0: 67}


def test_where_too_much_overlaps_rows_stay_in_the_order_of_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merge, "_SORTED_BYTES", 10)
    posts = [Post(n % 30, 40 - n, n, 0) for n in range(40)]
    marks, result, _ = merged(
        tmp_path / "a", staged(tmp_path / "one", [(p, n) for n, p in enumerate(posts)], 0)
    )
    assert marks == sorted(by_hand(posts))
    assert result.duplicates == {0: 10}


def test_runs_that_do_not_overlap_are_not_held_together() -> None:
    def group(begin: int, end: int) -> merge._Group:
        def time(n: int) -> datetime:
            return datetime.fromtimestamp(MARCH + n, UTC)

        none = np.zeros(0, dtype=bool)
        return merge._Group(Source(Path("x"), 0), 0, slice(0), time(begin), time(end), 5, none)

    assert merge._most_at_once([group(0, 9), group(10, 19), group(20, 29)]) == 5
    assert merge._most_at_once([group(0, 9), group(9, 19), group(12, 29)]) == 10
    assert merge._most_at_once([group(0, 50), group(9, 19), group(12, 29)]) == 15


def test_staged_months_fill_several_runs_in_order(tmp_path: Path) -> None:
    posts = [(Post(n, (n % 3) * 31 * 86400, None, 0), n) for n in range(60)]
    sources = staged(tmp_path / "one", posts, 0)
    assert len(sources) > 3
    for month, modulus in (("2020-03", 0), ("2020-04", 1), ("2020-05", 2)):
        tables = [pq.read_table(path) for m, path in staged_runs(tmp_path / "one") if m == month]
        marks = pa.concat_tables(tables).column("score").to_pylist()
        assert marks == list(range(modulus, 60, 3))
