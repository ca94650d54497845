"""A folder of scores tells what it is, and what is wrong with it."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from corpus_lonely import tables
from corpus_lonely.cli.main import main
from corpus_lonely.errors import InputError
from corpus_lonely.files import files_sha256, read_json, write_json
from corpus_lonely.inference.folder import model_facts
from corpus_lonely.scoring.describe import inspect_scores
from corpus_lonely.scoring.job import ScoreSettings, score_posts
from corpus_lonely.scoring.parts import Counts
from corpus_lonely.scoring.plan import Run
from corpus_lonely.scoring.verify import Verification, VerifySettings, verify_scores
from corpus_lonely.storage import Place, place
from corpus_lonely.taxonomy import loneliness
from tests.scoring.conftest import make_posts
from tests.scoring.test_job import HERE, run

PARTS = 10
DIFFERENT = "part-000003.parquet"


@pytest.fixture(scope="module")
def made(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scores of 1,000 posts in ten parts, and the posts."""
    home = tmp_path_factory.mktemp("made")
    pq.write_table(make_posts(1000), home / "posts.parquet", row_group_size=300)
    run(home / "posts.parquet", model, home / "scores", shard_rows=100)
    return home


@pytest.fixture
def scores(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    for name in ("scores", "scores.about"):
        shutil.copytree(made / name, tmp_path / name)
    return tmp_path / "scores"


def rewrite(
    part: Path,
    values: Callable[[pl.DataFrame], pl.DataFrame] = lambda frame: frame,
    **facts: Any,
) -> None:
    """Another content or other facts under a seal that holds: what a bug could write."""
    told = tables.footer(part) | facts
    table = pq.read_table(part)
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    changed = values(frame).to_arrow().cast(table.schema)
    part.write_bytes(tables.sealed_bytes(changed.cast(tables.with_footer(table.schema, told))))


def bad(scores: Path, check: bool = True) -> dict[str, str]:
    return inspect_scores(scores, check).description.bad


def describe(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["describe", *map(str, arguments)])


def test_what_a_whole_folder_tells(scores: Path, made: Path, model: Path) -> None:
    description = inspect_scores(scores).description
    rows = pl.read_parquet(scores)
    assert description.counts == Counts(
        rows=1000,
        ok=int(rows["lonely"].is_not_null().sum()),
        empty=20,
        error=0,
        truncated=int(rows["truncated"].sum()),
        tokens=int(rows["num_tokens"].sum()),
    )
    names = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    assert sorted(path.name for path in model.iterdir()) == names
    assert description.run.model == files_sha256(
        [model / name for name in (*names[:2], names[2], names[3])]
    )
    assert description.run.tokenizer == files_sha256([model / name for name in names[2:]])
    assert description.run.precision == "fp32"
    assert description.taxonomy == loneliness()
    assert description.devices == ["cpu"]
    assert set(description.versions) == {"corpus-lonely", "torch", "transformers", "tokenizers"}
    assert all(len(numbers) == 1 for numbers in description.versions.values())
    assert (description.input, description.model) == (str(made / "posts.parquet"), str(model))
    assert (description.parts, description.good, description.rows) == (PARTS, PARTS, 1000)
    assert description.complete
    assert description.bad == description.set_aside == {}
    assert description.missing == description.others == []


@pytest.mark.parametrize("check", [True, False])
def test_parts_tell_enough_when_the_description_is_lost(scores: Path, check: bool) -> None:
    told = inspect_scores(scores).description
    shutil.rmtree(scores.with_name("scores.about"))
    alone = inspect_scores(scores, check).description
    assert alone == replace(told, input=None, model=None, rows=None, checked=check)


def test_what_is_missing_and_what_was_set_aside_is_named(scores: Path) -> None:
    for index in (2, 5, 9):
        (scores / f"part-{index:06d}.parquet").unlink()
    content = read_json(scores.with_name("scores.about") / "scores.json")
    reason = "its worker died 3 times"
    aside = {"part-000005.parquet": reason, "part-000006.parquet": "done since"}
    write_json(
        scores.with_name("scores.about") / "scores.json",
        {**content, "totals": None, "set_aside": aside},
    )
    description = inspect_scores(scores).description
    assert description.missing == [f"part-{index:06d}.parquet" for index in (2, 5, 9)]
    assert description.set_aside == {"part-000005.parquet": reason}
    assert not description.complete
    assert description.counts.rows == 700
    result = describe(scores)
    assert result.exit_code == 0
    assert f"Set aside: part-000005.parquet: {reason}\nMissing: part-000002" in result.stdout
    assert "7 of 10 good" in result.stdout
    assert "Next: the same `corpus-lonely score` command again" in result.stdout


def test_what_a_killed_run_set_aside_is_named(scores: Path) -> None:
    (scores / "part-000003.parquet").unlink()
    about = scores.with_name("scores.about")
    for index in (3, 4):  # the last is done since
        name = f"part-{index:06d}.parquet.set-aside.json"
        write_json(about / name, {"shard": "…", "reason": "is damaged"})
    assert inspect_scores(scores).description.set_aside == {"part-000003.parquet": "is damaged"}
    assert "Set aside: part-000003.parquet: is damaged\n" in describe(scores).stdout


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda whole: whole[: len(whole) // 2], "is not readable as Parquet"),
        (lambda whole: b"", "is not readable as Parquet"),
        (lambda whole: whole[:500] + b"\x55\xaa" + whole[502:], "is damaged: its content is not"),
    ],
)
def test_a_damaged_part_is_named_with_its_reason(
    scores: Path, damage: Callable[[bytes], bytes], reason: str
) -> None:
    part = scores / DIFFERENT
    part.write_bytes(damage(part.read_bytes()))
    found = bad(scores)
    assert list(found) == [DIFFERENT]
    assert reason in found[DIFFERENT]
    result = describe(scores)
    assert result.exit_code == 1
    assert f"Bad: {DIFFERENT}: {found[DIFFERENT]}" in result.stdout
    assert result.stderr.endswith(
        f"Error: {scores}: 1 of 10 parts are bad. Remove them and run the same "
        "`corpus-lonely score` command again\n"
    )


def test_a_part_under_anothers_name(scores: Path) -> None:
    (scores / DIFFERENT).write_bytes((scores / "part-000004.parquet").read_bytes())
    assert bad(scores, check=False) == {DIFFERENT: "holds the scores of part-000004.parquet"}


def test_a_part_of_another_run(scores: Path) -> None:
    part = scores / DIFFERENT
    facts = tables.footer(part)
    other = Run.from_dict({**facts["run"], "precision": "bf16", "model": "m2"})
    shard = next(s for s in inspect_scores(scores).shards if s.part == DIFFERENT)
    rewrite(part, run=other.to_dict(), fingerprint=other.fingerprint(shard))
    told = {DIFFERENT: "is of a run with another model; --precision bf16, not fp32"}
    assert bad(scores) == told
    shutil.rmtree(scores.with_name("scores.about"))
    assert bad(scores) == told  # the majority is right


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"fingerprint": "f"}, "its fingerprint does not fit the run that it names"),
        ({"taxonomy": {**loneliness().to_dict(), "name": "x"}}, "its taxonomy is not that of its"),
        ({"counts": asdict(Counts(rows=99))}, "has 100 rows, and should have 100"),
        ({"counts": asdict(Counts(rows=100, ok=100))}, "counts 100 rows, 98 ok, 2 empty, 0 error"),
        ({"versions": None}, "its footer does not tell what it holds"),
    ],
)
def test_a_footer_that_contradicts(scores: Path, facts: dict[str, Any], reason: str) -> None:
    rewrite(scores / DIFFERENT, **facts)
    found = bad(scores)
    assert list(found) == [DIFFERENT]
    assert reason in found[DIFFERENT]


def set_row(column: str, value: float | None) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Puts a value into row 7 of a part, which has a text."""
    return lambda frame: frame.with_columns(
        pl.when(pl.int_range(pl.len()) == 7)
        .then(pl.lit(value, pl.Float32))
        .otherwise(pl.col(column))
        .alias(column)
    )


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (set_row("lonely", 1.5), "lonely is 1.5 in row 7, not from 0 to 1"),
        (set_row("lonely", -0.1), "lonely is -0.1 in row 7, not from 0 to 1"),
        (set_row("lonely", float("nan")), "lonely is nan in row 7, not from 0 to 1"),
        (set_row("context_na", None), "context_na is null in row 7, against its status"),
        (
            lambda frame: frame.with_columns(pl.col("lonely").fill_null(0.5)),
            "lonely is not null in row 0, against its status",
        ),
        (
            lambda frame: frame.with_columns(pl.col("^context_.*$") * 0.9),
            "the labels of context sum to 0.9 in row 1, not to 1",
        ),
        (
            lambda frame: frame.with_columns(status=pl.lit("fine")),
            "has a status that is none of ok, empty, error (1 different)",
        ),
    ],
)
def test_values_that_cannot_be(
    scores: Path, values: Callable[[pl.DataFrame], pl.DataFrame], reason: str
) -> None:
    rewrite(scores / DIFFERENT, values)
    assert bad(scores, check=False) == {}
    assert bad(scores) == {DIFFERENT: reason}


def test_columns_that_are_not_those_of_the_run(scores: Path) -> None:
    part = scores / DIFFERENT
    table = pq.read_table(part).drop_columns(["subreddit"])
    part.write_bytes(
        tables.sealed_bytes(
            table.cast(tables.with_footer(table.schema, tables.footer(part))),
        )
    )
    assert bad(scores)[DIFFERENT].startswith("its columns are post_id, lonely, ")


def test_totals_that_are_not_the_sum(scores: Path) -> None:
    path = scores.with_name("scores.about") / "scores.json"
    content = read_json(path)
    write_json(path, {**content, "totals": {**content["totals"], "ok": 1}})
    assert bad(scores) == {"scores.json": "tells other totals than the parts together"}


def test_two_versions_and_two_devices_are_told_and_no_fault(scores: Path) -> None:
    versions = tables.footer(scores / DIFFERENT)["versions"]
    rewrite(scores / DIFFERENT, versions={**versions, "torch": "0.1"}, device="cuda")
    description = inspect_scores(scores).description
    assert description.bad == {}
    assert description.versions["torch"] == ["0.1", versions["torch"]]
    assert description.devices == ["cpu", "cuda"]
    assert "torch 0.1 and" in describe(scores).stdout


def test_what_else_lies_there_is_named(scores: Path) -> None:
    (scores / "notes.txt").touch()
    (scores / ".DS_Store").touch()
    assert inspect_scores(scores).description.others == ["notes.txt"]


def test_scores_in_a_store(made: Path, model: Path) -> None:
    there = place("memory://described/scores")
    score_posts(
        ScoreSettings(
            str(made / "posts.parquet"),
            model,
            there,
            shard_rows=100,
            precision="fp32",
            cluster=HERE,
        )
    )
    description = inspect_scores(there).description
    assert description == replace(
        inspect_scores(made / "scores").description, folder="memory://described/scores"
    )
    assert verify(there, rows=50).agrees
    part = there / DIFFERENT
    part.write_bytes(part.read_bytes()[:500] + b"\x55\xaa" + part.read_bytes()[502:])
    assert list(inspect_scores(there).description.bad) == [DIFFERENT]


def test_where_there_are_no_scores(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        inspect_scores(tmp_path / "scores")
    (tmp_path / "scores").mkdir()
    with pytest.raises(InputError, match="holds no scores"):
        inspect_scores(tmp_path / "scores")
    pq.write_table(pa.table({"x": [1]}), tmp_path / "scores" / "part-000000.parquet")
    with pytest.raises(InputError, match="holds no scores that can be read"):
        inspect_scores(tmp_path / "scores")


def test_json_tells_all_and_nothing_else(scores: Path) -> None:
    result = describe(scores, "--json")
    told = json.loads(result.stdout)
    assert told == {**inspect_scores(scores).description.to_dict(), "verification": None}
    assert told["complete"] is True


def verify(scores: Place, **settings: Any) -> Verification:
    return verify_scores(scores, inspect_scores(scores), VerifySettings(threads=1, **settings))


def test_every_post_scored_once_more_is_the_same(scores: Path) -> None:
    found = verify(scores, rows=5000)
    assert (found.rows, found.others, found.device, found.precision) == (1000, 0, "cpu", "fp32")
    assert found.greatest < found.tolerance == 1e-4
    assert found.agrees


@pytest.mark.parametrize("name", ["post_id", "subreddit"])
def test_columns_carried_along_are_compared_with_the_input(scores: Path, name: str) -> None:
    def rotated(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(pl.col(name).shift(1).fill_null(pl.col(name).last()))

    before = pl.read_parquet(scores / DIFFERENT)[name]
    rewrite(scores / DIFFERENT, rotated)
    moved = before.ne_missing(pl.read_parquet(scores / DIFFERENT)[name]).sum()
    found = verify(scores, rows=5000)
    assert (found.carried, found.others, found.agrees) == (moved, 0, False)
    assert moved > 0


def test_another_seed_is_another_sample(scores: Path) -> None:
    rewrite(scores / DIFFERENT, set_row("lonely", 0.0))
    spoiled = [not verify(scores, rows=500, seed=seed).agrees for seed in range(8)]
    assert set(spoiled) == {True, False}  # half of the rows hold the one half of the time
    assert spoiled == [not verify(scores, rows=500, seed=seed).agrees for seed in range(8)]


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(
            lambda frame: frame.with_columns((pl.col("lonely") - 0.05).abs()), id="another score"
        ),
        pytest.param(
            lambda frame: frame.with_columns(pl.col(loneliness().score_columns).reverse()),
            id="other rows",
        ),
    ],
)
def test_scores_that_the_model_does_not_give_are_found(
    scores: Path, values: Callable[[pl.DataFrame], pl.DataFrame]
) -> None:
    for part in sorted(scores.iterdir()):
        rewrite(part, values)
    result = describe(scores, "--verify", 100, "--threads", 1, "--no-check")
    assert result.exit_code == 1
    assert "THEY DO NOT AGREE" in result.stdout
    assert "scored once more, the sample is other by up to " in result.stderr


def test_the_greatest_difference_is_that_of_numpy(scores: Path) -> None:
    was = pl.read_parquet(scores)["lonely"].to_numpy()
    rewrite(scores / DIFFERENT, set_row("lonely", 0.0))
    found = verify(scores, rows=1000, tolerance=1.0)
    assert found.agrees
    assert found.where == f"{DIFFERENT}, row 7"
    assert found.greatest == pytest.approx(was[307], abs=1e-5)
    assert found.mean == pytest.approx(np.float64(was[307]) / 20_000, rel=1e-2)


def test_verify_wants_the_model_and_the_posts_of_the_run(
    scores: Path, made: Path, model: Path, other_model: Path, tmp_path: Path
) -> None:
    result = describe(scores, "--verify", "--model", other_model)
    assert result.exit_code == 1
    assert f"{other_model}: is not the model that the scores were made with" in result.stderr
    pq.write_table(make_posts(1000, seed=5), tmp_path / "posts.parquet")
    result = describe(scores, "--verify", "--input", tmp_path / "posts.parquet")
    assert "does not hold the posts that the scores were made from" in result.stderr
    shutil.rmtree(scores.with_name("scores.about"))
    assert "nobody knows where the model is. Name it" in describe(scores, "--verify").stderr
    only = ("--verify", 10, "--model", model)
    assert "nobody knows where the posts are. Name" in describe(scores, *only).stderr
    moved = (*only, "--input", made / "posts.parquet", "--threads", 1)
    assert describe(scores, *moved).exit_code == 0


def test_what_was_given_as_relative_is_found_from_another_folder_and_may_move(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    (home / "posts").mkdir(parents=True)
    pq.write_table(make_posts(100), home / "posts" / "a.parquet")
    shutil.copytree(model, home / "model")
    monkeypatch.chdir(home)
    run(Path("posts"), Path("model"), Path("scores"), shard_rows=50)
    monkeypatch.chdir(tmp_path)
    result = describe("home/scores", "--verify", 20, "--threads", 1)
    assert result.exit_code == 0, result.output
    description = inspect_scores(home / "scores").description
    assert (description.input, description.model) == (str(home / "posts"), str(home / "model"))

    home.rename(elsewhere)
    monkeypatch.chdir(elsewhere)
    (elsewhere / "scores" / "part-000001.parquet").unlink()
    assert run(Path("posts"), Path("model"), Path("scores"), shard_rows=50).shards_before == 1
    assert verify(Path("scores"), rows=20, input="posts", model=Path("model")).agrees


def test_verify_works_while_parts_are_missing_or_bad(scores: Path) -> None:
    (scores / "part-000000.parquet").unlink()
    (scores / DIFFERENT).write_bytes(b"")
    found = verify(scores, rows=1000)
    assert (found.rows, found.others) == (800, 0)
    assert found.agrees


def test_no_text_is_shown(scores: Path, made: Path) -> None:
    rewrite(scores / DIFFERENT, set_row("lonely", 0.0))
    result = describe(scores, "--verify", 1000, "--threads", 1, "--json")
    words = " ".join(filter(None, pq.read_table(made / "posts.parquet")["text"].to_pylist()))
    assert result.exit_code == 1
    assert not [word for word in set(words.split()) if f" {word} " in result.output]


def test_a_model_is_described(model: Path) -> None:
    ran = CliRunner().invoke(main, ["describe", str(model)])
    assert ran.exit_code == 0, ran.output
    assert f"fingerprint  {model_facts(model).fingerprint}" in ran.stdout
    assert "Next: corpus-lonely score" in ran.stdout.splitlines()[-1]
    told = json.loads(CliRunner().invoke(main, ["describe", str(model), "--json"]).stdout)
    assert (told["kind"], told["taxonomy"], told["members"]) == ("model", "loneliness", 1)
