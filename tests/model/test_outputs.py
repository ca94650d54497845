"""Sparse mappings and their losses, against their definitions worked out another way."""

import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import brentq

from corpus_lonely.model.outputs import OUTPUTS, by_group, fenchel_young
from corpus_lonely.taxonomy import loneliness

ALPHA = {"entmax15": 1.5, "sparsemax": 2.0}
SCORES = np.random.default_rng(0).normal(size=(7, 5)) * 2


def by_bisection(scores_K: np.ndarray, alpha: float) -> np.ndarray:
    """p = max(0, (alpha - 1) z - tau)^(1 / (alpha - 1)), tau such that they sum to 1: Peters et al., eq. 10."""
    scaled = (alpha - 1) * scores_K

    def shares(tau: float) -> np.ndarray:
        return np.maximum(scaled - tau, 0) ** (1 / (alpha - 1))

    return shares(brentq(lambda tau: shares(tau).sum() - 1, scaled.max() - 1, scaled.max()))


@pytest.mark.parametrize("output", ["entmax15", "sparsemax"])
def test_the_mapping_is_that_of_its_definition(output: str) -> None:
    given = OUTPUTS[output](torch.tensor(SCORES)).numpy()
    expected = np.stack([by_bisection(row, ALPHA[output]) for row in SCORES])
    np.testing.assert_allclose(given, expected, atol=1e-9)
    assert (given == 0).any()


def test_groups_sum_to_one_and_labels_can_be_at_exactly_zero() -> None:
    taxonomy = loneliness()
    scores = torch.randn(9, 21, generator=torch.Generator().manual_seed(0)) * 3
    for output, has_zeros in (("softmax", False), ("entmax15", True), ("sparsemax", True)):
        shares = by_group(output, scores, taxonomy)
        sums = torch.stack([shares[:, part].sum(-1) for part in taxonomy.slices.values()])
        torch.testing.assert_close(sums, torch.ones(5, 9))
        assert bool((shares == 0).any()) == has_zeros


@pytest.mark.parametrize("output", ["entmax15", "sparsemax"])
def test_the_loss_is_zero_at_the_target_and_its_gradient_is_the_difference(output: str) -> None:
    scores = torch.tensor(SCORES, requires_grad=True)
    given = OUTPUTS[output](scores).detach()
    loss = fenchel_young(output)
    torch.testing.assert_close(loss(given, scores), torch.zeros(7, dtype=torch.double), atol=1e-9, rtol=0)  # fmt: skip
    target = torch.tensor(np.random.default_rng(1).dirichlet(np.ones(5), size=7))
    cost = loss(target, scores)
    assert (cost > 0).all()
    (gradient,) = torch.autograd.grad(cost.sum(), scores)
    torch.testing.assert_close(gradient, given - target)
    # and that is what finite differences of the loss give
    for row, label in itertools.product((0, 3), range(5)):
        step = torch.zeros_like(scores)
        step[row, label] = 1e-6
        slope = (loss(target, scores + step) - loss(target, scores - step))[row] / 2e-6
        torch.testing.assert_close(slope, gradient[row, label], atol=1e-5, rtol=0)


def test_a_label_at_zero_that_was_voted_for_comes_back() -> None:
    scores = torch.tensor([[5.0, 0.0]], requires_grad=True)
    assert OUTPUTS["sparsemax"](scores).tolist() == [[1.0, 0.0]]
    fenchel_young("sparsemax")(torch.tensor([[0.0, 1.0]]), scores).sum().backward()
    assert scores.grad is not None
    assert scores.grad.tolist() == [[1.0, -1.0]]


@pytest.mark.parametrize("output", sorted(OUTPUTS))
def test_a_row_that_overflowed_is_nan_and_the_others_stay(output: str) -> None:
    """The engine computes such rows again; an index beyond the row would end a GPU's process."""
    taxonomy = loneliness()
    scores = torch.randn(3, taxonomy.num_outputs)
    expected = by_group(output, scores, taxonomy)
    part = taxonomy.slices["context"]
    scores[1, part.start] = torch.nan
    given = by_group(output, scores, taxonomy)
    torch.testing.assert_close(given[[0, 2]], expected[[0, 2]])
    assert given[1].isnan().tolist() == [part.start <= n < part.stop for n in range(given.shape[1])]
