import json
import random
import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from corpus_lonely.cli.main import main
from corpus_lonely.errors import InputError, OutputError, SettingsError, TruncatedFileError
from corpus_lonely.ingest import reading
from corpus_lonely.ingest.authors import make_key, read_key
from corpus_lonely.ingest.dump import Dump
from corpus_lonely.ingest.report import FileReport, IngestReport
from corpus_lonely.ingest.run import ingest_dumps
from corpus_lonely.ingest.settings import IngestSettings
from corpus_lonely.progress import Silent
from corpus_lonely.tables import footer, table_schema
from tests.ingest.lines import DAY, MARCH, PACKERS, comment, ndjson, submission, tree, write_dump


def posts(out: Path) -> pl.DataFrame:
    return pl.read_parquet(out / "*" / "*.parquet", hive_partitioning=False)


def coverage(out: Path) -> pl.DataFrame:
    return pl.read_parquet(f"{out}.about/coverage.parquet")


def record(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(f"{out}.about/ingest.json").read_text())
    return content


def dirty(seed: int, count: int = 300) -> list[dict[str, Any] | bytes]:
    """Lines as they come, with a bit of everything that is dropped."""
    chance = random.Random(seed)
    lines: list[dict[str, Any] | bytes] = []
    for _ in range(count):
        name = f"{chance.randrange(count):x}"
        fields: dict[str, Any] = {
            "created_utc": MARCH + int(name, 16) * DAY // 4,
            "author": chance.choice(["Ann", "Ben", "[deleted]", "AutoModerator"]),
            "subreddit": chance.choice(["lonely", "Lonely", "pics"]),
            "retrieved_on": chance.choice([None, MARCH + 9**9, MARCH + 9**9 + 1]),
        }
        make = chance.choice([comment, submission])
        key = "body" if make is comment else "selftext"
        fields[key] = chance.choice(
            [f"text {chance.random()}"] * 6 + ["[deleted]", "[removed]", ""]
        )
        lines.append(make(name, **fields))
        if chance.random() < 0.05:
            lines.append(chance.choice([b"{broken", b"[]", b"", b'{"id": "x"}']))
    return lines


def test_a_folder_as_the_contract_says(tmp_path: Path) -> None:
    path = write_dump(
        tmp_path / "d.zst", [submission(), comment(), comment("ccc", created_utc=MARCH - 1)]
    )
    out = tmp_path / "posts"
    report = ingest_dumps([path], out)
    assert (report.read, report.kept, report.dropped) == (3, 3, {})
    files = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    assert files == ["month=2020-02/part-0.parquet", "month=2020-03/part-0.parquet"]
    schema = table_schema("posts")
    expected = schema.remove(schema.get_field_index("permalink"))
    for name in files:
        assert pq.read_schema(out / name).remove_metadata().equals(expected.remove_metadata())
        assert footer(out / name)["author_key"] == report.author_key
    table = posts(out).sort("post_id")
    assert table["post_id"].to_list() == ["t1_bbb", "t1_ccc", "t3_aaa"]
    key = read_key(tmp_path / "posts.about" / "author.key")
    assert table["author"].to_list() == [key.hash("someone")] * 2 + [key.hash("SOMEBODY")]
    assert "someone" not in Path(f"{out}.about/ingest.json").read_text().lower()


@pytest.mark.parametrize("seed", range(3))
def test_every_line_is_accounted_for(tmp_path: Path, seed: int) -> None:
    """Against counts of a plain loop over the lines."""
    files = [dirty(seed), dirty(seed + 100)]
    paths = [write_dump(tmp_path / f"{n}.gz", lines) for n, lines in enumerate(files)]
    out = tmp_path / "posts"
    report = ingest_dumps(paths, out, IngestSettings(subreddits=frozenset({"lonely"})))
    copies: dict[str, list[tuple[int, int, int, str]]] = {}
    for place, (lines, file) in enumerate(zip(files, report.files, strict=True)):
        expected: Counter[str] = Counter()
        for number, line in enumerate(lines):
            expected.update([by_hand(line)] if line else [])
            if isinstance(line, dict) and by_hand(line) in ("kept", "deleted", "removed"):
                name = ("t1_" if "body" in line else "t3_") + line["id"]
                rank = (line["retrieved_on"] or 0, place, number, by_hand(line))
                copies.setdefault(name, []).append(rank)
        got = Counter(file.dropped)
        duplicates = got.pop("duplicate", 0)
        assert got + Counter(kept=file.kept + duplicates) == expected
        assert file.read == expected.total()
    table = posts(out)
    assert table.height == report.kept == report.posts == table["post_id"].n_unique()
    # after the last text `deleted` takes the post away, `removed` leaves it with a mark
    stay: dict[str, str] = {}
    for name, ranks in copies.items():
        ways = [rank[3] for rank in sorted(ranks)]
        later = ways[::-1][: ways[::-1].index("kept")] if "kept" in ways else ["deleted"]
        if "deleted" not in later:
            stay[name] = "removed" if later else "kept"
    assert set(table["post_id"]) == stay.keys()
    marked = table.filter(pl.col("removed").is_not_null())["post_id"]
    assert set(marked) == {name for name, last in stay.items() if last == "removed"}
    check_coverage(out)


def by_hand(line: dict[str, Any] | bytes) -> str:
    if isinstance(line, bytes):
        return "not_a_post" if line == b'{"id": "x"}' else "bad_json"
    text = line.get("body", line.get("selftext"))
    if line["subreddit"].lower() != "lonely":
        return "other_subreddit"
    if text in ("[deleted]", "[removed]"):
        return str(text[1:-1])
    if not text and "body" in line:
        return "empty"
    return "bot" if line["author"] == "AutoModerator" else "kept"


def check_coverage(out: Path) -> None:
    table, kept = coverage(out), posts(out)
    dropped = [name for name in table.columns if name.startswith("dropped_")]
    assert table.schema == pl.DataFrame(pa.Table.from_pylist([], table_schema("coverage"))).schema
    assert (table["read"] == table["kept"] + table["dropped"]).all()
    assert (table["dropped"] == table.select(pl.sum_horizontal(dropped)).to_series()).all()
    assert table["kept"].sum() == kept.height
    totals = Counter[str]()
    for file in record(out)["files"]:
        totals.update(file["dropped"])
    for name in dropped:
        assert table[name].sum() == totals[name.removeprefix("dropped_")]
    by_loop: dict[tuple[str, str, str], set[str]] = {}
    for row in kept.iter_rows(named=True):
        key = (f"{row['created_at']:%Y-%m}", row["subreddit"].lower(), row["kind"])
        by_loop.setdefault(key, set()).update({row["author"]} - {None})
    got = table.filter(pl.col("kept") > 0).select("month", "subreddit", "kind", "authors").rows()
    assert {row[:3]: row[3] for row in got} == {key: len(names) for key, names in by_loop.items()}


def test_one_run_or_several_make_the_same_folder(tmp_path: Path) -> None:
    paths = [write_dump(tmp_path / f"{n}.zst", dirty(n)) for n in range(3)]
    make_key(tmp_path / "key")
    settings = IngestSettings(author_key=tmp_path / "key")
    ingest_dumps(paths, tmp_path / "once", settings)
    for path in paths:
        report = ingest_dumps([path], tmp_path / "steps", settings)
        check_coverage(tmp_path / "steps")
    assert tree(tmp_path / "once") == tree(tmp_path / "steps")
    assert tree(tmp_path / "once.about") == tree(tmp_path / "steps.about")
    assert report.posts == posts(tmp_path / "once").height


def test_several_files_at_once_make_the_same_folder(tmp_path: Path) -> None:
    paths = [write_dump(tmp_path / f"{n}.zst", dirty(n)) for n in range(3)]
    settings = IngestSettings(author_key=make(tmp_path / "key"))
    ingest_dumps(paths, tmp_path / "once", settings)
    ingest_dumps(paths, tmp_path / "several", settings, processes=4)
    assert tree(tmp_path / "once") == tree(tmp_path / "several")
    assert tree(tmp_path / "once.about") == tree(tmp_path / "several.about")


def test_the_same_twice_is_the_same_bytes(tmp_path: Path) -> None:
    path = write_dump(tmp_path / "d.xz", dirty(7))
    make_key(tmp_path / "key")
    for name in ("a", "b"):
        ingest_dumps([path], tmp_path / name, IngestSettings(author_key=tmp_path / "key"))
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_a_file_that_is_there_is_skipped_whatever_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_dump(tmp_path / "d.json", [comment()])
    out = tmp_path / "posts"
    first = ingest_dumps([path], out)
    before = tree(tmp_path / "posts.about")
    path = path.rename(tmp_path / "renamed.json")
    monkeypatch.setattr("corpus_lonely.ingest.reading.stage", None)  # nothing may be read again
    again = ingest_dumps([path], out)
    assert (first.files[0].skipped, again.files[0].skipped) == (False, True)
    assert (again.read, again.kept) == (1, 1)
    assert tree(tmp_path / "posts.about") == before


def test_the_same_content_twice_in_one_run_is_read_once(tmp_path: Path) -> None:
    one, two = (write_dump(tmp_path / name, [comment()]) for name in ("a", "b"))
    report = ingest_dumps([one, two, one], tmp_path / "posts")
    assert len(report.files) == 1
    assert report.same_content == ((str(two), str(one)), (str(one), str(one)))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"subreddits": frozenset({"pics"})}, "--subreddit all, now pics"),
        ({"min_words": 3}, "--min-words 0, now 3"),
        ({"keep_authors": True}, "--keep-authors off, now on"),
        ({"keep_permalinks": True}, "--keep-permalinks"),
        ({"bots": frozenset({"x"})}, "--bots"),
        ({"hash_ids": True}, "--hash-ids off, now on"),
        ({"columns": frozenset[str]()}, "--columns all, now none"),
        ({"columns": frozenset({"flair"})}, "--columns all, now flair"),
    ],
)
def test_other_settings_are_refused_and_change_nothing(
    tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    path = write_dump(tmp_path / "d.json", [comment()])
    other = write_dump(tmp_path / "e.json", [comment("ddd")])
    out = tmp_path / "posts"
    ingest_dumps([path], out)
    before = tree(tmp_path)
    with pytest.raises(OutputError, match=told):
        ingest_dumps([other], out, IngestSettings(**change))
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (None, "columns all"),
        (frozenset[str](), "columns none"),
        (frozenset({"score", "flair"}), "columns flair, score"),
    ],
)
def test_describe_tells_the_columns(
    tmp_path: Path, columns: frozenset[str] | None, told: str
) -> None:
    dump = write_dump(tmp_path / "d.json", [comment()])
    ingest_dumps([dump], tmp_path / "posts", IngestSettings(columns=columns))
    ran = CliRunner().invoke(main, ["describe", str(tmp_path / "posts")])
    assert f"{told}, hash_ids" in " ".join(ran.stdout.split())


def test_hashed_ids_join_and_lead_nowhere(tmp_path: Path) -> None:
    """Over two files and runs, with a copy and a deletion: as with plain ids, and no id is anywhere."""
    names = {"post": "q7submission", "answer": "q7answer", "other": "q7other"}
    post = submission(names["post"], crosspost_parent="t3_q7source")
    answers = [
        comment(names["answer"], link_id="t3_q7submission", parent_id="t3_q7submission"),
        comment(names["other"], link_id="t3_q7submission", parent_id="t1_q7answer"),
        comment("q7gone", body="[deleted]"),
    ]
    fresher = comment(names["answer"], body="once more", retrieved_on=MARCH + DAY)
    one, two = (
        write_dump(tmp_path / n, lines) for n, lines in (("a", [post, *answers]), ("b", [fresher]))
    )
    out, settings = tmp_path / "posts", IngestSettings(hash_ids=True)
    ingest_dumps([one], out, settings)
    assert ingest_dumps([two], out, settings).posts == 3
    key = read_key(tmp_path / "posts.about" / "author.key")
    table = posts(out)
    told = {
        "t3_q7submission": key.hash_id("t3_q7submission"),
        "t1_q7answer": key.hash_id("t1_q7answer"),
        "t1_q7other": key.hash_id("t1_q7other"),
    }
    assert set(table["post_id"]) == set(told.values())
    assert table.filter(pl.col("kind") == "submission")["crosspost"].item() == key.hash_id(
        "t3_q7source"
    )
    other = table.filter(post_id=told["t1_q7other"])
    assert other["link_id"].item() == told["t3_q7submission"]
    assert other["parent_id"].item() == told["t1_q7answer"]
    assert other.join(table, left_on="parent_id", right_on="post_id").height == 1
    traces = pl.concat(map(pl.read_parquet, (tmp_path / "posts.about" / "gone").iterdir()))
    assert set(traces["post_id"]) == {key.hash_id("t1_q7gone")}
    everything = [*tree(out).values(), *tree(tmp_path / "posts.about").values()]
    assert not any(b"q7" in content for content in everything)


def test_columns_are_left_out_where_asked(tmp_path: Path) -> None:
    path = write_dump(tmp_path / "d.json", [submission(link_flair_text="Venting"), comment()])
    out, settings = tmp_path / "posts", IngestSettings(columns=frozenset({"flair", "score"}))
    ingest_dumps([path], out, settings)
    ingest_dumps([write_dump(tmp_path / "e.json", [comment("ddd")])], out, settings)
    table = posts(out)
    assert table.columns == [
        *["post_id", "kind", "subreddit", "author", "created_at", "text"],
        *["score", "removed", "retrieved_at", "flair"],
    ]
    assert table["flair"].drop_nulls().to_list() == ["Venting"]
    assert table.height == 3
    check_coverage(out)


def test_another_author_key_is_refused(tmp_path: Path) -> None:
    path = write_dump(tmp_path / "d.json", [comment()])
    ingest_dumps([path], tmp_path / "posts")
    with pytest.raises(OutputError, match="author key"):
        ingest_dumps([path], tmp_path / "posts", IngestSettings(author_key=make(tmp_path / "k")))


def make(path: Path) -> Path:
    make_key(path)
    return path


def test_a_lost_author_key_is_missed_not_replaced(tmp_path: Path) -> None:
    path = write_dump(tmp_path / "d.json", [comment()])
    ingest_dumps([path], tmp_path / "posts")
    key = tmp_path / "posts.about" / "author.key"
    key.unlink()
    with pytest.raises(InputError, match="is not there"):
        ingest_dumps([path], tmp_path / "posts")
    assert not key.exists()


def test_overwrite_makes_the_folder_anew(tmp_path: Path) -> None:
    old = write_dump(tmp_path / "d.json", [comment(created_utc=MARCH - DAY), b"{bad"])
    new = write_dump(tmp_path / "e.json", [comment()])
    out, key = tmp_path / "posts", make(tmp_path / "k")
    ingest_dumps([old], out, IngestSettings(author_key=key))
    ingest_dumps([new], out, IngestSettings(author_key=key, min_words=2, overwrite=True))
    ingest_dumps([new], tmp_path / "fresh", IngestSettings(author_key=key, min_words=2))
    assert tree(out) == tree(tmp_path / "fresh")
    assert tree(tmp_path / "posts.about") == tree(tmp_path / "fresh.about")
    assert [p.name for p in out.iterdir()] == ["month=2020-03"]


def test_a_fresher_copy_replaces_an_older_one_across_runs(tmp_path: Path) -> None:
    stale = write_dump(tmp_path / "a", [comment(body="old words", retrieved_on=MARCH + DAY)])
    fresh = write_dump(tmp_path / "b", [comment(body="new words", retrieved_on=MARCH + 2 * DAY)])
    for order in ([stale, fresh], [fresh, stale]):
        out = tmp_path / f"posts-{order[0].name}"
        for path in order:
            ingest_dumps([path], out)
        assert posts(out)["text"].to_list() == ["new words"]
        by_name = {Path(file["name"]).name: file for file in record(out)["files"]}
        assert by_name["b"]["kept"] == 1
        assert by_name["a"]["dropped"] == {"duplicate": 1}


@pytest.mark.parametrize(("gone", "left"), [("[deleted]", []), ("[removed]", ["old words"])])
def test_a_post_that_is_gone_in_a_later_copy(tmp_path: Path, gone: str, left: list[str]) -> None:
    """In whatever order the copies are read, and whether in one run or in several."""
    text = write_dump(tmp_path / "a", [comment(body="old words", retrieved_on=MARCH + DAY)])
    later = write_dump(tmp_path / "b", [comment(body=gone, retrieved_on=MARCH + 2 * DAY)])
    back = write_dump(tmp_path / "c", [comment(body="new words", retrieved_on=MARCH + 3 * DAY)])
    for number, runs in enumerate(([[text], [later]], [[later], [text]], [[text, later]])):
        out = tmp_path / f"posts-{number}"
        for files in runs:
            report = ingest_dumps(files, out)
        assert report.posts == len(left)
        assert sorted(tree(out)) == ["month=2020-03/part-0.parquet"] * len(left)
        if left:
            assert posts(out).select("text", "removed").rows() == [("old words", "removed")]
        check_coverage_sums(out)
        ingest_dumps([back], out)
        assert posts(out).select("text", "removed").rows() == [("new words", None)]
        check_coverage_sums(out)
        assert ingest_dumps([write_dump(tmp_path / "d", [comment("other")])], out).posts == 2


def check_coverage_sums(out: Path) -> None:
    table = coverage(out)
    assert table["read"].sum() == sum(file["read"] for file in record(out)["files"])
    assert table["kept"].sum() == record(out)["posts"]
    assert (table["read"] == table["kept"] + table["dropped"]).all()


def test_a_broken_file_is_kept_up_to_its_break_and_the_others_whole(tmp_path: Path) -> None:
    good = write_dump(tmp_path / "good.zst", [comment()])
    packed = PACKERS["zst"](ndjson([submission()])) + PACKERS["zst"](ndjson([comment("z")]))[:-9]
    cut = tmp_path / "cut.zst"
    cut.write_bytes(packed)
    report = ingest_dumps([cut, good], tmp_path / "posts")
    assert [file.name for file in report.broken] == [str(cut)]
    assert f"byte {len(packed):,}" in (report.broken[0].broken or "")
    assert set(posts(tmp_path / "posts")["post_id"]) >= {"t3_aaa", "t1_bbb"}
    again = ingest_dumps([cut, good], tmp_path / "posts")
    assert [file.skipped for file in again.files] == [True, True]
    assert again.broken  # it is no better for having been ingested


def repairable(home: Path) -> tuple[Path, Path]:
    """A corrupt file and its whole twin, alike in size, in the first MiB and in the last."""
    noise = [comment(f"{n:x}", body=random.Random(n).randbytes(50_000).hex()) for n in range(60)]
    whole = write_dump(home / "whole.zst", noise)
    content = bytearray(whole.read_bytes())
    middle = len(content) // 2
    assert middle > 1.2 * 2**20
    content[middle] ^= 255
    corrupt = home / "corrupt.zst"
    corrupt.write_bytes(content)
    return corrupt, whole


def test_a_repaired_file_is_told_from_the_broken_one(tmp_path: Path) -> None:
    corrupt, whole = repairable(tmp_path)
    out = tmp_path / "posts"
    assert ingest_dumps([corrupt], out).broken
    assert ingest_dumps([corrupt], out).files[0].skipped
    report = ingest_dumps([whole], out)
    assert (report.files[0].skipped, report.broken, report.posts) == (False, (), 60)
    assert ingest_dumps([whole], out).files[0].skipped
    check_coverage(out)


def test_a_broken_file_beside_its_repair(tmp_path: Path) -> None:
    corrupt, whole = repairable(tmp_path)
    report = ingest_dumps([corrupt, whole, whole], tmp_path / "posts")
    assert [bool(file.broken) for file in report.files] == [True, False]
    assert report.same_content == ((str(whole), str(whole)),)
    assert report.posts == 60
    again = ingest_dumps([whole], tmp_path / "posts")
    assert [file.skipped for file in again.files] == [True]


def test_a_file_repaired_after_an_interruption_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corrupt, whole = repairable(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("corpus_lonely.ingest.addition.Addition", None)  # ends after the staging
        with pytest.raises(TypeError):
            ingest_dumps([corrupt], tmp_path / "posts")
    whole.replace(corrupt)
    report = ingest_dumps([corrupt], tmp_path / "posts")
    assert (report.broken, report.posts) == ((), 60)


def test_every_cut_leaves_whole_rows_and_says_so(tmp_path: Path) -> None:
    rows = [
        comment(f"{n:x}", body=f"text number {n} {random.Random(n).random()}") for n in range(40)
    ]
    whole = PACKERS["zst"](ndjson(rows[:20])) + PACKERS["zst"](ndjson(rows[20:]))
    between = len(PACKERS["zst"](ndjson(rows[:20])))
    good = write_dump(tmp_path / "good.json", [comment("good")])
    for cut in range(10, len(whole), len(whole) // 12):
        if cut == between:
            continue
        path = tmp_path / "cut.zst"
        path.write_bytes(whole[:cut])
        out = tmp_path / f"posts-{cut}"
        report = ingest_dumps([path, good], out)
        assert len(report.broken) == 1
        table = posts(out).sort("created_at", "post_id")
        assert set(table["post_id"]) <= {"t1_good", *(f"t1_{row['id']}" for row in rows)}
        assert table.height >= (21 if cut > between else 1)


def test_files_of_which_nothing_can_be_read_write_nothing(tmp_path: Path) -> None:
    path = tmp_path / "cut.zst"
    path.write_bytes(PACKERS["zst"](ndjson([comment()]))[:-5])
    with pytest.raises(TruncatedFileError):
        ingest_dumps([path], tmp_path / "posts")
    assert [p.name for p in tmp_path.iterdir()] == ["cut.zst"]


def test_empty_files_break_off_and_files_of_no_lines_are_whole(tmp_path: Path) -> None:
    good = write_dump(tmp_path / "good.json", [comment()])
    nothing = write_dump(tmp_path / "nothing.zst", [])
    empty = [tmp_path / "a.zst", tmp_path / "b.zst"]
    for path in empty:
        path.touch()
    with pytest.raises(TruncatedFileError, match="is empty"):
        ingest_dumps(empty, tmp_path / "posts")
    report = ingest_dumps([empty[0], good, nothing, empty[1]], tmp_path / "posts")
    assert [file.name for file in report.broken] == list(map(str, empty))
    assert {file.broken for file in report.broken} == {"is empty (0 bytes)"}
    assert [file.read for file in report.files] == [0, 1, 0, 0]
    for path in empty:
        write_dump(path, [comment(path.stem)])
    report = ingest_dumps(empty, tmp_path / "posts")
    assert (report.broken, report.posts) == ((), 3)


@pytest.mark.parametrize("name", ["none.zst", "table.csv"])
def test_one_bad_file_among_good_ones_stops_before_anything_is_written(
    tmp_path: Path, name: str
) -> None:
    good = write_dump(tmp_path / "good.json", [comment()])
    (tmp_path / "table.csv").write_text("id,text\n1,hello\n")
    before = tree(tmp_path)
    with pytest.raises(InputError, match=name):
        ingest_dumps([good, tmp_path / name], tmp_path / "posts")
    assert tree(tmp_path) == before
    assert not (tmp_path / "posts.about").exists()


def test_no_file_at_all(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="at least one"):
        ingest_dumps([], tmp_path / "posts")


def test_a_folder_of_someone_else_is_left_alone(tmp_path: Path) -> None:
    path = write_dump(tmp_path / "d.json", [comment()])
    out = tmp_path / "posts"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="is not empty"):
            ingest_dumps([path], out, IngestSettings(overwrite=overwrite))
    with pytest.raises(OutputError, match="is a file"):
        ingest_dumps([path], path)
    assert [p.name for p in tmp_path.iterdir() if p.is_dir()] == ["posts"]


def test_months_that_went_missing_are_named(tmp_path: Path) -> None:
    path = write_dump(tmp_path / "d.json", [comment()])
    out = tmp_path / "posts"
    ingest_dumps([path], out)
    (out / "month=2020-03" / "part-0.parquet").unlink()
    with pytest.raises(OutputError, match="2020-03"):
        ingest_dumps([path], out)
    ingest_dumps([path], out, IngestSettings(overwrite=True))
    assert posts(out).height == 1


def test_a_vanishing_month_may_hold_a_file_of_someone_else(tmp_path: Path) -> None:
    old = write_dump(tmp_path / "d.json", [comment(created_utc=MARCH - DAY)])
    new = write_dump(tmp_path / "e.json", [comment()])
    out = tmp_path / "posts"
    ingest_dumps([old], out)
    (out / "month=2020-02" / ".DS_Store").touch()
    ingest_dumps([new], out, IngestSettings(overwrite=True))
    assert ingest_dumps([new], out).files[0].skipped
    assert sorted(tree(out)) == ["month=2020-02/.DS_Store", "month=2020-03/part-0.parquet"]


@pytest.mark.parametrize(("begin", "end"), [(0, None), (200, None), (4, 304)])
def test_a_damaged_month_is_named(tmp_path: Path, begin: int, end: int | None) -> None:
    """Cut to nothing, cut short, or with its first rows overwritten."""
    out, key = tmp_path / "posts", make(tmp_path / "k")
    ingest_dumps([write_dump(tmp_path / "d.json", dirty(1))], out, IngestSettings(author_key=key))
    month = out / "month=2020-03" / "part-0.parquet"
    content = month.read_bytes()
    content = content[:begin] + (bytes(end - begin) + content[end:] if end else b"")
    month.write_bytes(content)
    more = write_dump(tmp_path / "e.json", dirty(2))
    with pytest.raises(InputError, match="is not readable as Parquet") as caught:
        ingest_dumps([more], out, IngestSettings(author_key=key))
    assert caught.value.where == month
    assert month.read_bytes() == content


def test_a_damaged_month_is_named_where_it_is_only_counted(tmp_path: Path) -> None:
    out = tmp_path / "posts"
    ingest_dumps([write_dump(tmp_path / "d.json", [comment(created_utc=MARCH - DAY)])], out)
    (out / "month=2020-02" / "part-0.parquet").write_bytes(b"PAR1")
    (tmp_path / "posts.about" / "coverage.parquet").unlink()
    with pytest.raises(InputError, match=r"month=2020-02/part-0\.parquet: is not readable"):
        ingest_dumps([write_dump(tmp_path / "e.json", [comment()])], out)


def test_a_folder_whose_name_is_a_pattern(tmp_path: Path) -> None:
    out = tmp_path / "posts[1]"
    for name in ("a", "b"):
        ingest_dumps([write_dump(tmp_path / name, [comment(name)])], out)
    assert coverage_of(out)["kept"].to_list() == [2]


def coverage_of(out: Path) -> pl.DataFrame:
    with Path(f"{out}.about/coverage.parquet").open("rb") as file:
        return pl.read_parquet(file)


def test_coverage_that_went_missing_is_made_anew(tmp_path: Path) -> None:
    out, table = tmp_path / "posts", tmp_path / "posts.about" / "coverage.parquet"
    posts_of_months = [comment("a", created_utc=MARCH - DAY), comment("b"), comment("b")]
    ingest_dumps([write_dump(tmp_path / "d.json", posts_of_months)], out)
    table.unlink()
    ingest_dumps([write_dump(tmp_path / "e.json", [comment("c")])], out)
    assert coverage(out).select("month", "kept", "dropped_duplicate").rows() == [
        ("2020-02", 1, 0),
        ("2020-03", 2, 1),
    ]
    check_coverage(out)


def test_the_author_key_is_not_put_among_the_posts(tmp_path: Path) -> None:
    path = write_dump(tmp_path / "d.json", [comment()])
    out = tmp_path / "posts"
    (tmp_path / "link").symlink_to(out)
    for key in (out / "k.key", tmp_path / "link" / "keys" / "k.key"):
        with pytest.raises(SettingsError, match="outside --out"):
            ingest_dumps([path], out, IngestSettings(author_key=key))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d.json", "link"]


def test_two_runs_at_once_into_one_folder_are_refused(tmp_path: Path) -> None:
    path = write_dump(tmp_path / "d.json", [comment()])
    out = tmp_path / "posts"
    refused: list[str] = []

    class Second(Silent):
        def start(self, task: str, total: float | None, unit: str, done: float = 0.0) -> None:
            with pytest.raises(OutputError, match="another run") as caught:
                ingest_dumps([path], out)
            refused.append(str(caught.value))

    ingest_dumps([path], out, progress=Second())
    assert refused


def test_nothing_kept_is_an_empty_folder_that_can_grow(tmp_path: Path) -> None:
    path = write_dump(tmp_path / "d.json", [comment(body="[removed]")])
    out = tmp_path / "posts"
    report = ingest_dumps([path], out)
    assert (report.posts, report.dropped, list(out.iterdir())) == (0, {"removed": 1}, [])
    assert coverage(out)["dropped_removed"].to_list() == [1]
    ingest_dumps([write_dump(tmp_path / "e.json", [comment()])], out)
    assert posts(out).height == 1
    check_coverage(out)


@pytest.mark.parametrize("with_text", [False, True])
def test_bad_lines_are_named_for_their_owner_alone(tmp_path: Path, with_text: bool) -> None:
    path = write_dump(
        tmp_path / "d.json", [comment(), b"", b'{"body": "my secret', comment(created_utc=None)]
    )
    ingest_dumps([path], tmp_path / "posts", IngestSettings(quarantine_text=with_text))
    quarantine = tmp_path / "posts.about" / "quarantine.jsonl"
    assert stat.S_IMODE(quarantine.stat().st_mode) == 0o600
    entries = [json.loads(line) for line in quarantine.read_text().splitlines()]
    assert [(e["file"], e["line"], e["reason"]) for e in entries] == [
        (str(path), 3, "bad_json"),
        (str(path), 4, "bad_date"),
    ]
    assert ("secret" in quarantine.read_text()) is with_text
    assert all(("text" in entry) is with_text for entry in entries)


@pytest.mark.parametrize("with_text", [False, True])
def test_an_interrupted_run_with_the_other_choice_of_quarantine_text_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_text: bool
) -> None:
    path = write_dump(tmp_path / "d.json", [comment(), b'{"body": "my secret'])
    with monkeypatch.context() as patch:
        patch.setattr("corpus_lonely.ingest.addition.Addition", None)  # ends after the staging
        with pytest.raises(TypeError):
            ingest_dumps([path], tmp_path / "posts", IngestSettings(quarantine_text=not with_text))
    ingest_dumps([path], tmp_path / "posts", IngestSettings(quarantine_text=with_text))
    quarantine = (tmp_path / "posts.about" / "quarantine.jsonl").read_text()
    assert ("secret" in quarantine) is with_text


def test_a_full_disk_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [write_dump(tmp_path / f"{n}.json", dirty(n)) for n in range(2)]
    out, key = tmp_path / "posts", make(tmp_path / "k")
    ingest_dumps(paths[:1], out, IngestSettings(author_key=key))
    before = tree(out)
    writers = [(pq, "write_table"), (pq.ParquetWriter, "write_table")]
    for owner, name in writers:
        with monkeypatch.context() as patch:

            def full(*_: object, **__: object) -> None:
                raise OSError(28, "No space left on device")

            patch.setattr(owner, name, full)
            with pytest.raises(OutputError, match="no space left"):
                ingest_dumps(paths, out, IngestSettings(author_key=key))
        assert tree(out) == before
        assert not (tmp_path / "posts.about" / "next").exists()
    ingest_dumps(paths, out, IngestSettings(author_key=key))
    ingest_dumps(paths, tmp_path / "undisturbed", IngestSettings(author_key=key))
    assert tree(out) == tree(tmp_path / "undisturbed")


def test_reports_that_do_not_add_up_are_never_made() -> None:
    with pytest.raises(AssertionError, match="is not kept"):
        FileReport("d", 1, "f", read=3, kept=1, dropped={"bot": 1})


def test_the_report_as_json_adds_up(tmp_path: Path) -> None:
    paths = [write_dump(tmp_path / f"{n}.json", dirty(n)) for n in range(2)]
    report: IngestReport = ingest_dumps(paths, tmp_path / "posts")
    content = json.loads(json.dumps(report.as_json()))
    totals = content["totals"]
    assert totals["read"] == totals["kept"] + sum(totals["dropped"].values())
    assert [file["read"] for file in content["files"]] == [file.read for file in report.files]


def test_a_deletion_told_beside_the_text_takes_older_copies_away(tmp_path: Path) -> None:
    """However it is known: by the text, or by what the dump's maker noted."""
    out, text = tmp_path / "posts", [submission("a"), submission("b"), submission("c")]
    later = [
        submission("a", selftext="[deleted]", retrieved_on=MARCH + 99),
        submission("b", _meta={"was_deleted_later": True}, retrieved_on=MARCH + 99),
        submission("d", _meta={"was_deleted_later": True}),
    ]
    ingest_dumps([write_dump(tmp_path / "0.gz", text)], out)
    report = ingest_dumps([write_dump(tmp_path / "1.gz", later)], out)
    assert report.files[0].dropped == {"deleted": 3}
    assert posts(out)["post_id"].to_list() == ["t3_c"]
    check_coverage(out)


@pytest.mark.parametrize(
    ("asked", "megabytes", "filtered", "plan"),
    [
        (1, [900], False, (0, 1)),
        (3, [900], False, (3, 1)),
        (6, [9, 9], True, (6, 2)),
        (None, [9], False, (0, 1)),
        (None, [900], False, (4, 1)),
        (None, [900], True, (2, 1)),
        (None, [900, 900, 900], False, (4, 2)),
    ],
)
def test_processes_for_what_there_is_to_do(
    monkeypatch: pytest.MonkeyPatch,
    asked: int | None,
    megabytes: list[int],
    filtered: bool,
    plan: tuple[int, int],
) -> None:
    """On four cores: (processes that read, files at a time)."""
    monkeypatch.setattr(reading, "_cores", lambda: 4)
    dumps = [Dump(Path(str(n)), size << 20, "f") for n, size in enumerate(megabytes)]
    names = frozenset({"lonely"}) if filtered else frozenset[str]()
    assert reading._plan(asked, dumps, IngestSettings(subreddits=names)) == plan


def test_a_process_of_our_own_does_not_import_pandas() -> None:
    code = (
        "import sys; import pyarrow as pa; from corpus_lonely.ingest.pool import spare_pandas\n"
        "spare_pandas(); pa.array(['a'])\n"
        "print('pandas' in sys.modules, pa.array([1]).to_pandas().tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False [1]\n"


def test_nothing_of_a_broken_file_stays_when_it_is_read_whole(tmp_path: Path) -> None:
    path, out = tmp_path / "d.zst", tmp_path / "posts"
    other = write_dump(tmp_path / "other.zst", [comment("zz", body="of another file")])
    # what damage made of two lines: another month, and ids and a text that never were
    altered = [
        comment("a0", created_utc=MARCH - 20 * DAY),
        comment("b0", body="altered"),
        comment("c", body="altered too"),
    ]
    whole = [comment("a"), comment("b", body="as it was"), comment("c", body="as it was, too")]
    path.write_bytes(PACKERS["zst"](ndjson(altered)) + PACKERS["zst"](ndjson(whole))[:-5])
    assert ingest_dumps([path, other], out).broken
    assert {"t1_a0", "t1_b0"} <= set(posts(out)["post_id"])

    report = ingest_dumps([write_dump(path, whole)], out)
    assert not report.broken
    found = posts(out).sort("post_id")
    assert found["post_id"].to_list() == ["t1_a", "t1_b", "t1_c", "t1_zz"]
    assert found["text"].to_list()[1:3] == ["as it was", "as it was, too"]
    assert report.months == ("2020-03",)
    assert [file["kept"] for file in record(out)["files"]] == [0, 1, 3]
    check_coverage(out)


def test_a_broken_file_is_not_replaced_by_one_that_breaks_off_too(tmp_path: Path) -> None:
    path, out = tmp_path / "d.zst", tmp_path / "posts"
    first, second = (PACKERS["zst"](ndjson([comment(name)])) for name in "ab")
    path.write_bytes(first + second[:-5])
    ingest_dumps([path], out)
    path.write_bytes(second + first[:-5])
    assert ingest_dumps([path], out).broken
    assert set(posts(out)["post_id"]) >= {"t1_a", "t1_b"}


@pytest.mark.parametrize("tail", [b'{"id": "x", "bo', b"\0" * 500, b"\xff\xfe"])
@pytest.mark.parametrize("subreddit", [None, "lonely"])
def test_a_plain_file_that_ends_within_a_line_is_broken(
    tmp_path: Path, tail: bytes, subreddit: str | None
) -> None:
    path = tmp_path / "d.ndjson"
    path.write_bytes(ndjson([comment()]) + tail)
    settings = IngestSettings(subreddits=frozenset([subreddit] if subreddit else []))
    (file,) = ingest_dumps([path], tmp_path / "posts", settings).files
    assert file.broken == f"ends at byte {path.stat().st_size:,} within a line"
    assert (file.read, file.kept) == (2, 1)


@pytest.mark.parametrize("tail", [b"", b"  \r", b'{"a": 1}', b"{broken}\n"])
def test_a_plain_file_that_ends_after_a_line_is_whole(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "d.ndjson"
    path.write_bytes(ndjson([comment()]) + tail)
    assert not ingest_dumps([path], tmp_path / "posts").broken


@pytest.mark.parametrize("damage", [b'{"format": 1}', b'{"format": 1, "settings": 3}'])
def test_a_damaged_record_is_one_line(tmp_path: Path, damage: bytes) -> None:
    path, out = write_dump(tmp_path / "d.zst", [comment()]), tmp_path / "posts"
    ingest_dumps([path], out)
    (tmp_path / "posts.about" / "ingest.json").write_bytes(damage)
    with pytest.raises(InputError, match=r"ingest\.json: is damaged"):
        ingest_dumps([write_dump(tmp_path / "e.zst", [comment("x")])], out)


@pytest.mark.parametrize("name", [b"created_at", b"post_id"])
def test_a_month_that_lost_a_column_is_one_line(tmp_path: Path, name: bytes) -> None:
    path, out = write_dump(tmp_path / "d.zst", [comment()]), tmp_path / "posts"
    ingest_dumps([path], out)
    (month,) = out.rglob("*.parquet")
    month.write_bytes(month.read_bytes().replace(name, b"\xff" * len(name)))
    with pytest.raises(InputError, match=f"{month}: is not readable as Parquet"):
        ingest_dumps([write_dump(tmp_path / "e.zst", [comment("x")])], out)
