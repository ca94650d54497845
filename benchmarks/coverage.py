"""Whether each estimator's 95 % interval holds the truth in 95 % of simulated corpora, and where it does not.

    python benchmarks/coverage.py [--runs 2000] [--seed 0] [--worlds shocks trend] [--months 48]

A world is 48 months, the cut after three quarters of them. 600 authors differ in how lonely they are and in how much they write,
and stay for a year on average (`many pass by`: 3,000, for a month). A post is lonely by chance: .4 + author + effect after the cut + what the world adds (a shock a month, shocks that
last, a trend, a season). The estimands:
  effect    what the cut adds to the probability of every post
  posts     the same with the shocks, trend and season that these months happened to have, each month counting for as many posts as
            authors of this kind are expected to write in it: what was, not what would be
  authors   the same, a month counting for the share of what each author wrote in the period, all authors alike
  stayers   the same, of authors who wrote before and after
Months' weights come from 200,000 authors. Of placebo dates, which give no interval, 1 - the rate at which p <= .05 is shown.
`naive` takes posts for independent; `its_hac` is what no series is given. The last world has a classifier that errs
otherwise after the cut, and 300 labelled posts a period.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table
from scipy import sparse
from statsmodels.regression.linear_model import OLS

from corpus_lonely.study import correction, interrupted, panel, series, twoway
from corpus_lonely.study.correction import Corrected
from corpus_lonely.study.effects import difference, in_window, sides
from corpus_lonely.study.estimands import Estimand
from corpus_lonely.study.inference import (
    Cells,
    Estimate,
    Floats,
    resampled_totals,
)
from corpus_lonely.study.periods import AFTER, BEFORE
from corpus_lonely.study.series import Series

MONTHS, CUT, REPLICATES = 48, 36, 1000
PEOPLE = 200_000
COLUMNS = ["posts", "lonely"]
ASKED = [Estimand("lonely", "lonely", "mean_probability", "lonely", "posts")]
GOLD = 300


@dataclass(frozen=True)
class World:
    """What the posts of a corpus are made of, in probability."""

    effect: float = 0.05
    shock: float = 0.0
    """Standard deviation of what a month adds to everyone."""
    lasting: float = 0.0
    """Correlation of the shocks of two months in a row."""
    trend: float = 0.0
    """A month."""
    season: float = 0.0
    """Amplitude of a yearly wave."""
    authors: int = 600
    stay: int = 12
    """Months, on average."""


WORLDS = {
    "authors": World(),
    "no effect": World(effect=0.0, shock=0.02),
    "none, lasting": World(effect=0.0, shock=0.02, lasting=0.5),
    "shocks": World(shock=0.02),
    "lasting shocks": World(shock=0.02, lasting=0.5),
    "trend": World(shock=0.02, trend=0.002),
    "season": World(shock=0.02, season=0.04),
    "many pass by": World(shock=0.02, authors=3000, stay=1),
}


@dataclass(frozen=True)
class Corpus:
    """Posts and lonely posts of each author and month, and the truth of each estimand."""

    posts_CM: Floats
    lonely_CM: Floats
    truths: dict[str, float]


def written(world: World, people: int, rng: np.random.Generator) -> Floats:
    """Posts of each author and month."""
    months = np.arange(MONTHS)
    writes = rng.gamma(0.7, 4.0, people)[:, None]
    begins = rng.integers(-18, MONTHS, people)[:, None]
    there = (months >= begins) & (months < begins + rng.geometric(1 / world.stay, people)[:, None])
    return rng.poisson(writes * there).astype(float)


def month_weights(world: World) -> dict[str, Floats]:
    """What each month counts for in each estimand: before the cut they sum to -1, after it to 1."""
    posts_CM = written(world, PEOPLE, np.random.default_rng(0))
    sides = [posts_CM[:, :CUT], posts_CM[:, CUT:]]
    both = sides[0].any(axis=1) & sides[1].any(axis=1)
    alike = [side / np.maximum(side.sum(axis=1, keepdims=True), 1) for side in sides]
    sums = {
        "posts": [side.sum(axis=0) for side in sides],
        "authors": [side.sum(axis=0) for side in alike],
        "stayers": [side[both].sum(axis=0) for side in alike],
    }
    return {
        name: np.concatenate([-before / before.sum(), after / after.sum()])
        for name, (before, after) in sums.items()
        if before.any()
    }


def corpus(world: World, weights: dict[str, Floats], rng: np.random.Generator) -> Corpus:
    """One corpus."""
    months = np.arange(MONTHS)
    shocks = np.empty(MONTHS)
    shocks[0] = rng.normal(0, world.shock)
    for month in range(1, MONTHS):
        new = rng.normal(0, world.shock * np.sqrt(1 - world.lasting**2))
        shocks[month] = world.lasting * shocks[month - 1] + new
    after = months >= CUT
    course = world.effect * after + shocks + world.trend * (months - CUT)
    course += world.season * np.sin(2 * np.pi * (months + 2) / 12)
    posts = written(world, world.authors, rng)
    chance = 0.4 + rng.uniform(-0.3, 0.3, len(posts))[:, None] + course
    lonely = rng.binomial(posts.astype(int), np.clip(chance, 0, 1)).astype(float)
    truths = {name: float(weights_M @ course) for name, weights_M in weights.items()}
    return Corpus(posts, lonely, {"effect": world.effect, **truths})


def cells_of(posts_CM: Floats, lonely_CM: Floats, seed: int) -> Cells:
    """As `resampled_cells` makes them, from arrays."""
    sums = np.stack([posts_CM, lonely_CM], axis=2).reshape(len(posts_CM), -1)
    draws = resampled_totals(sparse.csr_array(sums), REPLICATES, seed)
    sides = [BEFORE] * CUT + [AFTER] * (MONTHS - CUT)
    names = [f"{2015 + month // 12}-{month % 12 + 1:02d}" for month in range(MONTHS)]
    keys = pl.DataFrame({"month": names, "period": sides, "inside": True})
    totals = sums.sum(axis=0).reshape(MONTHS, 2)
    draws_RJK = draws.reshape(REPLICATES, MONTHS, 2)
    return Cells(keys, COLUMNS, totals, draws_RJK, sparse.csc_array(sums))


def course_of(cells: Cells) -> Series:
    """The monthly series."""
    sums = pl.DataFrame(cells.totals_JK, schema=COLUMNS)
    shown = {"suppressed": pl.lit(False), "holds_cut": pl.lit(False)}
    months = pl.concat([cells.keys, sums], how="horizontal").with_columns(**shown)
    return series.series_of(months, COLUMNS, ASKED, cells)


def estimated(found: Corpus, seed: int) -> Iterator[tuple[str, str, float, float]]:
    """Estimator, estimand, and the ends of its interval."""
    cells = cells_of(found.posts_CM, found.lonely_CM, seed)
    course = course_of(cells)
    all_posts = difference(*sides(cells, ASKED))
    for estimand in ("posts", "effect"):
        yield "difference", estimand, *_ends(all_posts)
    yield "authors_and_months", "effect", *_ends(_two_way(found))
    yield "naive", "posts", *_naive(cells)
    yield "blocks_of_time", "effect", *_ends(series.blocks_of_time(course, None, None))
    seasonal = series.seasonal(course)
    if seasonal is not None:
        yield "seasonal", "effect", *_ends(seasonal[0])
    level = interrupted.change(course.times_M, course.values_ME[:, 0], course.authors_EMM[0], CUT)
    if level is not None:
        yield "its_level", "effect", level.low[0], level.high[0]
    yield "its_hac", "effect", *_hac(course)
    for name, estimand in (("one_post_an_author", "authors"), ("within_author", "stayers")):
        told = _equal(found, seed, both=estimand == "stayers")
        if told is not None:
            yield name, estimand, *_ends(told)


def _two_way(found: Corpus) -> Estimate:
    sums = np.stack([found.posts_CM, found.lonely_CM], axis=2).reshape(-1, 2)
    month = np.tile(np.arange(MONTHS), len(found.posts_CM))
    author = np.repeat(np.arange(len(found.posts_CM)), MONTHS)
    there = sums[:, 0] > 0
    return twoway.two_way(
        sums[there], (month >= CUT)[there], author[there], month[there], COLUMNS, ASKED
    )


def _ends(told: Estimate) -> tuple[float, float]:
    return float(told.low[0]), float(told.high[0])


def _naive(cells: Cells) -> tuple[float, float]:
    sides = [cells.chosen(in_window(side))[0] for side in (BEFORE, AFTER)]
    shares = [lonely / posts for posts, lonely in sides]
    variance = sum(p * (1 - p) / side[0] for p, side in zip(shares, sides, strict=True))
    told = Corrected(shares[1] - shares[0], float(np.sqrt(variance)))
    return told.interval


def _hac(course: Series) -> tuple[float, float]:
    """Newey and West's errors as statsmodels has them, with the factor for small samples and t."""
    lags = int(np.floor(4 * (MONTHS / 100) ** (2 / 9)))
    fit = OLS(course.values_ME[:, 0], interrupted.design(course.times_M, CUT)).fit(
        cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": True}, use_t=True
    )
    low, high = np.asarray(fit.conf_int())[interrupted.LEVEL]
    return float(low), float(high)


def _equal(found: Corpus, seed: int, *, both: bool) -> Estimate | None:
    sides = []
    for part in (slice(None, CUT), slice(CUT, None)):
        posts, lonely = found.posts_CM[:, part].sum(1), found.lonely_CM[:, part].sum(1)
        safe = np.maximum(posts, 1)
        sides.append(np.stack([posts / safe, lonely / safe], axis=1))
    if both:
        kept = (sides[0][:, 0] > 0) & (sides[1][:, 0] > 0)
        sides = [side[kept] for side in sides]
    clusters = panel.Clusters(*sides)
    if len(clusters) < 30:
        return None
    return panel.resampled_difference(clusters, COLUMNS, ASKED, REPLICATES, seed)


def corrected(
    rng: np.random.Generator, seed: int
) -> Iterator[tuple[str, str, float, float, float]]:
    """Estimator, estimand, ends and truth, where the classifier errs more after the cut."""
    found = corpus(World(), {}, rng)
    rates = {BEFORE: (0.90, 0.97), AFTER: (0.80, 0.90)}
    marked = np.empty_like(found.lonely_CM)
    for side, part in ((BEFORE, slice(None, CUT)), (AFTER, slice(CUT, None))):
        sensitivity, specificity = rates[side]
        true = found.lonely_CM[:, part].astype(int)
        false = found.posts_CM[:, part].astype(int) - true
        marked[:, part] = rng.binomial(true, sensitivity) + rng.binomial(false, 1 - specificity)
    cells = cells_of(found.posts_CM, marked, seed)
    truth = found.truths["effect"]
    yield "raw scores", "effect", *_ends(difference(*sides(cells, ASKED))), truth
    told, drawn = defaultdict(list), []
    for side, part in ((BEFORE, slice(None, CUT)), (AFTER, slice(CUT, None))):
        totals, draws = cells.chosen(in_window(side))
        drawn.append(draws[:, 1] / draws[:, 0])
        share, error = float(totals[1] / totals[0]), float(np.std(drawn[-1], ddof=1))
        posts, lonely = found.posts_CM[:, part].sum(), found.lonely_CM[:, part].sum()
        true = (rng.random(GOLD) < lonely / posts).astype(float)
        sensitivity, specificity = rates[side]
        marks = (rng.random(GOLD) < np.where(true == 1, sensitivity, 1 - specificity)).astype(float)
        ones = np.ones(GOLD)
        told["prediction_powered"].append(
            correction.mean_powered(
                true,
                marks,
                ones,
                scored_mean=share,
                scored_error=error,
                posts=int(posts),
                clustered=True,
            )
        )
        told["rogan_gladen"].append(
            correction.rogan_gladen(share, error, correction.rates(true, marks, ones))
        )
    shared = correction.covariance(drawn[0], drawn[1])
    for name, (before, after) in told.items():
        yield name, "effect", *correction.difference(before, after, shared).interval, truth


def main() -> None:
    """Prints a line an estimator and estimand: coverage in each world."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--worlds", nargs="*", default=[*WORLDS, "classifier"])
    parser.add_argument("--months", type=int, default=MONTHS)
    asked = parser.parse_args()
    globals().update(MONTHS=asked.months, CUT=asked.months * 3 // 4)
    began = time.process_time()
    held: dict[tuple[str, str], dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for name in asked.worlds:
        number = [*WORLDS, "classifier"].index(name)
        weights = month_weights(WORLDS[name]) if name in WORLDS else {}
        for run in range(asked.runs):
            rng = np.random.default_rng([asked.seed, number, run])
            if name == "classifier":
                for estimator, estimand, low, high, truth in corrected(rng, run):
                    held[estimator, estimand][name].append(low <= truth <= high)
                continue
            found = corpus(WORLDS[name], weights, rng)
            for estimator, estimand, low, high in estimated(found, run):
                held[estimator, estimand][name].append(low <= found.truths[estimand] <= high)
            if WORLDS[name].effect == 0:
                course = course_of(cells_of(found.posts_CM, found.lonely_CM, run))
                placebo = series.placebo_dates(course)
                if placebo is not None:
                    held["placebo_dates", "effect"][name].append(bool(placebo.p_E[0] > 0.05))
    band = 1.96 * np.sqrt(0.95 * 0.05 / asked.runs)
    table = Table(
        title=f"Coverage of 95 % intervals, {asked.runs} runs; .95 +- {band:.3f} is chance"
    )
    for column in ("estimator", "estimand", *asked.worlds):
        table.add_column(column, justify="left" if column.startswith("estim") else "right")
    for (estimator, estimand), by_world in held.items():
        shown = [f"{np.mean(by_world[w]):.3f}" if by_world[w] else "" for w in asked.worlds]
        table.add_row(estimator, estimand, *shown)
    Console(width=130).print(table)
    print(f"{time.process_time() - began:.0f} s of CPU")


if __name__ == "__main__":
    main()
