"""Means over seeds and paired intervals: against plain loops, SciPy, and how often they hold the truth."""

import numpy as np
import pytest
from scipy.stats import bootstrap
from scipy.stats import t as student

from corpus_lonely import metrics
from corpus_lonely.metrics import Array, Targets
from corpus_lonely.taxonomy import loneliness
from corpus_lonely.training.experiment.compare import differences, mean_results, spread

TAXONOMY = loneliness()
GROUPS = [group.name for group in TAXONOMY.groups]


def make(posts: int, seed: int, seeds: int = 2) -> tuple[Targets, Array]:
    """Targets of made-up votes, and scores that know something of them."""
    dice = np.random.default_rng(seed)
    values = np.zeros((posts, TAXONOMY.num_outputs))
    lonely = dice.random(posts) < 0.5
    values[np.arange(posts), lonely.astype(int)] = 1
    for category in TAXONOMY.categories:
        labels = len(category.labels)
        votes = dice.multinomial(3, np.full(labels, 1 / labels), size=posts) / 3
        values[:, TAXONOMY.slices[category.name]] = votes * lonely[:, None]
    scored = np.empty((seeds, *values.shape))
    for part in TAXONOMY.slices.values():
        noise = dice.gamma(0.5, size=(seeds, posts, part.stop - part.start)) + 0.6 * values[:, part]
        scored[:, :, part] = noise / noise.sum(axis=2, keepdims=True)
    return Targets(TAXONOMY, values), scored


def test_a_difference_is_that_of_the_metrics() -> None:
    targets, system = make(120, 0)
    _, baseline = make(120, 1, seeds=3)
    found = differences(targets, system, baseline, GROUPS, replicates=50)
    assert len(found) == 4 + 4 * 7
    for entry in found:
        means = [
            np.mean([metrics.evaluate(targets, one)[entry.group][entry.metric] for one in scored])
            for scored in (system, baseline)
        ]
        assert entry.value == pytest.approx(means[0] - means[1], abs=1e-12)
        assert entry.low <= entry.high


def with_seeds(run: int, seeds: int, between: float, posts: int = 300) -> tuple[Targets, Array]:
    """Seeds of one system: posts are as hard for all, some seeds are better throughout, the rest is noise."""
    dice = np.random.default_rng(run)
    targets, _ = make(posts, run)
    scored = np.empty((seeds, *targets.values_NL.shape))
    for part in TAXONOMY.slices.values():
        labels = part.stop - part.start
        common = 2 * targets.values_NL[:, part] + dice.normal(size=(posts, labels))
        skill = 1 + between * dice.normal(size=(seeds, 1, 1))
        lean = between * dice.normal(size=(seeds, 1, labels))
        odds = np.exp(skill * common + lean + 0.3 * dice.normal(size=(seeds, posts, labels)))
        scored[:, :, part] = odds / odds.sum(axis=2, keepdims=True)
    return targets, scored


@pytest.mark.parametrize(("seeds", "most"), [(2, 0.08), (3, 0.06)])
def test_a_system_is_told_from_itself_no_oftener_than_chance_has_it(
    seeds: int, most: float
) -> None:
    groups = ["lonely", "context"]
    bold: list[bool] = []
    over_posts_alone: list[bool] = []
    for run in range(80):
        targets, scored = with_seeds(run, 2 * seeds, between=0.15)
        one, other = scored[:seeds], scored[seeds:]
        bold += [entry.clear for entry in differences(targets, one, other, groups, 200)]
        apart = differences(targets, one[:1], other[:1], groups, 200)
        over_posts_alone += [entry.low > 0 or entry.high < 0 for entry in apart]
    assert 0.005 < np.mean(bold) < most
    assert np.mean(over_posts_alone) > 0.15  # what is to be mended


def test_a_difference_far_greater_than_between_seeds_is_seen() -> None:
    targets, scored = with_seeds(0, 6, between=0.05)
    worse = 0.5 * scored[3:] + 0.5 * scored[3:].mean(axis=1, keepdims=True)
    entry = differences(targets, scored[:3], worse, ["context"], 200)[3]
    assert (entry.metric, entry.clear) == ("cosine", True)
    assert entry.high < 0 or entry.low > 0


def test_the_variance_is_that_over_posts_and_that_over_seeds() -> None:
    targets, scored = with_seeds(0, 5, between=0.3)
    sides = scored[:3], scored[3:]
    entry = differences(targets, *sides, ["context"], 2_000)[3]
    part = TAXONOMY.slices["context"]
    target_NK, known_N = targets.group(TAXONOMY.category_of("context"))
    by_post = [
        np.stack([metrics.cosine(target_NK, one[known_N][:, part]) for one in s]) for s in sides
    ]
    apart = by_post[0].mean(axis=0) - by_post[1].mean(axis=0)
    counted_twice = sum(
        (p - p.mean(axis=0)).var(axis=1).sum() / (len(p) * (len(p) - 1) * p.shape[1])
        for p in by_post
    )
    of_seeds = [p.mean(axis=1).var(ddof=1) / len(p) for p in by_post]
    total = apart.var() / known_N.sum() - counted_twice + sum(of_seeds)
    freedom = total**2 / (of_seeds[0] ** 2 / 2 + of_seeds[1] ** 2 / 1)
    half = student.ppf(0.975, freedom) * np.sqrt(total)
    assert entry.high - entry.value == pytest.approx(half, rel=0.1)
    assert entry.value - entry.low == pytest.approx(half, rel=0.1)


def test_one_seed_on_a_side_is_never_clear() -> None:
    targets, scored = with_seeds(2, 3, between=0.1)
    worse = np.full_like(scored[:1], 0.25)
    for one, other in ((scored, worse), (worse, scored)):
        for entry in differences(targets, one, other, ["context"], 200):
            assert not entry.over_seeds
            assert not entry.clear
    assert entry.low > 0 or entry.high < 0


def test_the_interval_is_scipys() -> None:
    targets, system = make(200, 0, seeds=1)
    _, baseline = make(200, 1, seeds=1)
    entry = next(
        e for e in differences(targets, system, baseline, ["context"], replicates=20_000)
        if e.metric == "cosine"
    )  # fmt: skip
    target_NK, known_N = targets.group(TAXONOMY.category_of("context"))
    part = TAXONOMY.slices["context"]
    by_post = metrics.cosine(target_NK, system[0][known_N][:, part]) - metrics.cosine(
        target_NK, baseline[0][known_N][:, part]
    )
    scipys = bootstrap(
        (by_post,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(0)
    ).confidence_interval
    # SciPy draws lonely posts alone, we draw all posts, of which about half are lonely
    assert entry.low == pytest.approx(scipys.low, abs=0.004)
    assert entry.high == pytest.approx(scipys.high, abs=0.004)


def test_f1_is_counted_anew_in_every_replicate() -> None:
    targets, system = make(60, 0, seeds=1)
    _, baseline = make(60, 1)
    entry = differences(targets, system, baseline, ["lonely"], replicates=3, seed=5)[3]
    dice, slow = np.random.default_rng(5), []
    for counts in dice.multinomial(60, np.full(60, 1 / 60), size=3):
        rows = np.repeat(np.arange(60), counts)
        drawn = Targets(TAXONOMY, targets.values_NL[rows])
        f1 = [
            np.mean([metrics.evaluate(drawn, one[rows])["lonely"]["f1"] for one in scored])
            for scored in (system, baseline)
        ]
        slow.append(f1[0] - f1[1])
    assert entry.metric == "f1"
    assert (entry.low, entry.high) == pytest.approx(np.percentile(slow, [2.5, 97.5]))


def test_a_system_does_not_differ_from_itself() -> None:
    targets, system = make(50, 0)
    for entry in differences(targets, system, system, GROUPS, replicates=100):
        assert entry.value == 0
        assert not entry.clear
    for entry in differences(targets, system[:1], system[:1], GROUPS, replicates=100):
        assert (entry.value, entry.low, entry.high) == (0, 0, 0)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    held = 0
    for run in range(150):
        targets, scored = make(150, run, seeds=2)  # two draws of one system: the truth is 0
        entry = differences(targets, scored[:1], scored[1:], ["context"], replicates=300)[3]
        held += entry.low <= 0 <= entry.high
    assert 0.89 < held / 150 <= 1


def test_spread_is_the_mean_and_the_sample_deviation() -> None:
    assert spread([1.0, 2.0, 4.0]) == pytest.approx((7 / 3, np.std([1, 2, 4], ddof=1)))
    assert spread([1.0])[0] == 1
    assert np.isnan(spread([1.0])[1])
    rows = [{"lonely": {"f1": 0.9}}, {"lonely": {"f1": 1.0}}]
    assert mean_results(rows)["lonely"]["f1"][0] == pytest.approx(0.95)
