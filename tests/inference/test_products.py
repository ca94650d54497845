"""Products with packed weights: no further from float32 than autocast is, and float32 where it is asked for."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from corpus_lonely.inference import products
from corpus_lonely.inference.products import Product, Rounding, can_round, round_products
from tests.inference.test_forward import make_forward, make_ids

pytestmark = pytest.mark.skipif(not can_round(), reason="this torch or CPU has no such products")

IDS = make_ids([7, 1, 40, 23, 23, 2, 60, 9])


def off(encoder: str, *, packed: bool) -> np.ndarray[Any, np.dtype[np.floating[Any]]]:
    """Relative distance of each post's representation from float32's, with our products or autocast's."""
    exact_BX = make_forward(encoder).represent(IDS)
    forward = make_forward(encoder, precision="bf16")
    if packed:
        assert forward.round_products()
        assert any(isinstance(module, Product) for module in forward.model.modules())
    off_BX = forward.represent(IDS) - exact_BX
    return (off_BX.norm(dim=1) / exact_BX.norm(dim=1)).numpy()


@pytest.mark.parametrize("encoder", ["bert", "roberta", "distilbert", "mpnet"])
def test_no_further_from_float32_than_autocast(encoder: str) -> None:
    ours, autocast = off(encoder, packed=True), off(encoder, packed=False)
    assert 0 < ours.mean() < 1.1 * autocast.mean() < 0.05


@pytest.mark.parametrize("encoder", ["bert", "distilbert"])
def test_float32_is_float32_still(encoder: str) -> None:
    forward = make_forward(encoder, precision="mixed")
    assert forward.round_products()
    forward.pack()
    expected = make_forward(encoder)(IDS).numpy()
    rounded = forward(IDS).numpy()
    np.testing.assert_array_equal(forward.exactly(IDS).numpy(), expected)
    np.testing.assert_array_equal(forward(IDS).numpy(), rounded)  # and back
    assert (rounded != expected).any()


def test_gelu_is_computed_on_the_sums_before_they_are_rounded() -> None:
    dice = torch.Generator().manual_seed(0)
    linear = nn.Linear(48, 64)
    x = torch.randn(100, 48, generator=dice)
    product = Product(linear, Rounding())
    product.gelu = True
    # products of rounded numbers, their sums in double precision
    weight, inputs, bias = (
        y.bfloat16().double() for y in (linear.weight.detach(), x, linear.bias.detach())
    )
    expected = nn.functional.gelu(inputs @ weight.T + bias)
    with torch.inference_mode():
        found = product(x)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.double(), expected, rtol=2**-8, atol=1e-5)


def test_a_layers_activation_is_not_computed_twice() -> None:
    forward = make_forward("bert", precision="bf16")
    round_products(forward.model.encoders)
    encoder: Any = forward.model.encoders[0]
    layer = encoder.encoder.layer[0].intermediate
    x = torch.randn(5, 32)
    with torch.inference_mode():
        found = layer(x).float()
        expected = nn.functional.gelu(layer.dense.linear(x))
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)


def test_an_input_is_rounded_once_for_all_that_read_it() -> None:
    rounding = Rounding()
    x, other = torch.randn(3, 4), torch.randn(3, 4)
    first = rounding.of(x)
    assert rounding.of(x) is first
    torch.testing.assert_close(rounding.of(other), other.bfloat16())
    torch.testing.assert_close(rounding.of(x), x.bfloat16())
    assert rounding.of(first) is first


def test_the_same_bytes_each_time() -> None:
    forward = make_forward("bert", precision="bf16")
    assert forward.round_products()
    assert forward.pack()
    once = forward(IDS).numpy()
    np.testing.assert_array_equal(forward(IDS).numpy(), once)


def test_asking_uses_no_dice_of_a_training() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    can_round.cache_clear()
    assert can_round()
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)


def test_operators_that_fail_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_arguments: Any) -> None:
        raise RuntimeError("not on this CPU")

    monkeypatch.setattr(products, "_reorder_linear_weight", fails)
    can_round.cache_clear()
    assert not can_round()
    can_round.cache_clear()


@pytest.mark.parametrize("lengths", [[5], [7, 1, 40], [16, 16], [60, 33]])
def test_products_are_asked_for_few_numbers_of_rows(
    monkeypatch: pytest.MonkeyPatch, lengths: list[int]
) -> None:
    forward = make_forward("bert", precision="bf16")
    ids = make_ids(lengths)
    padded = forward(ids).numpy()
    assert forward.round_products()
    assert forward.pack()
    rows, of = set[int](), Rounding.of

    def seen(self: Rounding, x: torch.Tensor) -> torch.Tensor:
        rows.add(x.shape[-2])
        return of(self, x)

    monkeypatch.setattr(Rounding, "of", seen)
    scored = forward(ids).numpy()
    assert rows == {-(-sum(lengths) // 32) * 32}
    assert scored.shape == padded.shape
    np.testing.assert_allclose(scored, padded, atol=0.02)
