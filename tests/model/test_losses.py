"""Distances and group losses, against torch's own and values worked by hand."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy as torch_cross_entropy
from torch.nn.functional import kl_div

from corpus_lonely.model.losses import (
    LOSSES,
    cross_entropy,
    equal_shares,
    group_losses,
    hellinger,
    kl,
)
from corpus_lonely.taxonomy import loneliness

TARGET = torch.tensor([[2 / 3, 1 / 3, 0.0], [0.0, 1.0, 0.0]])
LOGITS = torch.tensor([[1.0, 0.5, -1.0], [0.2, 0.1, 0.3]])


def test_cross_entropy_equals_torch() -> None:
    expected = torch_cross_entropy(LOGITS, TARGET, reduction="none")
    torch.testing.assert_close(cross_entropy(TARGET, LOGITS.softmax(-1)), expected)


def test_kl_equals_torch() -> None:
    expected = kl_div(LOGITS.log_softmax(-1), TARGET, reduction="none").sum(-1)
    torch.testing.assert_close(kl(TARGET, LOGITS.softmax(-1)), expected)


def test_kl_and_cross_entropy_differ_by_the_targets_entropy_and_not_in_gradients() -> None:
    gradients = []
    for distance in (kl, cross_entropy):
        logits = LOGITS.clone().requires_grad_()
        distance(TARGET, logits.softmax(-1)).sum().backward()
        assert logits.grad is not None
        gradients.append(logits.grad)
    torch.testing.assert_close(*gradients)
    predicted = LOGITS.softmax(-1)
    apart = cross_entropy(TARGET, predicted) - kl(TARGET, predicted)
    torch.testing.assert_close(apart, torch.special.entr(TARGET).sum(-1))


def test_hellinger_by_hand() -> None:
    target, predicted = torch.tensor([[0.5, 0.5]]), torch.tensor([[0.25, 0.75]])
    assert hellinger(target, predicted).item() == pytest.approx(
        1 - (math.sqrt(1 / 8) + math.sqrt(3 / 8))
    )


@pytest.mark.parametrize("name", ["kl", "hellinger"])
def test_a_perfect_prediction_costs_nothing(name: str) -> None:
    assert LOSSES[name](TARGET, TARGET).abs().max().item() < 1e-5


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_finite_where_a_probability_is_zero(name: str) -> None:
    predicted = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]], requires_grad=True)
    LOSSES[name](TARGET, predicted).sum().backward()
    assert predicted.grad is not None
    assert torch.isfinite(predicted.grad).all()


def targets(lonely: list[bool]) -> torch.Tensor:
    rows = torch.zeros(len(lonely), 21)
    for row, is_lonely in enumerate(lonely):
        rows[row, int(is_lonely)] = 1
        if is_lonely:
            for part in list(loneliness().slices.values())[1:]:
                rows[row, part.start] = 1
    return rows


PARTS = loneliness().slices


def test_non_lonely_posts_are_masked_out_of_the_categories() -> None:
    torch.manual_seed(0)
    predicted = torch.cat([torch.rand(4, n).softmax(-1) for n in (2, 4, 5, 5, 5)], dim=1)
    all_four = group_losses(kl, targets([True, False, True, False]), predicted, PARTS)
    lonely_two = group_losses(kl, targets([True, True]), predicted[[0, 2]], PARTS)
    torch.testing.assert_close(all_four[1:], lonely_two[1:])
    assert all_four[0] != lonely_two[0]


def test_a_batch_without_lonely_posts_costs_nothing_in_the_categories() -> None:
    predicted = torch.full((2, 21), 0.2, requires_grad=True)
    losses_G = group_losses(kl, targets([False, False]), predicted, PARTS)
    assert losses_G[1:].tolist() == [0, 0, 0, 0]
    losses_G.sum().backward()
    assert predicted.grad is not None
    assert predicted.grad[:, 2:].abs().max().item() == 0


def test_eq_1_is_the_root_plus_the_mean_of_the_categories() -> None:
    losses_G = torch.tensor([1.0, 2.0, 4.0, 6.0, 8.0])
    assert float(losses_G @ equal_shares(list(PARTS), "lonely")) == 1 + 5


def test_eq_1_of_some_groups() -> None:
    assert equal_shares(["duration", "context"], "lonely").tolist() == [0.5, 0.5]
    assert equal_shares(["lonely", "duration"], "lonely").tolist() == [1, 1]
    assert equal_shares(["lonely"], "lonely").tolist() == [1]
