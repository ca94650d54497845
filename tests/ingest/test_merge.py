from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpus_lonely.errors import InputError
from corpus_lonely.ingest import copies, merge, month_sources
from corpus_lonely.ingest.merge import Merged, MonthFiles, merge_month
from corpus_lonely.ingest.month_sources import Source
from corpus_lonely.ingest.staged_file import Extent, extent_of, write_staged
from corpus_lonely.ingest.writer import posts_schema, staged_schema
from corpus_lonely.tables import footer
from tests.ingest.lines import MARCH
from tests.ingest.row_by_row import Row

SCHEMA = posts_schema(keep_permalinks=False)


class Post(NamedTuple):
    """What merging looks at."""

    id: int
    second: int
    retrieved: int | None
    file: int
    gone: str | None = None


def row(post: Post, mark: int) -> Row:
    return Row(
        post_id=f"t1_{post.id}",
        kind="comment",
        subreddit="lonely",
        author=None,
        created_at=(MARCH + post.second) * 10**6,
        text="" if post.gone else f"post {mark}",
        title=None,
        score=mark,
        num_comments=None,
        over_18=None,
        link_id=None,
        parent_id=None,
        edited_at=None,
        edited=None,
        removed=post.gone,
        crosspost=None,
        flair=None,
        author_flair=None,
        retrieved_at=None if post.retrieved is None else (MARCH + post.retrieved) * 10**6,
        permalink=None,
    )


def table(rows: list[Row], begin: int) -> pa.Table:
    """Staged rows, the first of them from a line at `begin`."""
    told = [
        {**each._asdict(), "place": begin + n, "gone": not each.text} for n, each in enumerate(rows)
    ]
    return pa.Table.from_pylist(told, schema=staged_schema(SCHEMA))


def staged(folder: Path, posts: list[tuple[Post, int]], file: int) -> list[Source]:
    """Three rows a staged file, and beside them a row of an earlier month."""
    folder.mkdir(parents=True)
    sources = []
    for begin in range(0, len(posts), 3):
        part, path = posts[begin : begin + 3], folder / f"{begin:03}.arrow"
        rows = {
            "2020-02": table([row(Post(999, 0, 9, 0), 99)], begin),
            "2020-03": table([row(*each) for each in part], begin),
        }
        months = write_staged(path, rows, {})
        sources.append(Source(path, file, months["2020-03"]))
    return sources


def merged(
    folder: Path, sources: list[Source], traces: Path | None = None
) -> tuple[list[int], Merged, Source]:
    out, origins = folder / "part.parquet", folder / "origins.parquet"
    files = MonthFiles(out, origins, folder / "gone.parquet")
    result = merge_month(sources, traces, files, SCHEMA, {"made": "by a test"})
    marks = pq.ParquetFile(out).read().column("score").to_pylist()
    return marks, result, Source(out, origins)


def by_hand(posts: list[Post]) -> tuple[list[int], list[int], set[tuple[str, str]]]:
    """Places of the posts that stay, in order; those of them that were removed later; what is gone.

    A plain loop over all copies of each post.
    """
    copies: dict[int, list[int]] = {}
    for place, post in enumerate(posts):
        copies.setdefault(post.id, []).append(place)
    stay, removed, gone = [], [], set()
    for name, places in copies.items():
        places.sort(key=lambda n: (posts[n].retrieved or -1, posts[n].file, n))
        texts = [n for n, place in enumerate(places) if not posts[place].gone]
        later = places[texts[-1] + 1 :] if texts else places
        ways = [posts[place].gone or "" for place in later]
        gone |= {(f"t1_{name}", way) for way in ways if way == "deleted" or way in _since(ways)}
        if texts and "deleted" not in ways:
            stay.append(places[texts[-1]])
            removed += [places[texts[-1]]] if ways else []
    stay.sort(key=lambda place: (posts[place].second, f"t1_{posts[place].id}"))
    return stay, removed, gone


def _since(ways: list[str]) -> list[str]:
    """What came after the last deletion: what came before it says nothing more."""
    backwards = ways[::-1]
    return backwards[: backwards.index("deleted")] if "deleted" in ways else ways


_POSTS = st.lists(
    st.builds(
        Post,
        id=st.integers(0, 12),
        second=st.integers(0, 6),
        retrieved=st.none() | st.integers(1, 4),
        file=st.integers(0, 2),
        gone=st.sampled_from([None, None, None, "deleted", "removed"]),
    ),
    max_size=40,
).map(lambda posts: sorted(posts, key=lambda post: post.file))


def bounded(patch: pytest.MonkeyPatch) -> None:
    """From now on months of a few rows go the way of those that do not fit into memory."""
    patch.setattr(copies, "_ROWS_PER_PASS", 7)
    patch.setattr(copies, "_ROWS_PER_FRAME", 5)
    patch.setattr(month_sources, "_JOINED_BYTES", -1)
    patch.setattr(month_sources, "_FEW_ROWS", 2)


@pytest.mark.parametrize("large", [True, False])
@pytest.mark.parametrize("at_once", [True, False])
@settings(max_examples=25, deadline=None)
@given(posts=_POSTS)
@example(posts=[Post(0, 0, 1, 0), Post(0, 0, 1, 0, "deleted"), Post(0, 0, None, 1, "removed")])
def test_each_post_once_the_freshest_in_order_of_time(
    tmp_path_factory: pytest.TempPathFactory, large: bool, at_once: bool, posts: list[Post]
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
    traces = None
    with pytest.MonkeyPatch.context() as patch:
        if large:
            bounded(patch)
        kept, duplicates = Counter[int](), Counter[int]()
        if at_once:
            marks, result, last = merged(folder, [source for sources in runs for source in sources])
            kept, duplicates = result.kept, result.duplicates
            traces = folder / "gone.parquet"
        else:
            last_source: list[Source] = []
            for step, sources in enumerate(runs):
                marks, result, last = merged(folder / str(step), [*last_source, *sources], traces)
                last_source, kept = [last], result.kept
                duplicates.update(result.duplicates)
                traces = folder / str(step) / "gone.parquet"
    expected, removed, gone = by_hand(posts)
    assert marks == expected
    assert kept == Counter(posts[place].file for place in expected)
    assert kept + duplicates == Counter(post.file for post in posts if not post.gone)
    assert isinstance(last.origin, Path)
    assert pq.read_table(last.origin).column("file").to_pylist() == [
        posts[p].file for p in expected
    ]
    told = pq.read_table(last.path).column("removed").to_pylist()
    assert told == ["removed" if place in removed else None for place in expected]
    lasting = pq.read_table(traces).select(["post_id", "removed"]).to_pylist()
    assert [tuple(trace.values()) for trace in lasting] == sorted(gone)


def test_the_same_bytes_however_the_rows_were_staged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    posts = [Post(n, n * 37 % 50, None, 0) for n in range(200)]
    numbered = [(post, n) for n, post in enumerate(posts)]
    first = merged(tmp_path / "a", staged(tmp_path / "one", numbered, 0))[2]
    halves = staged(tmp_path / "h0", numbered[:90], 0) + staged(tmp_path / "h1", numbered[90:], 0)
    second = merged(tmp_path / "b", halves)[2]
    assert first.path.read_bytes() == second.path.read_bytes()
    bounded(monkeypatch)
    assert first.path.read_bytes() == merged(tmp_path / "c", halves)[2].path.read_bytes()
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
    assert marks == sorted(by_hand(posts)[0])
    assert result.duplicates == {0: 10}


def test_runs_that_do_not_overlap_are_not_held_together() -> None:
    def group(begin: int, end: int) -> merge._Group:
        none = np.zeros(0, dtype=bool)
        extent = Extent(0, begin, end, size=5)
        return merge._Group(Source(Path("x"), 0), 0, extent, none, none, none, none)

    assert merge._most_at_once([group(0, 9), group(10, 19), group(20, 29)]) == 5
    assert merge._most_at_once([group(0, 9), group(9, 19), group(12, 29)]) == 10
    assert merge._most_at_once([group(0, 50), group(9, 19), group(12, 29)]) == 15


def test_what_is_known_of_staged_rows_is_true_of_them() -> None:
    rows = table([row(Post(n, second, 1, 0), n) for n, second in enumerate((5, 2, 9))], 0)
    second = 10**6
    begin, end = (MARCH + 2) * second, (MARCH + 9) * second
    assert extent_of(rows) == Extent(3, begin, end, rows.nbytes)


@pytest.mark.parametrize("large", [True, False])
@pytest.mark.parametrize("damage", ["cut", "zeros", "flipped", "swapped", "foreign"])
def test_damage_to_a_staged_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool, damage: str
) -> None:
    if large:
        bounded(monkeypatch)
    sources = staged(tmp_path / "one", [(Post(n, n, None, 0), n) for n in range(200)], 0)
    path = sources[3].path
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "zeros":
        # all of the rows' bytes, but for what tells where they stand
        body = len(content) // 4
        path.write_bytes(content[:body] + bytes(len(content) // 2) + content[-body:])
    elif damage == "swapped":
        path.write_bytes(sources[-1].path.read_bytes())  # two rows, not three
    elif damage == "flipped":
        # a letter of a post, which Arrow has no reason to doubt
        assert sources[3].batch is not None
        place = content.index(b"post 9", sources[3].batch.offset)
        path.write_bytes(content[:place] + b"P" + content[place + 1 :])
    else:
        pa.ipc.new_file(str(path), pa.schema([pa.field("other", pa.string())])).close()
    with pytest.raises(InputError, match=f"{path}: is damaged") as caught:
        merged(tmp_path / "a", sources)
    assert f"Remove {path.parent}" in str(caught.value)
    assert not (tmp_path / "a" / "part.parquet").exists()


def test_letters_that_changed_in_a_month_are_named(tmp_path: Path) -> None:
    posts = [(Post(n, n, None, 0), n) for n in range(9)]
    _, _, month = merged(tmp_path / "a", staged(tmp_path / "one", posts, 0))
    before, texts = month.path.read_bytes(), pq.read_table(month.path).column("text")
    unseen = 0
    for place in range(before.index(b"post 0"), before.rindex(b"created_at")):
        content = bytearray(before)
        content[place] ^= 1
        month.path.write_bytes(content)
        try:
            changed = pq.read_table(month.path).column("text") != texts
        except (pa.ArrowException, OSError):
            continue
        if changed:
            unseen += 1
            with pytest.raises(InputError, match=f"{month.path}: is not readable as Parquet"):
                merged(tmp_path / "b", [month])
            break
    assert unseen  # nothing but the checksum of a page tells
    assert not (tmp_path / "b" / "part.parquet").exists()
