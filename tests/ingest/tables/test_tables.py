"""Whatever a researcher has becomes the folder that a dump of the same posts would."""

import csv
import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus_lonely.cli.main import main
from corpus_lonely.errors import InputError, SettingsError
from corpus_lonely.ingest.authors import make_key
from corpus_lonely.ingest.describe.inspect import inspect_posts
from corpus_lonely.ingest.purge import purge_posts
from corpus_lonely.ingest.run import ingest_dumps
from corpus_lonely.ingest.settings import IngestSettings
from corpus_lonely.ingest.tables.columns import Columns, assignments
from corpus_lonely.ingest.tables.layout import Layout
from corpus_lonely.ingest.tables.run import ingest_convokit, ingest_tables
from corpus_lonely.ingest.tables.times import TimeReader
from tests.ingest.lines import DAY, MARCH, comment, submission, write_dump
from tests.ingest.test_run import check_coverage, posts, record

NAMES = {
    "post_id": "id", "created_at": "when", "text": "said", "author": "who", "link_id": "under",
    "parent_id": "answers",
}  # fmt: skip
ROWS: list[dict[str, Any]] = [
    {"id": "a", "when": MARCH, "said": "two\nlines &amp; more", "title": "T, 1", "who": "Ann", "score": 3, "over_18": True},
    {"id": "b", "when": MARCH + DAY, "said": 'with "quotes" and ünï', "title": "T 2", "who": "[deleted]", "score": -1, "over_18": False},
    {"id": "c", "when": MARCH + 40 * DAY, "said": "[removed]", "title": "T 3", "who": "Ben", "score": 1, "over_18": False},
    {"id": "d", "when": MARCH + 2, "said": "an answer", "who": "Ben", "score": 1, "under": "t3_a", "answers": "t3_a"},
    {"id": "a", "when": MARCH, "said": "two\nlines &amp; more", "title": "T, 1", "who": "Ann", "score": 3, "over_18": True},
    {"id": "e", "when": MARCH, "said": "I am a bot", "title": "T 4", "who": "AutoModerator", "score": 1, "over_18": False},
    {"id": "f", "when": None, "said": "no time", "title": "T 5", "who": "Ann", "score": 1, "over_18": False},
]  # fmt: skip
KEYS = ["id", "when", "said", "title", "who", "score", "over_18", "under", "answers", "subreddit"]


def filled() -> list[dict[str, Any]]:
    return [{**dict.fromkeys(KEYS), **row, "subreddit": "lonely"} for row in ROWS]


def as_csv(path: Path) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, KEYS, delimiter="\t" if path.suffix == ".tsv" else ",")
        writer.writeheader()
        writer.writerows(filled())
    return path


def as_jsonl(path: Path) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in filled()))
    return path


def as_packed_csv(path: Path) -> Path:
    path.write_bytes(gzip.compress(as_csv(path.with_name("plain.csv")).read_bytes()))
    return path


def as_parquet(path: Path) -> Path:
    rows = [
        {**row, "when": row["when"] and datetime.fromtimestamp(row["when"], UTC)}
        for row in filled()
    ]
    table = pa.Table.from_pylist(rows)
    when = table.column("when").cast(pa.timestamp("ns", "America/New_York"))
    place = table.schema.get_field_index("when")
    pq.write_table(table.set_column(place, "when", when), path, row_group_size=3)
    return path


WAYS: dict[str, Callable[[Path], Path]] = {
    "p.csv": as_csv, "p.tsv": as_csv, "p.jsonl": as_jsonl, "p.parquet": as_parquet, "p.csv.gz": as_packed_csv,
}  # fmt: skip


@pytest.mark.parametrize("name", WAYS)
def test_a_table_is_as_a_dump_of_the_same_posts(tmp_path: Path, name: str) -> None:
    make_key(tmp_path / "key")
    kept = IngestSettings(author_key=tmp_path / "key")
    path = WAYS[name](tmp_path / name)
    report = ingest_tables([path], tmp_path / "posts", Columns(NAMES), settings=kept)
    raw = [
        {
            "id": row["id"], "created_utc": row["when"], "author": row["who"], "subreddit": "lonely", "score": row["score"],
            **({"body": row["said"], "link_id": "t3_a", "parent_id": "t3_a"} if "under" in row
               else {"title": row["title"], "selftext": row["said"], "over_18": row["over_18"]}),
        }
        for row in ROWS
    ]  # fmt: skip
    expected = ingest_dumps([write_dump(tmp_path / "d.gz", raw)], tmp_path / "dumped", kept)
    assert posts(tmp_path / "posts").equals(posts(tmp_path / "dumped"))
    assert (report.read, report.kept, report.dropped) == (7, 3, expected.dropped)
    assert report.files[0].name == str(path)
    check_coverage(tmp_path / "posts")
    assert inspect_posts(tmp_path / "posts").bad == {}
    assert not (tmp_path / "posts.about" / "tables").exists()
    again = ingest_tables([path], tmp_path / "posts", Columns(NAMES), settings=kept)
    assert (again.files[0].skipped, again.posts) == (True, 3)


def test_bad_rows_are_named_by_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text(
        'post_id,created_at,text,subreddit\n1,2020-03-01T00:00:00Z,"a\n\nb",x\n2,never,c,x\n\nshort\n4,1583020800,d,x\n'
    )
    report = ingest_tables([path], tmp_path / "posts", Columns())
    assert (report.read, report.kept, report.dropped) == (4, 2, {"bad_json": 1, "bad_date": 1})
    lines = (tmp_path / "posts.about" / "quarantine.jsonl").read_text().splitlines()
    told = [json.loads(line) for line in lines]
    assert [(entry["file"], entry["line"], entry["reason"]) for entry in told] == [
        (str(path), 5, "bad_date"),
        (str(path), 7, "bad_json"),
    ]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12),
            st.booleans(),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_any_text_survives_csv(
    tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[str, bool]]
) -> None:
    """Line breaks, quotes and commas within a field move no later row; Python's reader is the judge."""
    from corpus_lonely.ingest.tables.reading import read_table  # noqa: PLC0415

    path = tmp_path_factory.mktemp("csv") / "p.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows(
            [("a", "b"), *((text.replace("\r", " "), str(flag)) for text, flag in texts)]
        )
    with path.open(newline="", encoding="utf-8") as file:
        expected = [row for row in csv.reader(file) if row][1:]
    rows = [row for _, row in read_table(path, lambda _: {"x": "a", "y": "b"})]
    assert [[row["x"], row["y"]] for row in rows if isinstance(row, dict)] == expected
    lines = [line for line, _ in read_table(path, lambda _: {"x": "a", "y": "b"})]
    assert lines == sorted(set(lines))


def test_ids_are_made_where_there_are_none(tmp_path: Path) -> None:
    rows = [
        {"created_at": MARCH + n // 2, "text": f"text {n // 2}", "author": "A", "kind": "comment"}
        for n in range(6)
    ]
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = Columns(fill={"subreddit": "forum"})
    report = ingest_tables([path], tmp_path / "posts", columns)
    assert (report.kept, report.dropped) == (3, {"duplicate": 3})
    found = posts(tmp_path / "posts")
    assert set(found["kind"]) == {"comment"}
    assert found["post_id"].str.contains(r"^t1_x[0-9a-f]{20}$").all()
    other = path.with_name("q.jsonl")
    other.write_text("".join(json.dumps({**row, "author": "B"}) + "\n" for row in rows))
    ingest_tables([other], tmp_path / "others", columns)
    assert set(posts(tmp_path / "others")["post_id"]) == set(found["post_id"])  # no author in them


@pytest.mark.parametrize("hashed", [True, False])
def test_bare_ids_of_what_is_answered_meet_those_of_posts(tmp_path: Path, hashed: bool) -> None:
    path = tmp_path / "p.csv"
    path.write_text(
        "post_id,created_at,text,subreddit,kind,link_id,parent_id\n"
        "a_B,1583020800,one,x,post,,\na_b,1583020800,two,x,post,,\n"
        "c_1,1583020801,three,x,comment,a_B,a_B\nc_2,1583020802,four,x,comment,t3_a_B,c_1\n"
    )
    ingest_tables([path], tmp_path / "posts", Columns(), settings=IngestSettings(hash_ids=hashed))
    found = {row["text"]: row for row in posts(tmp_path / "posts").iter_rows(named=True)}
    assert len(found) == 4  # letters of another case are another post
    one, three, four = (found[text] for text in ("one", "three", "four"))
    assert (one["post_id"][:3], three["post_id"][:3]) == ("t3_", "t1_")
    assert three["link_id"] == three["parent_id"] == four["link_id"] == one["post_id"]
    assert four["parent_id"] == three["post_id"]


def test_columns_that_lie_deeper(tmp_path: Path) -> None:
    path = tmp_path / "p.ndjson"
    row = {"a": {"b": {"c": "deep"}}, "a.t": MARCH, "n": {"score": 4}, "subreddit": "x"}
    path.write_text(json.dumps(row))
    names = assignments(["text=a.b.c,created_at=a.t", "score=n.score"], "--map")
    ingest_tables([path], tmp_path / "posts", Columns(names))
    assert posts(tmp_path / "posts").select("text", "score").row(0) == ("deep", 4)


def test_a_column_that_comes_late_in_json_lines(tmp_path: Path) -> None:
    """What a comment answers and who removed a post are told by later lines alone."""
    first = [
        {"post_id": f"p{n}", "created_at": MARCH, "text": f"text {n}", "subreddit": "x"}
        for n in range(150)
    ]
    late = [
        {**first[0], "post_id": "late", "text": "an answer", "parent_id": "t3_p1"},
        {**first[0], "post_id": "gone", "removed": "deleted"},
    ]
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in first + late))
    report = ingest_tables([path], tmp_path / "posts", Columns())
    assert (report.kept, report.dropped) == (151, {"deleted": 1})
    assert {"t1_late", "t3_p0"} <= set(posts(tmp_path / "posts")["post_id"])


def test_whether_a_post_was_removed_or_crossposted(tmp_path: Path) -> None:
    """Truth values as pandas and R write them, beside what Reddit has in these columns."""
    told = {
        "False,False": (None, None), "0,0": (None, None), ",": (None, None), "moderator,t3_a": ("moderator", "t3_a"),
        "TRUE,TRUE": ("removed", None), "1.0,1.0": ("removed", None), "reddit,abc": ("reddit", "t3_abc"),
    }  # fmt: skip
    path = tmp_path / "p.csv"
    rows = [f"p{n},1583020800,text {n},x,{values}\n" for n, values in enumerate(told)]
    path.write_text("post_id,created_at,text,subreddit,removed,crosspost\n" + "".join(rows))
    ingest_tables([path], tmp_path / "posts", Columns())
    found = posts(tmp_path / "posts").sort("post_id").select("removed", "crosspost")
    assert found.rows() == list(told.values())


def test_flairs_and_edits(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text(
        "post_id,created_at,text,subreddit,flair,author_flair,edited,edited_at\n"
        f"a,{MARCH},one,x,Advice,he,True,\nb,{MARCH},two,x,,,False,\nc,{MARCH},three,x,,,{MARCH + 5},\n"
        f"d,{MARCH},four,x,,,False,{MARCH + 5}\ne,{MARCH},five,x,,,,\n"
    )
    ingest_tables([path], tmp_path / "posts", Columns())
    found = posts(tmp_path / "posts").sort("post_id")
    when = found["edited_at"].dt.epoch("s").to_list()
    assert found["flair"].to_list() == ["Advice", None, None, None, None]
    assert found["author_flair"].to_list() == ["he", None, None, None, None]
    assert found["edited"].to_list() == [True, False, True, True, None]
    assert when == [None, None, MARCH + 5, MARCH + 5, None]


def test_posts_of_ours_come_back_as_they_were(tmp_path: Path) -> None:
    kept = IngestSettings(keep_authors=True)
    dump = [
        submission("a", title="A  title &amp; more", selftext="a body"),
        submission("b", title="A link"),
        comment("c", body="A title of no use"),
    ]
    ingest_dumps([write_dump(tmp_path / "d.gz", dump)], tmp_path / "posts", kept)
    month = tmp_path / "posts" / "month=2020-03" / "part-0.parquet"
    ingest_tables([month], tmp_path / "again", Columns(), settings=kept)
    assert posts(tmp_path / "again").equals(posts(tmp_path / "posts"))


@pytest.mark.parametrize(
    ("title", "text", "joined"),
    [
        ("Help", "Help\n\nme please", "Help me please"),
        (" Help me ", "  Help me please", "Help me please"),
        ("Help", "Helpless people", "Help Helpless people"),
        ("Help me", "Help is near", "Help me Help is near"),
        ("Help", "Help", "Help"),
        ("", "Help", "Help"),
        ("Help", "", "Help"),
        ("Help", "me. Help", "Help me. Help"),
    ],
)
def test_a_title_stands_once(tmp_path: Path, title: str, text: str, joined: str) -> None:
    path = tmp_path / "p.jsonl"
    row = {"created_at": MARCH, "title": title, "text": text, "subreddit": "x"}
    path.write_text(json.dumps(row))
    ingest_tables([path], tmp_path / "posts", Columns())
    assert posts(tmp_path / "posts")["text"].to_list() == [joined]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_deeper_columns_are_for_json_lines_alone(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"p.{suffix}"
    if suffix == "csv":
        path.write_text("created_at,subreddit,data\n1583020800,x,y\n")
    else:
        row = {"created_at": MARCH, "subreddit": "x", "data": {"body": "y"}}
        pq.write_table(pa.Table.from_pylist([row]), path)
    with pytest.raises(
        InputError, match=r"has no column 'data\.body' for text: only in JSON lines"
    ):
        ingest_tables([path], tmp_path / "posts", Columns({"text": "data.body"}))


@pytest.mark.parametrize(
    ("content", "columns", "told"),
    [
        ("id,text\n1,a\n", Columns(), "has no column 'created_at'"),
        (
            "created_at,text\n1583020800,a\n",
            Columns(),
            "has no column 'subreddit'.*--fill subreddit=NAME",
        ),
        ("created_at,subreddit\n1583020800,a\n", Columns(), "has no column 'text or title'"),
        (
            "created_at,text,subreddit\n2020-03-01 12:00,a,x\n",
            Columns(),
            "line 2 has a time that does not tell its zone",
        ),
        (
            "created_at,text,subreddit\nnever,a,x\n",
            Columns(),
            "no time of 2005 to 2099 can be read",
        ),
        (
            "created_at,text,subreddit\n1583020800000,a,x\n",
            Columns(),
            "no time of 2005 to 2099 can be read.*--time-unit",
        ),
        ("created_at,text,subreddit\n1583020800,a,\n", Columns(), "no subreddit is told"),
        ("a,a\n1,2\n", Columns(), "columns 1 and 2 have the same name"),
        ("", Columns(), "no row|empty"),
        (
            "27,My made-up post\n1,b\n",
            Columns(),
            "its columns are not told, for they do not look like names",
        ),
        (
            'created_at,text,subreddit\n1,a,x\n1583020800,"a,x\n1583020800,b,x\n',
            Columns(),
            "line 3 begins a row that is no CSV .*those in it doubled",
        ),
        ("created_at,text\r1583020800,a\r", Columns(), "line 1 begins a row that is no CSV"),
        ("a,b\n", Columns({"text": "c"}), "has no column 'c' for text; its columns are a, b"),
    ],
)
def test_what_is_no_table_of_posts_is_refused(
    tmp_path: Path, content: str, columns: Columns, told: str
) -> None:
    path = tmp_path / "p.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=told) as caught:
        ingest_tables([path], tmp_path / "posts", columns)
    assert "made-up" not in str(caught.value)
    assert not (tmp_path / "posts").exists()
    assert not (tmp_path / "posts.about" / "tables").exists()


def test_settings_are_refused(tmp_path: Path) -> None:
    for make in (
        lambda: Columns({"body": "x"}),
        lambda: Columns({"text": "x"}, {"text": "y"}),
        lambda: assignments(["text"], "--map"),
        lambda: assignments(["text=a,text=b"], "--map"),
        lambda: Layout(";;"),
        lambda: Layout(encoding="nonsense"),
        lambda: Layout(encoding="utf-16"),
        lambda: Layout(encoding="base64"),
        lambda: Layout(encoding="a\0b"),
        lambda: ingest_tables([], tmp_path / "o", Columns()),
    ):
        with pytest.raises(SettingsError):
            make()
    with pytest.raises(InputError, match="is no table by its name"):
        ingest_tables([tmp_path / "p.xlsx"], tmp_path / "o", Columns())
    with pytest.raises(InputError, match="does not exist"):
        ingest_tables([tmp_path / "p.csv"], tmp_path / "o", Columns())


def test_local_times_become_utc_by_the_command(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("id;ts;body\n7;01.03.2020 01:00;hello there\n")
    arguments = [
        "--map",
        "text=body,created_at=ts,post_id=id",
        "--fill",
        "subreddit=lonely",
        "--delimiter",
        ";",
    ]
    times = ["--timezone", "Europe/Berlin", "--time-format", "%d.%m.%Y %H:%M"]
    command = ["ingest", "table", str(path), *arguments, *times, "--out", str(tmp_path / "posts")]
    ran = CliRunner().invoke(main, command)
    assert ran.exit_code == 0, ran.output
    assert "read 1 = kept 1 + dropped 0" in ran.stdout
    row = posts(tmp_path / "posts").row(0, named=True)
    assert (row["post_id"], row["created_at"]) == ("t3_7", datetime(2020, 3, 1, tzinfo=UTC))


def test_what_a_killed_run_left_is_cleared(tmp_path: Path) -> None:
    left = tmp_path / "posts.about" / "tables" / "9.jsonl"
    left.parent.mkdir(parents=True)
    left.write_text("text of a post")
    ingest_tables([as_csv(tmp_path / "p.csv")], tmp_path / "posts", Columns(NAMES), TimeReader())
    assert not left.exists()
    for command in (
        lambda: purge_posts(tmp_path / "posts", ["t3_a"]),
        lambda: ingest_dumps([write_dump(tmp_path / "d.gz", [submission()])], tmp_path / "posts"),
    ):
        left.parent.mkdir(exist_ok=True)
        left.write_text("text of a post")
        command()
        assert not left.exists()


def corpus(folder: Path, *, old: bool) -> Path:
    """A made-up corpus of one thread, in the keys of now or of old."""
    folder.mkdir()
    speaker, whole, reply = (
        ("user", "root", "reply-to") if old else ("speaker", "conversation_id", "reply_to")
    )
    meta = {
        "score": 5,
        "subreddit": "lonely",
        "retrieved_on": MARCH + DAY,
        "permalink": "/r/x",
        "stickied": False,
    }
    lines = [
        {"id": "s1", speaker: "Ann", whole: "s1", reply: None, "timestamp": MARCH, "text": "a body", "meta": meta},
        {"id": "c1", speaker: "Ben", whole: "s1", reply: "s1", "timestamp": str(MARCH + 1), "text": "an answer", "meta": meta},
        {"id": "c2", speaker: "[deleted]", whole: "s1", reply: "c1", "timestamp": MARCH + 2, "text": "[deleted]", "meta": meta},
        {"id": "c3", speaker: "Ann", whole: "s1", reply: "c1", "timestamp": MARCH + 3, "text": "more", "meta": meta},
    ]  # fmt: skip
    about = {"title": "A title", "num_comments": 3, "subreddit": "lonely"}
    (folder / "utterances.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines) + "{bad\n"
    )
    told = {"s1": about} if old else {"s1": {"meta": about, "vectors": []}}
    (folder / "conversations.json").write_text(json.dumps(told))
    return folder


@pytest.mark.parametrize("old", [True, False])
def test_convokit_is_as_a_dump_of_the_same_posts(tmp_path: Path, old: bool) -> None:
    make_key(tmp_path / "key")
    kept = IngestSettings(author_key=tmp_path / "key")
    path = corpus(tmp_path / "corpus", old=old)
    report = ingest_convokit([path], tmp_path / "posts", kept)
    shared = {"score": 5, "retrieved_on": MARCH + DAY, "edited": None}
    raw = [
        submission("s1", author="Ann", title="A title", selftext="a body", num_comments=3, over_18=None, **shared),
        comment("c1", author="Ben", body="an answer", link_id="t3_s1", parent_id="t3_s1", created_utc=MARCH + 1, **shared),
        comment("c2", author="[deleted]", body="[deleted]", link_id="t3_s1", parent_id="t1_c1", created_utc=MARCH + 2, **shared),
        comment("c3", author="Ann", body="more", link_id="t3_s1", parent_id="t1_c1", created_utc=MARCH + 3, **shared),
    ]  # fmt: skip
    ingest_dumps([write_dump(tmp_path / "d.gz", raw)], tmp_path / "dumped", kept)
    assert posts(tmp_path / "posts").equals(posts(tmp_path / "dumped"))
    assert (report.read, report.dropped) == (5, {"bad_json": 1, "deleted": 1})
    told = (tmp_path / "posts.about" / "quarantine.jsonl").read_text()
    assert json.loads(told)["line"] == 5


def test_a_corpus_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ran = CliRunner().invoke(
        main, ["ingest", "convokit", str(tmp_path / "empty"), "--out", str(tmp_path / "posts")]
    )
    assert ran.exit_code == 1
    assert "holds no utterances.jsonl" in ran.output


def test_a_download_of_arctic_shift_goes_through_the_door_of_dumps(tmp_path: Path) -> None:
    """Plain lines, newest fields, what was deleted or removed later told beside the text."""
    extra = {
        "_meta": {"retrieved_2nd_on": MARCH + 2 * DAY, "is_edited": True},
        "author_fullname": "t2_x",
        "all_awardings": [],
    }
    lines = [
        submission("a", created_utc=float(MARCH), retrieved_on=MARCH + 60, **extra),
        submission(
            "b",
            retrieved_on=MARCH + 60,
            _meta={"removal_type": "moderator", "was_deleted_later": True},
        ),
        submission(
            "c",
            retrieved_on=MARCH + 60,
            _meta={"removal_type": "deleted", "was_deleted_later": True},
        ),
        comment("d", retrieved_on=MARCH + 60, author_flair_text=None, subreddit_id="t5_x", **extra),
    ]
    path = write_dump(tmp_path / "r_lonely_posts.jsonl", lines)
    report = ingest_dumps([path], tmp_path / "posts")
    assert (report.kept, report.dropped) == (3, {"deleted": 1})
    found = posts(tmp_path / "posts").sort("post_id")
    assert found["post_id"].to_list() == ["t1_d", "t3_a", "t3_b"]
    assert found["removed"].to_list() == [None, None, "moderator"]
    assert found["edited"].to_list() == [True, True, False]
    assert found["retrieved_at"].dt.epoch("s").to_list() == [
        MARCH + 2 * DAY,
        MARCH + 2 * DAY,
        MARCH + 60,
    ]
    assert len(record(tmp_path / "posts")["files"]) == 1
