"""Losses to one: against values worked by hand, the papers' formulas, and what FACTS predict."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from corpus_lonely.model.losses import LOSSES as DISTANCES
from corpus_lonely.model.losses import equal_shares, group_losses
from corpus_lonely.model.weighting import (
    DynamicAverage,
    Learned,
    Surgery,
    Weighting,
    make_weighting,
)
from corpus_lonely.training.settings import TrainSettings

GROUPS = ("lonely", "duration", "context", "interpersonal", "interaction")
HEADS = ("global", "local")
# what cross-entropy cannot fall below in each group: targets that are themselves spread out
FLOORS = torch.tensor([[0.0, 0.63, 0.24, 0.38, 0.20]])
LOSSES = torch.tensor([[0.5, 1.0, 1.5, 2.0, 2.5], [0.25, 0.5, 0.75, 1.0, 1.25]])


def make(name: str, entropy: float = 0.5) -> Weighting:
    return make_weighting(name, HEADS, GROUPS, "lonely", entropy)


def descend(weighting: Weighting, losses: Tensor, steps: int, rate: float = 0.05) -> None:
    optimizer = torch.optim.AdamW(weighting.parameters(), lr=rate, weight_decay=0)
    for _ in range(steps):
        optimizer.zero_grad()
        weighting(losses).backward()
        optimizer.step()


def test_equal_is_eq_1() -> None:
    by_hand = ((0.5 + 7 / 4) + (0.25 + 3.5 / 4)) / 2
    assert make("equal")(LOSSES).item() == pytest.approx(by_hand)
    assert make("equal").weights() == {}


def test_learned_weights_start_equal_and_stay_on_the_simplex() -> None:
    weighting = make("learned")
    assert weighting(LOSSES).item() == pytest.approx(LOSSES.mean().item())
    descend(weighting, LOSSES, 20)
    assert set(weighting.weights()) == {"global", "local", "heads"}
    for shares in weighting.weights().values():
        assert sum(shares.values()) == pytest.approx(1)
        assert all(share > 0 for share in shares.values())


def test_learned_weights_run_to_the_vertex_of_the_smallest_loss() -> None:
    weighting = make_weighting("learned", ["flat"], GROUPS, "lonely", 0.5)
    descend(weighting, FLOORS, 1000)
    assert weighting.weights()["flat"]["lonely"] > 0.95
    assert "heads" not in weighting.weights()  # one head has nothing to be weighed against


def test_an_entropy_term_stops_at_the_softmax_of_the_losses() -> None:
    weighting = make_weighting("learned-entropy", ["flat"], GROUPS, "lonely", 0.5)
    descend(weighting, FLOORS, 1000)
    expected = (-FLOORS[0] / 0.5).softmax(dim=0)
    found = torch.tensor(list(weighting.weights()["flat"].values()))
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


# of one post each group's votes of three raters: agreed on, two to one, all apart
VOTES = torch.tensor([[0.0, 1.0, 2 / 3, 1 / 3, 0.0, 1 / 3, 1 / 3, 1 / 3]])
PARTS = {"lonely": slice(0, 2), "context": slice(2, 5), "duration": slice(5, 8)}


def at_the_best(loss: str, name: str) -> dict[str, float]:
    """The weights that descend the groups' losses of a prediction that cannot be bettered."""
    losses_HG = group_losses(DISTANCES[loss], VOTES, VOTES, PARTS)[None]
    weighting = make_weighting(name, ["flat"], list(PARTS), "lonely", 0.5)
    descend(weighting, losses_HG, 1000)
    return weighting.weights()["flat"]


def test_the_default_distance_can_be_0_in_every_group_and_then_moves_no_weight() -> None:
    default = TrainSettings("labels", "encoder", Path("out")).loss
    for name in ("learned", "learned-entropy"):
        assert list(at_the_best(default, name).values()) == pytest.approx([1 / 3] * 3, abs=1e-4)


def test_cross_entropy_keeps_the_votes_entropy_and_moves_them_to_the_group_most_agreed_on() -> None:
    assert at_the_best("cross-entropy", "learned")["lonely"] > 0.95
    entropies = torch.tensor([0.0, math.log(3) - 2 / 3 * math.log(2), math.log(3)])
    found = torch.tensor(list(at_the_best("cross-entropy", "learned-entropy").values()))
    torch.testing.assert_close(found, (-entropies / 0.5).softmax(dim=0), atol=1e-3, rtol=0)


def test_with_two_heads_each_has_the_softmax_of_its_own_losses() -> None:
    weighting = make("learned-entropy")
    descend(weighting, LOSSES, 3000, rate=0.02)
    for head, losses_G in zip(HEADS, LOSSES, strict=True):
        found = torch.tensor(list(weighting.weights()[head].values()))
        torch.testing.assert_close(found, (-losses_G / 0.5).softmax(dim=0), atol=1e-2, rtol=0)


def test_the_entropy_of_every_vector_counts() -> None:
    weighting = Learned(HEADS, GROUPS, entropy=0.3)
    spread = math.log(5) + math.log(2)
    assert weighting(LOSSES).item() == pytest.approx(LOSSES.mean().item() - 0.3 * spread, rel=1e-5)


def test_uncertainty_is_kendalls() -> None:
    weighting = make("uncertainty")
    means = LOSSES.mean(dim=0)
    assert weighting(LOSSES).item() == pytest.approx(0.5 * means.sum().item())
    descend(weighting, LOSSES, 3000, rate=0.01)
    # the optimum of L / (2 s^2) + log(s^2) / 2 is s^2 = L: the weight is 1 / L
    weighting(LOSSES.clone().requires_grad_())
    expected = (1 / means) / (1 / means).sum()
    found = torch.tensor(list(weighting.weights()["groups"].values()))
    torch.testing.assert_close(found, expected, atol=2e-2, rtol=0)


def test_imtl_l_brings_scaled_losses_to_one() -> None:
    weighting = make("imtl-l")
    descend(weighting, LOSSES, 3000, rate=0.01)
    (scale,) = weighting.parameters()
    torch.testing.assert_close(scale.exp() * LOSSES.mean(dim=0), torch.ones(5), atol=2e-2, rtol=0)


def epoch(weighting: Weighting, losses: Tensor, batches: int = 3) -> None:
    for _ in range(batches):
        weighting(losses.clone().requires_grad_())
    weighting.end_epoch()


def test_dynamic_averages_follow_the_rates_of_descent() -> None:
    weighting = make("dwa")
    epoch(weighting, LOSSES)
    assert list(weighting.weights()["groups"].values()) == pytest.approx([0.2] * 5)
    slower = LOSSES * torch.tensor([0.5, 0.6, 0.7, 0.8, 0.9])
    epoch(weighting, slower)
    weighting(slower.clone().requires_grad_())
    # Liu et al., CVPR 2019, eq. 7, temperature 2
    expected = (torch.tensor([0.5, 0.6, 0.7, 0.8, 0.9]) / 2).softmax(dim=0)
    found = torch.tensor(list(weighting.weights()["groups"].values()))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("epochs", [0, 1, 2, 3])
def test_dynamic_averages_are_restored(epochs: int) -> None:
    first, second = DynamicAverage(HEADS, GROUPS), DynamicAverage(HEADS, GROUPS)
    shrinking = [
        LOSSES * torch.rand(5, generator=torch.Generator().manual_seed(n)) for n in range(5)
    ]
    for losses in shrinking[:epochs]:
        epoch(first, losses)
    second.load_state_dict(first.state_dict())
    for losses in shrinking[epochs:]:
        assert first(losses).item() == second(losses).item()
        first.end_epoch()
        second.end_epoch()


def test_surgery_weighs_as_eq_1_does() -> None:
    weighting = make("pcgrad")
    assert isinstance(weighting, Surgery)
    total = torch.stack(weighting.losses(LOSSES)).sum().item()
    assert total == pytest.approx(make("equal")(LOSSES).item())


@pytest.mark.parametrize("name", ["equal", "learned", "learned-entropy", "uncertainty", "imtl-l", "dwa", "pcgrad"])  # fmt: skip
def test_one_group_alone(name: str, tmp_path: Path) -> None:
    weighting = make_weighting(name, ["flat"], ["duration"], "lonely", 0.5)
    loss = weighting(torch.tensor([[0.7]], requires_grad=True))
    assert torch.isfinite(loss)
    assert equal_shares(["duration"], "lonely").tolist() == [1]


def test_a_name_that_is_none() -> None:
    with pytest.raises(ValueError, match="no weighting 'best'; there are equal, learned"):
        make("best")
