"""The processes of a run: one, or those that `torchrun` or `accelerate launch` starts together."""

import os

import torch

from corpus_lonely.errors import SettingsError
from corpus_lonely.inference.device import find_device


def world_size() -> int:
    """Processes that train together; their starter tells it in the environment."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def one_process(command: str) -> None:
    """SettingsError when `torchrun` has started several for a command that runs in one."""
    if world_size() > 1:
        raise SettingsError(
            f"`{command}` runs in one process, and torchrun started several",
            hint="Start it without torchrun; `adapt` can use several GPUs",
        )


def is_main() -> bool:
    """Whether this process is the one that writes and talks."""
    return int(os.environ.get("RANK", "0")) == 0


def training_device(name: str) -> torch.device:
    """The device of that name; SettingsError for a GPU that the Trainer would not take."""
    device = find_device(name)
    if device.type == "cuda" and device.index:
        raise SettingsError(
            f"--device must be cuda or cuda:0 for training, got {device}",
            hint=f"Set CUDA_VISIBLE_DEVICES={device.index} and give --device cuda",
        )
    return device
