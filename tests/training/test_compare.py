"""Means over seeds and paired intervals: against plain loops, SciPy, and how often they hold the truth."""

import numpy as np
import pytest
from scipy.stats import bootstrap

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
    targets, system = make(60, 0)
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
        assert (entry.value, entry.low, entry.high) == (0, 0, 0)
        assert not entry.clear


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    held = 0
    for run in range(150):
        targets, scored = make(150, run, seeds=2)  # two draws of one system: the truth is 0
        entry = differences(targets, scored[:1], scored[1:], ["context"], replicates=300)[3]
        held += not entry.clear
    assert 0.89 < held / 150 <= 1


def test_spread_is_the_mean_and_the_sample_deviation() -> None:
    assert spread([1.0, 2.0, 4.0]) == pytest.approx((7 / 3, np.std([1, 2, 4], ddof=1)))
    assert spread([1.0])[0] == 1
    assert np.isnan(spread([1.0])[1])
    rows = [{"lonely": {"f1": 0.9}}, {"lonely": {"f1": 1.0}}]
    assert mean_results(rows)["lonely"]["f1"][0] == pytest.approx(0.95)
