"""Temperatures and reliability: against made-up scores whose temperature is known, and plain counting."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from corpus_lonely import metrics
from corpus_lonely.inference.engine import Engine, EngineSettings
from corpus_lonely.metrics import Array, Targets
from corpus_lonely.model import outputs
from corpus_lonely.model.network import LonelinessModel
from corpus_lonely.taxonomy import loneliness
from corpus_lonely.training.calibration import (
    calibration_error,
    changed_by_group,
    fit_temperatures,
    fit_thresholds,
    reliability,
    temper,
    without_small,
)
from corpus_lonely.training.evaluate import evaluate_model
from corpus_lonely.training.labels import load_labels
from corpus_lonely.training.train import train_model
from tests.tiny import tiny_rows
from tests.training.test_train import settings

CONTEXT = loneliness().slices["context"]


def votes(posts: int, temperature: float) -> tuple[Targets, Array]:
    """Votes drawn from true distributions, and scores that are these, too sure by a temperature."""
    dice = np.random.default_rng(0)
    values, scored = np.zeros((2, posts, 21))
    values[:, 1] = scored[:, 1] = 1
    true = dice.dirichlet(np.ones(5), size=posts)
    values[:, CONTEXT] = np.array([dice.multinomial(3, row) / 3 for row in true])
    scored[:, CONTEXT] = temper(true, 1 / temperature)
    return Targets(loneliness(), values), scored


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_the_temperature_that_made_scores_too_sure_is_found(temperature: float) -> None:
    targets, scored = votes(20_000, temperature)
    found = fit_temperatures(targets, scored, ["context"])
    assert found == {"context": pytest.approx(temperature, rel=0.03)}


def test_tempering_keeps_the_order_and_sums_to_one() -> None:
    _, scored = votes(50, 1.0)
    warm = temper(scored[:, CONTEXT], 3.0)
    np.testing.assert_allclose(warm.sum(axis=1), 1)
    np.testing.assert_array_equal(warm.argsort(axis=1), scored[:, CONTEXT].argsort(axis=1))
    np.testing.assert_allclose(temper(scored[:, CONTEXT], 1.0), scored[:, CONTEXT], atol=1e-9)


def test_a_threshold_leaves_the_largest_and_what_is_left_sums_to_one() -> None:
    shares = np.array([[0.5, 0.3, 0.2], [0.05, 0.9, 0.05], [0.34, 0.33, 0.33]])
    expected = np.array([[0.5 / 0.8, 0.3 / 0.8, 0], [0, 1, 0], [1, 0, 0]])
    np.testing.assert_allclose(without_small(shares, 0.25), [expected[0], expected[1], shares[2]])
    np.testing.assert_allclose(without_small(shares, 0.9), [[1, 0, 0], [0, 1, 0], [1, 0, 0]])
    for threshold in (0.0, 0.25, 0.9):  # the network's is the same
        ours = outputs.without_small(torch.tensor(shares), threshold).numpy()
        np.testing.assert_allclose(ours, without_small(shares, threshold))


def test_the_threshold_found_is_the_best_of_all() -> None:
    targets, scored = votes(400, 1.0)
    found = fit_thresholds(targets, scored, ["context", "lonely"])
    assert found.keys() == {"context"}

    def score(threshold: float) -> float:
        cut = without_small(scored[:, CONTEXT], threshold)
        judged = metrics.distribution_metrics(targets.values_NL[:, CONTEXT], cut)
        return metrics.selection_score({"context": judged}, loneliness())

    by_hand = {threshold: score(threshold) for threshold in np.arange(31) / 100}
    assert score(found["context"]) == pytest.approx(max(by_hand.values()))
    assert 0 < found["context"] < 0.3  # neither end: three votes leave small shares at 0


def test_reliability_counts_as_a_plain_loop_does() -> None:
    targets, scored = votes(200, 2.0)
    target, predicted = targets.values_NL[:, CONTEXT], scored[:, CONTEXT]
    bins: dict[int, list[tuple[float, float]]] = {}
    for p, v in zip(predicted.ravel(), target.ravel(), strict=True):
        bins.setdefault(min(int(p * 10), 9), []).append((float(p), float(v)))
    found = reliability(target, predicted)
    assert [entry.count for entry in found] == [len(bins[place]) for place in sorted(bins)]
    for entry, place in zip(found, sorted(bins), strict=True):
        assert entry.predicted == pytest.approx(np.mean([p for p, _ in bins[place]]))
        assert entry.voted == pytest.approx(np.mean([v for _, v in bins[place]]))


def test_calibration_lessens_the_error() -> None:
    targets, scored = votes(5_000, 2.5)
    found = fit_temperatures(targets, scored, ["context"])
    mended = changed_by_group(temper, targets, scored, found)
    errors = [
        calibration_error(reliability(targets.values_NL[:, CONTEXT], one[:, CONTEXT]))
        for one in (scored, mended)
    ]
    assert errors[1] < 0.02 < 0.08 < errors[0]


def test_a_calibrated_model_scores_with_its_temperatures(
    tiny_labels: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    for name, calibrate in (("plain", False), ("warm", True)):
        run = settings(tiny_labels, tiny_encoder, tmp_path / name, calibrate=calibrate)
        train_model(run)
    warm = LonelinessModel.from_pretrained(tmp_path / "warm")
    assert set(warm.config.temperatures) == set(loneliness().slices)
    dev = load_labels(tiny_labels, loneliness())["dev"]
    exactly = EngineSettings(precision="fp32", threads=1)
    scored = {
        name: Engine.load(tmp_path / name, exactly).score(dev.texts).probabilities_NL.astype(float)
        for name in ("plain", "warm")
    }
    np.testing.assert_allclose(
        changed_by_group(temper, dev.targets, scored["plain"], warm.config.temperatures),
        scored["warm"],
        atol=1e-5,
    )
    record = json.loads((tmp_path / "warm" / "training.json").read_text("utf-8"))
    judged = evaluate_model(tmp_path / "warm", tiny_labels, settings=exactly).results
    assert record["dev"]["context"]["kl"] == pytest.approx(judged["context"]["kl"], abs=1e-4)
    plain = metrics.evaluate(dev.targets, scored["plain"])
    assert judged["context"]["kl"] <= plain["context"]["kl"] + 1e-6


def test_the_evaluation_tells_reliability(tiny_model: Path, tiny_labels: Path) -> None:
    told = evaluate_model(tiny_model, tiny_labels).to_dict()
    assert set(told["calibration_error"]) == set(loneliness().slices)
    lonely = sum(row["lonely"] == [0, 1] for row in tiny_rows(16, seed=1))
    assert sum(entry["count"] for entry in told["reliability"]["context"]) == 5 * lonely
    json.dumps(told)
