"""Finding the posts, and refusing what cannot be scored before hours are spent."""

from pathlib import Path

import fsspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus_lonely.errors import InputError, SettingsError
from corpus_lonely.scoring.inputs import find_posts, verify_unchanged, whole_address
from corpus_lonely.sources import is_inside
from corpus_lonely.storage import place


def _write(path: Path, **columns: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def test_a_folder_is_read_in_the_order_of_its_paths(tmp_path: Path) -> None:
    for month in ("2020-02", "2019-12", "2020-01"):
        _write(tmp_path / "posts" / f"month={month}" / "data.parquet", text=[f"of {month}"])
    for noise in ("_SUCCESS", ".hidden.parquet", "notes.txt", "_old/data.parquet"):
        (tmp_path / "posts" / noise).parent.mkdir(exist_ok=True)
        (tmp_path / "posts" / noise).write_text("noise")
    posts = find_posts(str(tmp_path / "posts"))
    read = [pl.read_parquet(file.url, hive_partitioning=False)["text"][0] for file in posts.files]
    assert read == ["of 2019-12", "of 2020-01", "of 2020-02"]
    assert posts.files[0].name == "month=2019-12/data.parquet"
    assert posts.rows == 3


def test_a_file_a_glob_and_a_url_find_the_same_file(tmp_path: Path) -> None:
    path = _write(tmp_path / "posts" / "a.parquet", text=["x"])
    _write(tmp_path / "posts" / "b.parquet", text=["x"])
    for source in (str(path), f"{tmp_path}/posts/a*.parquet", f"file://{path}"):
        assert [file.name for file in find_posts(source).files] == ["a.parquet"]


def test_a_glob_of_folders_takes_all_below_them(tmp_path: Path) -> None:
    for month in ("2019-12", "2020-01", "2020-02"):
        _write(tmp_path / "posts" / f"month={month}" / "data.parquet", text=["x"])
    posts = find_posts(f"{tmp_path}/posts/month=2020-*")
    assert [file.name for file in posts.files] == [
        "month=2020-01/data.parquet",
        "month=2020-02/data.parquet",
    ]


def test_a_folder_whose_name_looks_like_a_glob_is_a_folder(tmp_path: Path) -> None:
    _write(tmp_path / "posts[1]" / "a.parquet", text=["x"])
    assert find_posts(str(tmp_path / "posts[1]")).rows == 1


def test_another_file_system(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.parquet", text=["x", "y"])
    with fsspec.open("memory://bucket/posts/a.parquet", "wb") as file:
        file.write(path.read_bytes())
    posts = find_posts("memory://bucket/posts")
    assert [(file.name, file.rows) for file in posts.files] == [("a.parquet", 2)]
    assert posts.files[0].url.startswith("memory://")


def test_columns_that_go_along(tmp_path: Path) -> None:
    path = _write(
        tmp_path / "subreddit=lone ly" / "a.parquet",
        score=[1],
        text=["x"],
        author=pa.array(["a"]).dictionary_encode(),
        post_id=pa.array(["t3_a"], pa.large_string()),
    )
    carried = find_posts(str(tmp_path), keep=["score"]).carried
    assert carried == pa.schema(
        {"post_id": pa.string(), "subreddit": pa.string(), "author": pa.string(), "score": "int64"}
    )
    assert find_posts(str(path)).carried.names == ["post_id", "author"]


def test_hive_folders_tell_values(tmp_path: Path) -> None:
    folder = tmp_path / "kind=comment" / "subreddit=a%20b" / "author=__HIVE_DEFAULT_PARTITION__"
    _write(folder / "a.parquet", text=["x"])
    (file,) = find_posts(str(tmp_path)).files
    assert file.partitions == {"kind": "comment", "subreddit": "a b", "author": None}


def test_a_file_of_nulls_agrees_with_any_type(tmp_path: Path) -> None:
    _write(tmp_path / "a.parquet", text=["x"], author=pa.nulls(1))
    _write(tmp_path / "b.parquet", text=["x"], author=["me"])
    assert find_posts(str(tmp_path)).carried.field("author").type == pa.string()


@pytest.mark.parametrize(
    ("second", "told"),
    [
        ({"body": ["x"]}, "b.parquet: has no column 'text'; its columns are body"),
        ({"text": [1], "author": ["a"]}, "b.parquet: column 'text' is of type int64, but string"),
        ({"text": ["x"], "author": [1]}, "b.parquet: column 'author' is of type int64, but string"),
        ({"text": ["x"]}, "b.parquet: has no column 'author'; its columns are text"),
        (
            {"text": ["x"], "author": ["a"], "kind": ["comment"]},
            "b.parquet: has a column 'kind' that",
        ),
    ],
)
def test_files_that_do_not_agree(tmp_path: Path, second: dict[str, object], told: str) -> None:
    _write(tmp_path / "a.parquet", text=["x"], author=["a"])
    _write(tmp_path / "b.parquet", **second)
    with pytest.raises(InputError) as raised:
        find_posts(str(tmp_path))
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_text_must_be_text(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.parquet", text=[1])
    with pytest.raises(InputError, match="column 'text' is of type int64, not text"):
        find_posts(str(path))


@pytest.mark.parametrize("cut", [0, 3, 40, -1])
def test_a_file_that_was_cut_short_is_named(tmp_path: Path, cut: int) -> None:
    whole = _write(tmp_path / "whole.parquet", text=["x"]).read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[:cut])
    with pytest.raises(InputError, match=r"cut.parquet: is not readable as Parquet \(.*cut short"):
        find_posts(str(tmp_path))


def test_a_damaged_footer_is_told(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.parquet", text=["x"])
    whole = path.read_bytes()
    path.write_bytes(whole[:-40] + b"\xff" * 32 + whole[-8:])
    with pytest.raises(InputError, match=r"a\.parquet: is not readable as Parquet"):
        find_posts(str(path))


def test_nothing_there(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="does not exist"):
        find_posts(str(tmp_path / "none"))
    with pytest.raises(InputError, match="holds no Parquet file"):
        find_posts(str(tmp_path / "empty"))
    with pytest.raises(InputError, match="does not exist"):
        find_posts(f"{tmp_path}/*.parquet")
    with pytest.raises(InputError, match="cannot be opened"):
        find_posts("nosuchprotocol://bucket/a.parquet")
    with pytest.raises(InputError, match="holds no rows"):
        find_posts(str(_write(tmp_path / "a.parquet", text=pa.array([], pa.string()))))


def test_keep_is_checked(tmp_path: Path) -> None:
    path = str(_write(tmp_path / "a.parquet", text=["x"], lonely=[0.5]))
    with pytest.raises(SettingsError, match="--keep must not name a column of text"):
        find_posts(path, keep=["text"])
    with pytest.raises(SettingsError, match="--keep must not name a column that scores have"):
        find_posts(path, keep=["lonely"], taken={"lonely"})
    with pytest.raises(InputError, match="has no column 'karma'; its columns are text, lonely"):
        find_posts(path, keep=["karma"])


def test_a_change_of_content_changes_the_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    before = find_posts(str(_write(path, text=["abc", "x"])))
    again = find_posts(str(_write(path, text=["abc", "x"])))
    after = find_posts(str(_write(path, text=["abd", "x"])))
    assert before.sha256 == again.sha256 != after.sha256
    verify_unchanged(after.files[0])
    with pytest.raises(InputError, match="has changed since the run began"):
        verify_unchanged(before.files[0])


def test_output_inside_the_input(tmp_path: Path) -> None:
    assert is_inside(tmp_path / "scores", str(tmp_path))
    assert not is_inside(tmp_path / "scores", str(tmp_path / "posts"))
    assert not is_inside(tmp_path / "scores", "s3://bucket/posts")


@pytest.mark.parametrize(
    ("out", "pattern", "inside"),
    [
        ("posts/scores", "posts/**/*.parquet", True),
        ("posts/scores", "posts/**", True),
        ("posts/scores", "posts/*/*.parquet", True),
        ("posts/scores/a", "posts/*", True),
        ("posts/2020-scores", "posts/2020-*", True),
        ("posts/scores", "posts/*.parquet", False),
        ("posts/scores", "posts/2020-*", False),
        ("posts/scores", "posts/*/a*.parquet", False),
        ("scores", "posts/**/*.parquet", False),
        ("posts/.scores", "posts/**/*.parquet", False),
        ("posts/a/_scores", "posts/a*", False),
    ],
)
@pytest.mark.parametrize("base", ["", "file://", "s3://bucket"])
def test_output_that_a_glob_would_take_for_input(
    tmp_path: Path, base: str, out: str, pattern: str, inside: bool
) -> None:
    where = str(tmp_path) if not base.startswith("s3") else ""
    told = place(f"{base}{where}/{out}")
    assert is_inside(told, f"{base}{where}/{pattern}") is inside


@pytest.mark.parametrize("name", ["text", "post_id"])
def test_a_column_that_is_there_twice_is_told(tmp_path: Path, name: str) -> None:
    columns = ["text", "post_id", name]
    table = pa.Table.from_arrays([pa.array(["x"])] * 3, names=columns)
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match=f"a.parquet: has 2 columns {name!r}"):
        find_posts(str(tmp_path))


@pytest.mark.parametrize(
    ("source", "whole"),
    [
        ("posts/", "{here}/posts"),
        ("posts/*/a?.parquet", "{here}/posts/*/a?.parquet"),
        ("/data/posts", "/data/posts"),
        ("s3://bucket/posts/", "s3://bucket/posts/"),
        ("file:///data/posts", "file:///data/posts"),
    ],
)
def test_an_address_leads_to_the_same_posts_from_anywhere(
    source: str, whole: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert whole_address(source) == whole.format(here=tmp_path)
