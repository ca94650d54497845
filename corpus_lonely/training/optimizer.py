"""AdamW as a run sets it up: which parameters learn how fast, and which decay."""

import re
from collections.abc import Iterator

import torch
from torch import nn

from corpus_lonely.errors import SettingsError
from corpus_lonely.model.network import LonelinessModel
from corpus_lonely.model.weighting import Weighting
from corpus_lonely.training.settings import TrainSettings

_LAYER = re.compile(r"\blayers?\.(\d+)\.")
"""In a parameter's name, as `encoder.layer.3.output.dense.weight` or `layers.3.mlp.Wi.weight`."""
_BELOW = re.compile(r"embed|wte|wpe")


def make_optimizer(
    settings: TrainSettings, model: LonelinessModel, weighting: Weighting
) -> torch.optim.Optimizer:
    """AdamW with the head's own learning rate, and no weight decay on biases, norms and weightings.

    Raises SettingsError where `layer_decay` finds no layers in the encoder.
    """
    parts = {
        "encoder": list(_encoder_rates(settings, model.encoder)),
        "head": [(settings.head_learning_rate, p) for p in model.head.parameters()],
    }
    groups: dict[tuple[str, bool, float], list[nn.Parameter]] = {}
    for part, rated in parts.items():
        for decays in (True, False):
            for rate, parameter in rated:
                if (parameter.ndim > 1) == decays:
                    groups.setdefault((part, decays, rate), []).append(parameter)
    told = [
        {"params": chosen, "lr": rate, "weight_decay": settings.weight_decay if decays else 0.0}
        for (_part, decays, rate), chosen in groups.items()
    ]
    learnt = list(weighting.parameters())
    if learnt:
        rate = settings.weighting_learning_rate
        told.append({"params": learnt, "lr": rate, "weight_decay": 0.0})
    # fused: one pass over memory for each tensor, a quarter of the time on a CPU
    return torch.optim.AdamW(told, fused=True)


def _encoder_rates(
    settings: TrainSettings, encoder: nn.Module
) -> Iterator[tuple[float, nn.Parameter]]:
    """Each parameter with its rate: that of the top layer, lower by a factor a layer down."""
    depths = dict(_depths(encoder))
    top = max(depths.values(), default=0)
    if settings.layer_decay < 1 and top == 0:
        raise SettingsError(
            f"--layer-decay must be 1 for this encoder, whose layers are not told apart by their "
            f"names, got {settings.layer_decay}"
        )
    for name, parameter in encoder.named_parameters():
        below = top - depths[name]
        yield settings.learning_rate * settings.layer_decay**below, parameter


def _depths(encoder: nn.Module) -> Iterator[tuple[str, int]]:
    """Each parameter's layer, counted from 1; 0: the embeddings; what is above all layers is with the last."""
    numbers = {name: _LAYER.search(name) for name, _ in encoder.named_parameters()}
    last = max((int(found[1]) + 1 for found in numbers.values() if found), default=0)
    for name, found in numbers.items():
        outside = 0 if _BELOW.search(name) else last
        yield name, int(found[1]) + 1 if found else outside
