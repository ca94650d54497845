"""Products of an encoder's weights on a CPU's bfloat16 units, with the weights laid out for them once.

Autocast rounds the weights anew in every batch, rounds an input once for each product that reads it, and
leaves GELU a pass of its own. Here weights are rounded and packed when a model is loaded, inputs are
rounded once, and GELU is computed on sums that are still in float32. What adds up between the products
(residuals, norms) stays in float32, as it does under autocast.
"""

# N rows, I inputs, O outputs

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.activations import GELUActivation

# torch's own compiler calls these; they have no public names, and a later torch may lack them
_linear_pointwise: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
_reorder_linear_weight: Any = getattr(torch.ops.mkldnn, "_reorder_linear_weight", None)
_has_bf16_units: Any = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
_TOLERANCE = 0.05
"""What rounding explains is a tenth of that."""
_ROWS = 2048
"""For how many rows the weights are laid out; other numbers work as well."""


class Rounding:
    """What all products of a model share."""

    def __init__(self) -> None:
        self.on = True
        """Whether they round; else they compute in float32, with the weights as they were."""
        self._seen: Tensor | None = None
        self._rounded: Tensor | None = None

    def of(self, x: Tensor) -> Tensor:
        """x in bfloat16; the last answer where x is the last question: query, key and value read the same."""
        if x.dtype == torch.bfloat16:
            return x
        if self._rounded is None or self._seen is not x:
            self._seen, self._rounded = x, x.to(torch.bfloat16)
        return self._rounded

    @contextmanager
    def off(self) -> Iterator[None]:
        """Products in float32 meanwhile."""
        self.on, self._seen, self._rounded = False, None, None
        try:
            yield
        finally:
            self.on = True


class Product(nn.Module):
    """What `nn.Linear` computes, and GELU of it where `gelu`: (..., I) to (..., O) in bfloat16."""

    def __init__(self, linear: nn.Linear, rounding: Rounding) -> None:
        super().__init__()
        self.linear, self.rounding = linear, rounding
        self.gelu = False
        weight_OI = linear.weight.detach().to(torch.bfloat16).contiguous()
        self._packed: Tensor = _reorder_linear_weight(weight_OI, _ROWS)
        bias = linear.bias
        self._bias_O = None if bias is None else bias.detach().to(torch.bfloat16)

    def forward(self, x: Tensor) -> Tensor:
        """In float32, and without GELU, while rounding is off."""
        if not self.rounding.on:
            exact: Tensor = self.linear(x)
            return exact
        name, algorithm = ("gelu", "none") if self.gelu else ("none", "")
        rounded: Tensor = _linear_pointwise(
            self.rounding.of(x), self._packed, self._bias_O, name, [], algorithm
        )
        return rounded


class _Computed(nn.Module):
    """An activation that the product before it has computed already, unless rounding is off."""

    def __init__(self, activation: nn.Module, rounding: Rounding) -> None:
        super().__init__()
        self.activation, self.rounding = activation, rounding

    def forward(self, x: Tensor) -> Tensor:
        """x as it is, or its activation."""
        return x if self.rounding.on else self.activation(x)


@lru_cache
def can_round() -> bool:
    """Whether this torch has the operators, and this CPU the units: a small product tells."""
    operators = (_linear_pointwise, _reorder_linear_weight, _has_bf16_units)
    if not all(operators) or not _has_bf16_units():
        return False
    # no dice: a training in this process has its own, and must not find them used
    linear = nn.Linear(64, 64, device="meta").to_empty(device="cpu")
    x = torch.linspace(-1, 1, 8 * 64).reshape(8, 64)
    try:
        with torch.no_grad():
            linear.weight.copy_(torch.linspace(-0.1, 0.1, 64 * 64).reshape(64, 64))
            linear.bias.copy_(x[0])
        product = Product(linear, Rounding())
        product.gelu = True
        with torch.inference_mode():
            off = product(x).float() - nn.functional.gelu(linear(x))
    except (RuntimeError, TypeError, NotImplementedError):
        return False
    return bool(off.abs().max() < _TOLERANCE)


def round_products(encoders: Sequence[PreTrainedModel]) -> Rounding:
    """Puts a `Product` in the place of each `nn.Linear` of the encoders, and tells what they share."""
    rounding = Rounding()
    for encoder in encoders:
        for module in list(encoder.modules()):
            for name, child in list(module.named_children()):
                if type(child) is nn.Linear:
                    setattr(module, name, Product(child, rounding))
        for module in list(encoder.modules()):
            _fuse_gelu(module, rounding)
    return rounding


def _fuse_gelu(module: Any, rounding: Rounding) -> None:
    """In a layer of BERT's make, `dense` is followed by `intermediate_act_fn` and by nothing else."""
    dense, activation = getattr(module, "dense", None), getattr(module, "intermediate_act_fn", None)
    if isinstance(dense, Product) and isinstance(activation, GELUActivation | nn.GELU):
        if isinstance(activation, nn.GELU) and activation.approximate != "none":
            return
        dense.gelu = True
        module.intermediate_act_fn = _Computed(activation, rounding)
