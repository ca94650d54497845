"""The paper's metrics, against values worked by hand, SciPy, and plain loops."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import canberra as scipy_canberra
from scipy.spatial.distance import cosine as scipy_cosine
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy
from sklearn.metrics import precision_recall_fscore_support

from corpus_lonely import metrics
from corpus_lonely.taxonomy import Taxonomy, loneliness

# one post, three labels: votes 2, 1, 0 against (.5, .3, .2)
P = np.array([[2 / 3, 1 / 3, 0.0]])
Q = np.array([[0.5, 0.3, 0.2]])


def test_values_worked_by_hand() -> None:
    # |P-Q|/(P+Q): (1/6)/(7/6) = 1/7, (1/30)/(19/30) = 1/19, 1
    ratios = [1 / 7, 1 / 19, 1.0]
    assert metrics.canberra(P, Q)[0] == pytest.approx(sum(ratios))
    assert metrics.clark(P, Q)[0] == pytest.approx(math.sqrt(sum(r * r for r in ratios)))
    assert metrics.intersection(P, Q)[0] == pytest.approx(0.8)
    assert metrics.cosine(P, Q)[0] == pytest.approx((13 / 30) / (math.sqrt(5) / 3 * 0.38**0.5))
    assert metrics.kl(P, Q)[0] == pytest.approx(2 / 3 * math.log(4 / 3) + 1 / 3 * math.log(10 / 9))
    assert metrics.mode_accuracy(P, Q)[0] == 1


def test_mode_accuracy_takes_any_mode_of_the_votes() -> None:
    tie = np.array([[1 / 3, 1 / 3, 1 / 3], [0.5, 0.5, 0.0]])
    assert metrics.mode_accuracy(tie, np.array([[0.1, 0.2, 0.7], [0.1, 0.2, 0.7]])).tolist() == [
        1,
        0,
    ]


def test_a_uniform_guess_scores_its_chance() -> None:
    uniform = np.full((2, 4), 0.25)
    target = np.array([[1.0, 0, 0, 0], [0.5, 0.5, 0, 0]])
    assert metrics.mode_accuracy(target, uniform).tolist() == [0.25, 0.5]


def distributions(rows: int = 5, labels: int = 4) -> st.SearchStrategy[np.ndarray]:
    raw = arrays(np.float64, (rows, labels), elements=st.sampled_from([0.0, 0.1, 1.0, 2.0, 3.0]))
    return raw.filter(lambda a: bool((a.sum(axis=1) > 0).all())).map(
        lambda a: a / a.sum(axis=1, keepdims=True)
    )


@given(distributions(), distributions())
def test_metrics_equal_scipy(target: np.ndarray, predicted: np.ndarray) -> None:
    for row, (p, q) in enumerate(zip(target, predicted, strict=True)):
        assert metrics.canberra(target, predicted)[row] == pytest.approx(scipy_canberra(p, q))
        assert metrics.cosine(target, predicted)[row] == pytest.approx(1 - scipy_cosine(p, q))
        assert metrics.js(target, predicted)[row] == pytest.approx(
            jensenshannon(p, q) ** 2, abs=1e-9
        )
        assert metrics.kl(target, predicted)[row] == pytest.approx(entropy(p, q), abs=1e-9)


def test_kl_is_infinite_where_a_label_with_votes_has_no_probability() -> None:
    target = np.array([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    given = np.array([[1.0, 0.0, 0.0], [0.5, 0.25, 0.25], [1.0, 0.0, 0.0]])
    assert metrics.kl(target, given).tolist() == pytest.approx([math.inf, 0.5 * math.log(2), 0])
    assert metrics.js(target, given)[0] == pytest.approx(jensenshannon(target[0], given[0]) ** 2)
    assert metrics.distribution_metrics(target, given)["kl"] == math.inf


def loop_metrics(target: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Table 2 of the paper, written down again as plain loops."""
    totals = dict.fromkeys(("clark", "canberra", "cosine", "intersection"), 0.0)
    for p, q in zip(target.tolist(), predicted.tolist(), strict=True):
        pairs = list(zip(p, q, strict=True))
        parts = [abs(a - b) / (a + b) if a + b else 0.0 for a, b in pairs]
        totals["clark"] += math.sqrt(sum(x * x for x in parts))
        totals["canberra"] += sum(parts)
        totals["cosine"] += sum(a * b for a, b in pairs) / (math.hypot(*p) * math.hypot(*q))
        totals["intersection"] += sum(min(a, b) for a, b in pairs)
    return {name: total / len(target) for name, total in totals.items()}


@given(distributions(), distributions())
def test_metrics_equal_plain_loops(target: np.ndarray, predicted: np.ndarray) -> None:
    found = metrics.distribution_metrics(target, predicted)
    for name, value in loop_metrics(target, predicted).items():
        assert found[name] == pytest.approx(value)


def test_a_label_without_votes_costs_one_whatever_its_probability() -> None:
    target = np.array([[1.0, 0.0, 0.0]])
    tiny = np.array([[1 - 2e-9, 1e-9, 1e-9]])
    assert metrics.canberra(target, tiny)[0] == pytest.approx(2, abs=1e-6)
    assert metrics.canberra(target, target)[0] == 0
    assert metrics.softmax_floors(target) == {"clark": math.sqrt(2), "canberra": 2.0}


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1))
def test_binary_metrics_equal_scikit_learn(pairs: list[tuple[bool, bool]]) -> None:
    target, predicted = (np.array(side) for side in zip(*pairs, strict=True))
    expected = precision_recall_fscore_support(
        target, predicted, average="binary", pos_label=True, zero_division=0
    )
    found = metrics.binary_metrics(target, predicted)
    assert [found[name] for name in ("precision", "recall", "f1")] == pytest.approx(expected[:3])
    assert found["accuracy"] == (target == predicted).mean()


@pytest.fixture
def taxonomy() -> Taxonomy:
    return loneliness()


def make_targets(taxonomy: Taxonomy, lonely: int, other: int) -> metrics.Targets:
    dice = np.random.default_rng(0)
    rows = []
    for post in range(lonely + other):
        row = [0.0, 1.0] if post < lonely else [1.0, 0.0]
        for category in taxonomy.categories:
            votes = np.bincount(
                dice.integers(0, len(category.labels), 3), minlength=len(category.labels)
            )
            row += (votes / 3 * (post < lonely)).tolist()
        rows.append(row)
    return metrics.Targets(taxonomy, np.array(rows))


def test_non_lonely_posts_do_not_count_in_the_categories(taxonomy: Taxonomy) -> None:
    targets = make_targets(taxonomy, lonely=6, other=9)
    uniform = np.concatenate([np.full(len(g.labels), 1 / len(g.labels)) for g in taxonomy.groups])
    guess = np.tile(uniform, (15, 1))
    guess[:6] = targets.values_NL[:6]  # right on lonely posts, useless on the others
    guess[6:, :2] = [1, 0]
    results = metrics.evaluate(targets, guess)
    for category in taxonomy.categories:
        assert results[category.name]["accuracy"] == 1
        assert results[category.name]["intersection"] == pytest.approx(1)
    assert results["lonely"] == {"accuracy": 1, "precision": 1, "recall": 1, "f1": 1}


def test_mean_targets_average_over_lonely_posts_alone(taxonomy: Taxonomy) -> None:
    targets = make_targets(taxonomy, lonely=4, other=12)
    means = metrics.mean_targets(targets)
    assert means[:2] == pytest.approx([0.75, 0.25])
    assert means[2:] == pytest.approx(targets.values_NL[:4, 2:].mean(axis=0))


def test_selection_score_leaves_out_what_can_be_gamed(taxonomy: Taxonomy) -> None:
    targets = make_targets(taxonomy, lonely=6, other=9)
    results = metrics.evaluate(targets, np.maximum(targets.values_NL, 1e-9))
    perfect = metrics.selection_score(results, taxonomy)
    for category in taxonomy.categories:
        results[category.name].update(clark=9, canberra=9)
    assert metrics.selection_score(results, taxonomy) == perfect == pytest.approx(1)


def test_baselines_and_floors_cover_every_group(taxonomy: Taxonomy) -> None:
    targets = make_targets(taxonomy, lonely=6, other=9)
    means = metrics.mean_targets(targets)
    found = metrics.baselines(targets, means)
    assert list(found) == ["uniform", "train mean", "train mode", "always lonely"]
    always = {"accuracy": 0.4, "precision": 0.4, "recall": 1.0, "f1": pytest.approx(0.8 / 1.4)}
    assert found["always lonely"] == {"lonely": always}  # and nothing of the categories
    one_hot = found["train mode"]["context"]
    assert one_hot["canberra"] < metrics.floors(targets)["context"]["canberra"]
    assert found["train mean"]["context"]["kl"] < found["uniform"]["context"]["kl"]
