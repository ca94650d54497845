"""A sample by columns: what small strata are over-drawn by, weights undo; against a truth that is known."""

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure

from corpus_lonely.cli.main import main
from corpus_lonely.errors import InputError, SettingsError
from corpus_lonely.study import run
from corpus_lonely.study.estimands import Estimand
from corpus_lonely.study.gold import corrected_table
from corpus_lonely.study.inference import resampled_cells
from corpus_lonely.study.labelled import Labelled, matched, read_labelled
from corpus_lonely.study.panel import OTHERS
from corpus_lonely.study.reading import read_sums
from corpus_lonely.study.run import run_study
from corpus_lonely.study.sample import EDGES, SampleSettings, draw_sample
from corpus_lonely.study.selection import Selection
from corpus_lonely.study.settings import StudySettings
from corpus_lonely.study.usable_rows import usable
from corpus_lonely.taxonomy import loneliness
from tests.study.simulated import CUT, simulated_scores, write_scores

DAY = date(2020, 3, 11)
COLUMNS = ["posts", "above", *loneliness().score_columns]
ASKED = [
    Estimand("lonely", "lonely", "mean_probability", "lonely", "posts"),
    Estimand("context", "social", "share_of_lonely", "context_social", "lonely"),
]
COMMON, RARE, TINY = "lonely", "College", "tiny"


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    """Scores with their truth: in the rare subreddit nearly all are lonely, and the model finds few of them."""
    rng = np.random.default_rng(7)
    table = simulated_scores(seed=5, posts=3000).filter(pl.col("status") == "ok")
    place = rng.random(len(table))
    sub = np.select([place < 0.9, place < 0.996], [COMMON, RARE], TINY)
    after = (table["created_at"] >= CUT).to_numpy()
    lonely = rng.random(len(table)) < np.where(sub == COMMON, 0.2, 0.85)
    found = np.where(sub == COMMON, 0.6, 0.15) * lonely + 0.2 + 0.1 * after
    social = rng.random(len(table)) < np.where(sub == COMMON, 0.7, 0.1)
    scored = np.clip(found + rng.normal(0, 0.2, len(table)), 0.01, 0.99).astype(np.float32)
    return table.with_columns(
        pl.Series("lonely", scored),
        pl.Series("subreddit", sub),
        pl.Series("truth", lonely.astype(float)),
        pl.Series("context", np.where(social, "social", "physical")),
        pl.Series("over_18", rng.random(len(table)) < 0.1),
    )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, table: pl.DataFrame) -> Path:
    folder = tmp_path_factory.mktemp("by")
    write_scores(folder / "scores", table.drop("truth", "context", "over_18"))
    posts = table.select("post_id", "created_at", "over_18", pl.lit("words").alias("text"))
    write_scores(folder / "posts", posts)
    return folder


def drawn(corpus: Path, out: Path, *by: str, **asked: object) -> pl.DataFrame:
    places = (str(corpus / "scores"), str(corpus / "posts"))
    asked = {"size": 240, "overwrite": True, **asked}
    draw_sample(SampleSettings(*places, DAY, out, by=by, **asked))  # type: ignore[arg-type]
    return pl.read_parquet(out)


def with_cells(table: pl.DataFrame) -> pl.DataFrame:
    score = pl.col("lonely").cast(pl.Float64)
    return table.with_columns(
        pl.when(pl.col("created_at") < CUT).then(pl.lit("b")).otherwise(pl.lit("a")).alias("side"),
        pl.sum_horizontal((score >= edge).cast(pl.Int64) for edge in EDGES).alias("band"),
        pl.col("subreddit").str.to_lowercase(),
    )


@pytest.mark.parametrize(
    "by", [("subreddit",), ("kind", "subreddit"), ("over_18",), ("subreddit", "over_18")]
)
def test_each_stratum_is_stood_for(
    corpus: Path, table: pl.DataFrame, tmp_path: Path, by: tuple[str, ...]
) -> None:
    told = drawn(corpus, tmp_path / "s.parquet", *by)
    assert told.columns == drawn(corpus, tmp_path / "plain.parquet").columns
    assert len(told) == told["post_id"].n_unique() == 240
    assert told["weight"].sum() == pytest.approx(len(table))
    of = told.select("post_id", "stratum", "weight").join(with_cells(table), on="post_id")
    # a stratum is one cell unless it is pooled, and its posts stand for all of the cell
    known = of.filter(~pl.col("stratum").str.contains(OTHERS, literal=True))
    cells = known.group_by("stratum").agg(pl.struct("side", "band", *by).n_unique().alias("cells"))
    assert cells["cells"].to_list() == [1] * len(cells)
    whole = with_cells(table).group_by("side", "band", *by).len("there")
    own = known.group_by("side", "band", *by).agg(pl.col("weight").sum(), pl.len())
    both = own.join(whole, on=["side", "band", *by])
    assert both["weight"].to_list() == pytest.approx(both["there"].to_list())
    assert (both["len"] >= np.minimum(2, both["there"])).all()
    assert both.select(by).n_unique() >= 2


def test_small_values_are_pooled_and_never_left_out(
    corpus: Path, table: pl.DataFrame, tmp_path: Path
) -> None:
    told = drawn(corpus, tmp_path / "s.parquet", "subreddit", size=34)
    values = told["stratum"].str.split(", ").list.last()
    assert set(values) == {COMMON, OTHERS}
    assert told["weight"].sum() == pytest.approx(len(table))
    assert told.group_by("stratum").len()["len"].min() == 2
    with pytest.raises(SettingsError, match="--size must be at least 32 to draw by subreddit, got 20"):  # fmt: skip
        drawn(corpus, tmp_path / "t.parquet", "subreddit", size=20)


def test_what_is_no_column_to_draw_by_is_named(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--by must be no column of texts, people or posts"):
        drawn(corpus, tmp_path / "s.parquet", "Author")
    with pytest.raises(InputError, match="has no column 'flair'"):
        drawn(corpus, tmp_path / "s.parquet", "flair")


def true_shares(table: pl.DataFrame) -> list[float]:
    """Of `ASKED`: before, after and their difference."""
    told = []
    for social in (False, True):
        sides = []
        for after in (False, True):
            own = table.filter((pl.col("created_at") >= CUT) == after)
            lonely = own["truth"].to_numpy()
            of = (own["context"] == "social").to_numpy()
            sides.append(lonely[of].sum() / lonely.sum() if social else lonely.mean())
        told += [*sides, sides[1] - sides[0]]
    return told


def test_weights_undo_unequal_shares(corpus: Path, table: pl.DataFrame, tmp_path: Path) -> None:
    """The mean over many samples is the truth, by both ways; with weights alike it is far from it."""
    taxonomy, places = loneliness(), str(corpus / "scores")
    sums = read_sums(StudySettings(places, DAY, tmp_path))
    cells = resampled_cells(sums.clusters, COLUMNS, 100, seed=0)
    scored = table.drop("truth", "context").lazy()
    rows = usable(scored, Selection(taxonomy, DAY), "scores", carried=("post_id",)).collect()
    truth = table.select("post_id", pl.col("truth").alias("lonely"), "context")
    found: dict[bool, list[list[float]]] = {True: [], False: []}
    for seed in range(24):
        sample = drawn(corpus, tmp_path / "s.parquet", "subreddit", seed=seed)
        filled = sample.drop("lonely", "context").join(truth, on="post_id", maintain_order="left")
        for weighted, told in found.items():
            own = filled if weighted else filled.with_columns(weight=1.0)
            own.write_parquet(tmp_path / "gold.parquet")
            labels = read_labelled(tmp_path / "gold.parquet", taxonomy)
            table_of = corrected_table(matched(labels, rows, taxonomy, 0.5), cells, ASKED)
            # scores of context are noise here, from which the second way tells nothing
            both = table_of.sort("method", maintain_order=True)[:9]
            told.append(both["corrected"].to_list())
    values, expected = np.array(found[True]), (2 * true_shares(table))[:9]
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    assert (np.abs(values.mean(axis=0) - expected) < 4 * error).all()
    naive = np.abs(np.array(found[False]).mean(axis=0) - expected)
    assert (naive[[0, 1, 3, 4, 6, 7]] > 0.1).all()


def test_strata_half_filled_in_count_whole(
    corpus: Path, table: pl.DataFrame, tmp_path: Path
) -> None:
    taxonomy = loneliness()
    sample = drawn(corpus, tmp_path / "s.parquet", "subreddit")
    rare = pl.col("stratum").str.ends_with(RARE.lower())
    place = pl.int_range(pl.len()).over("stratum")
    scored = table.select("post_id", "lonely", pl.lit("before").alias("period"))

    def labelled(filled_in: pl.Expr) -> Labelled:
        labels = pl.when(filled_in).then(pl.lit(1.0)).alias("lonely")
        sample.with_columns(labels).write_parquet(tmp_path / "gold.parquet")
        return matched(read_labelled(tmp_path / "gold.parquet", taxonomy), scored, taxonomy, 0.5)

    part = len(table.filter(pl.col("subreddit") == RARE)) / len(table)
    whole, half = labelled(pl.lit(True)), labelled(~rare | (place < 2))
    assert len(half.rows) < len(whole.rows) - 20
    for told in (whole, half):
        assert told.left_out == 0
        assert told.rows["weight"].to_numpy() @ told.rows.select(
            rare.cast(pl.Float64).alias("rare")
        )["rare"].to_numpy() == pytest.approx(part * len(table))
    assert labelled(~rare).left_out == pytest.approx(part)


def test_strata_without_a_label_are_told(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing = {"trends": (Figure((1, 1)), "Title", "Words")}
    monkeypatch.setattr(run, "report_figures", lambda *_: drawing)
    common = pl.when(pl.col("stratum").str.ends_with(COMMON)).then(pl.lit(1.0)).alias("lonely")
    sample = drawn(corpus, tmp_path / "s.parquet", "subreddit").with_columns(common)
    sample.write_parquet(tmp_path / "gold.parquet")
    asked = StudySettings(
        str(corpus / "scores"),
        DAY,
        tmp_path / "report",
        replicates=100,
        gold=tmp_path / "gold.parquet",
    )
    weights = sample["weight"].to_numpy()
    part = weights[sample["lonely"].is_null().to_numpy()].sum() / weights.sum()
    said = f"strata of the sample that stand for {100 * part:.1f} % of them have no labelled post"
    assert any(said in caveat for caveat in run_study(asked).caveats)


def test_the_command_draws_by_columns(corpus: Path, tmp_path: Path) -> None:
    words = ["sample", "--scores", str(corpus / "scores"), "--posts", str(corpus / "posts")]
    words += ["--cut", "2020-03-11", "--out", str(tmp_path / "s.csv"), "--size", "200"]
    result = CliRunner().invoke(main, [*words, "--by", "kind", "--by", "over_18"])
    assert result.exit_code == 0, result.output
    assert "before to 0.5, submission, false " in result.stdout
