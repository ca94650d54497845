"""A sample is drawn, labelled by an oracle, and corrects what a biased classifier got wrong."""

import stat
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure

from corpus_lonely.cli.main import main
from corpus_lonely.errors import InputError, OutputError, SettingsError
from corpus_lonely.study import run
from corpus_lonely.study.labelled import read_labelled
from corpus_lonely.study.run import run_study
from corpus_lonely.study.sample import SampleSettings, draw_sample
from corpus_lonely.study.settings import StudySettings
from corpus_lonely.taxonomy import loneliness
from tests.study.simulated import CUT, simulated_scores, write_scores

DAY = date(2020, 3, 11)


@pytest.fixture(autouse=True)
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = {"trends": (Figure((1, 1)), "Title", "Words")}
    monkeypatch.setattr(run, "report_figures", lambda *_: drawn)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Posts, scores that call more posts lonely after the cut, and the truth, which did not move."""
    folder = tmp_path_factory.mktemp("gold")
    rng = np.random.default_rng(0)
    table = simulated_scores(seed=3, posts=3000)
    truth = (rng.random(len(table)) < 0.4).astype(float)
    after = (table["created_at"] >= CUT).to_numpy()
    shift = np.where(after, 0.2, 0.0)
    scored = np.clip(0.15 + 0.55 * truth + shift + rng.normal(0, 0.2, len(table)), 0.01, 0.99)
    lonely = pl.when(pl.col("status") == "ok").then(pl.Series(scored.astype(np.float32)))
    sub = (
        pl.when(pl.int_range(pl.len()) % 3 == 0).then(pl.lit("College")).otherwise(pl.lit("lonely"))
    )
    table = table.with_columns(lonely.alias("lonely"), sub.alias("subreddit"))
    write_scores(folder / "scores", table)
    posts = table.select("post_id", "created_at", pl.format("words {}", "post_id").alias("text"))
    (folder / "posts").mkdir()
    posts.write_parquet(folder / "posts" / "part-0.parquet")
    pl.DataFrame({"post_id": table["post_id"], "truth": truth}).write_parquet(
        folder / "truth.parquet"
    )
    return folder


def settings(corpus: Path, out: Path, **asked: object) -> SampleSettings:
    places = (str(corpus / "scores"), str(corpus / "posts"))
    return SampleSettings(*places, DAY, out, **{"size": 300, **asked})  # type: ignore[arg-type]


def labelled(corpus: Path, folder: Path) -> Path:
    """The sample, filled in with the truth."""
    draw_sample(settings(corpus, folder / "sample.parquet"))
    drawn = pl.read_parquet(folder / "sample.parquet")
    truth = drawn.join(
        pl.read_parquet(corpus / "truth.parquet"), on="post_id", maintain_order="left"
    )
    filled = drawn.with_columns(
        truth["truth"].alias("lonely"),
        pl.when(pl.Series(truth["truth"] == 1)).then(pl.lit("social")).alias("context"),
    )
    filled.write_parquet(folder / "labelled.parquet")
    return folder / "labelled.parquet"


@pytest.mark.parametrize("name", ["sample.parquet", "sample.csv"])
def test_a_sample_is_its_owners_alone_and_its_weights_add_up(
    corpus: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / name
    drawn = draw_sample(settings(corpus, out))
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    table = pl.read_csv(out) if name.endswith("csv") else pl.read_parquet(out)
    assert len(table) == len(drawn) == table["post_id"].n_unique() == 300
    assert (table["text"] == pl.Series([f"words {p}" for p in table["post_id"]])).all()
    assert table["lonely"].null_count() == table["context"].null_count() == 300
    scored = pl.read_parquet(corpus / "scores" / "*.parquet").filter(pl.col("status") == "ok")
    assert table["weight"].sum() == pytest.approx(len(scored))
    # each stratum's weight is how many it holds over how many were drawn
    side, p = pl.col("created_at") >= CUT, pl.col("lonely")
    middle = scored.filter(side, p >= 0.5, p < 0.9)
    own = table.filter(pl.col("stratum") == "after to 0.9")
    assert own["weight"].unique().to_list() == pytest.approx([len(middle) / len(own)])
    assert table["stratum"].to_list() != sorted(table["stratum"])
    names = dict(scored.select("post_id", pl.col("subreddit").str.to_lowercase()).iter_rows())
    assert table["subreddit"].to_list() == [names[post] for post in table["post_id"]]
    assert "text" not in drawn.columns
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_same_seed_draws_the_same_posts(corpus: Path, tmp_path: Path) -> None:
    first, again, other = (
        draw_sample(settings(corpus, tmp_path / "s.csv", seed=seed, overwrite=True))
        for seed in (1, 1, 2)
    )
    assert first.equals(again)
    assert not first.equals(other)


def test_labels_correct_what_the_classifier_made_up(corpus: Path, tmp_path: Path) -> None:
    report = run_study(
        StudySettings(
            str(corpus / "scores"),
            DAY,
            tmp_path / "report",
            replicates=200,
            gold=labelled(corpus, tmp_path),
        )
    )
    raw = report.periods.row(by_predicate=pl.col("measure") == "mean_probability", named=True)
    assert raw["difference_low"] > 0.15
    assert report.corrected is not None
    told = report.corrected.filter(pl.col("group") == "lonely", pl.col("period") == "difference")
    assert set(told["method"]) == {"prediction_powered", "rogan_gladen"}
    assert len(told) == 3  # the mean by both, the share at the threshold by one
    for row in told.iter_rows(named=True):
        assert row["raw"] > 0.1
        assert row["low"] < 0 < row["high"]
        assert abs(row["corrected"]) < 0.12
    # the same authors write in both periods: a little surer than two samples of strangers
    powered_rows = report.corrected.filter(
        pl.col("method") == "prediction_powered", pl.col("measure") == "mean_probability"
    )
    width = dict(powered_rows.select("period", pl.col("high") - pl.col("low")).iter_rows())
    strangers = np.hypot(width["before"], width["after"])
    assert 0.8 * strangers < width["difference"] < 0.999 * strangers
    before = report.corrected.filter(
        pl.col("period") == "before", pl.col("measure") == "mean_probability"
    )
    assert before["corrected"].to_list() == pytest.approx([0.4, 0.4], abs=0.06)
    social = report.corrected.filter(
        pl.col("label") == "social", pl.col("measure") == "share_of_lonely"
    )
    powered, counted = (
        social.filter(pl.col("method") == name)["corrected"].to_list()
        for name in ("prediction_powered", "rogan_gladen")
    )
    assert powered == pytest.approx([1.0, 1.0, 0.0], abs=1e-6)
    assert counted == pytest.approx([1.0, 1.0, 0.0], abs=0.15)
    assert set(report.corrected["group"]) == {"lonely", "context"}
    # of labels that no labelled post has, nothing is told
    physical = report.corrected.filter(pl.col("label") == "physical")
    assert physical.select("corrected", "low", "high").null_count().sum_horizontal().item() == 3 * len(physical)  # fmt: skip
    page = (tmp_path / "report" / "report.html").read_text("utf-8")
    powered_row = told.filter(pl.col("method") == "prediction_powered").row(0, named=True)
    assert f"by 300 labelled posts it is {100 * powered_row['corrected']:+.1f}, " in page
    both = f"{100 * powered_row['raw']:+.1f} → {100 * powered_row['corrected']:+.1f}"
    assert f"<td>{both}</td>" in page
    assert not any("other subreddits than the four" in caveat for caveat in report.caveats)
    assert any("stand on 300 labelled posts" in caveat for caveat in report.caveats)
    assert not any("not corrected" in caveat for caveat in report.caveats)


def test_too_few_labels_in_one_period_correct_nothing(corpus: Path, tmp_path: Path) -> None:
    filled = pl.read_parquet(labelled(corpus, tmp_path))
    both = [
        filled.filter(pl.col("period") == side).head(n)
        for side, n in (("before", 45), ("after", 29))
    ]
    pl.concat(both).write_parquet(tmp_path / "few.parquet")
    asked = StudySettings(
        str(corpus / "scores"),
        DAY,
        tmp_path / "report",
        replicates=100,
        gold=tmp_path / "few.parquet",
    )
    report = run_study(asked)
    assert report.corrected is not None
    assert report.corrected.is_empty()
    assert "corrected" not in report.tables
    said = " ".join(report.caveats)
    assert "not corrected for classifier error" in said
    assert "45 before and 29 after, and 30 are needed in each period" in said
    assert "Corrected values stand on" not in said
    page = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert "Scores were not corrected for classifier error" in page
    assert "Corrected for the" not in page
    # one more label is enough
    enough = pl.concat([both[0], filled.filter(pl.col("period") == "after").head(30)])
    enough.write_parquet(tmp_path / "few.parquet")
    assert run_study(asked).is_corrected


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    good: dict[str, object] = {
        "post_id": ["a", "b"],
        "lonely": [1.0, 0.0],
        "context": ["social", None],
    }
    cases: list[tuple[dict[str, object], str]] = [
        ({"lonely": [1.0, 2.0]}, "must lie between 0 and 1"),
        ({"lonely": ["yes", "no"]}, "must hold 1 or 0"),
        ({"context": ["sozial", None]}, "is none: 'sozial'; the labels are social"),
        ({"lonely": [1.0, 1.0]}, "column 'context' is empty in 1 rows that are lonely"),
        ({"post_id": ["a", "a"]}, "holds a post_id twice"),
        ({"context_social": [0.5, 0.5]}, "holds scores, not labels"),
        ({"weight": [1.0, 0.0]}, "'weight' must be above 0"),
    ]
    path = tmp_path / "gold.parquet"
    for change, said in cases:
        pl.DataFrame(good | change).write_parquet(path)
        with pytest.raises(InputError, match=said):
            read_labelled(path, loneliness())
    pl.DataFrame(good).drop("lonely").write_parquet(path)
    with pytest.raises(InputError, match="has no column 'lonely'"):
        read_labelled(path, loneliness())


def test_a_blank_sample_is_told(corpus: Path, tmp_path: Path) -> None:
    draw_sample(settings(corpus, tmp_path / "s.parquet"))
    asked = StudySettings(
        str(corpus / "scores"), DAY, tmp_path / "report", gold=tmp_path / "s.parquet"
    )
    with pytest.raises(InputError, match="of 300 rows 300 are not filled in"):
        run_study(asked)


def test_a_sample_keeps_labels_and_says_what_is_wrong(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("labels of days")
    with pytest.raises(OutputError, match="exists already"):
        draw_sample(settings(corpus, tmp_path / "s.csv"))
    with pytest.raises(SettingsError, match=r"--out must end in \.parquet or \.csv"):
        settings(corpus, tmp_path / "s.xlsx")
    with pytest.raises(SettingsError, match="--size must be at least 8"):
        settings(corpus, tmp_path / "t.csv", size=2)
    other = tmp_path / "posts.parquet"
    pl.read_parquet(corpus / "posts" / "part-0.parquet")[:5].write_parquet(other)
    asked = SampleSettings(str(corpus / "scores"), str(other), DAY, tmp_path / "t.csv")
    with pytest.raises(InputError, match="does not hold"):
        draw_sample(asked)
    assert not (tmp_path / "t.csv").exists()


def test_the_command_says_what_it_made(corpus: Path, tmp_path: Path) -> None:
    words = ["sample", "--scores", str(corpus / "scores"), "--posts", str(corpus / "posts")]
    words += ["--cut", "2020-03-11", "--out", str(tmp_path / "s.csv"), "--size", "40"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert "readable by you alone" in result.stdout
    assert "words t3_" not in result.output
