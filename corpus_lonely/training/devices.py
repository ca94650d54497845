"""Where a run of training computes, and how precisely, as the Trainer is told."""

from dataclasses import dataclass
from typing import Any

from transformers import TrainingArguments

from corpus_lonely.inference.device import computes_bf16
from corpus_lonely.training.processes import training_device


@dataclass(frozen=True)
class Computing:
    """On what, and how precisely: two that differ come to other weights from the same settings."""

    device: str
    """`cpu`, `cuda` or `mps`."""
    precision: str
    """`bf16` or `fp32`."""


def computing_on(name: str, precision: str) -> Computing:
    """What a device and a precision come to here, each of which may be `auto`."""
    device = training_device(name)
    bf16 = precision == "bf16" or (precision == "auto" and computes_bf16(device))
    return Computing(device.type, "bf16" if bf16 else "fp32")


def device_arguments(name: str, precision: str) -> dict[str, Any]:
    """Arguments of the Trainer; SettingsError when it cannot be told of such a device."""
    computing = computing_on(name, precision)
    return {
        "bf16": computing.precision == "bf16",
        "use_cpu": computing.device == "cpu",
        "dataloader_pin_memory": computing.device == "cuda",
    }


def on_one_gpu(arguments: TrainingArguments) -> TrainingArguments:
    """The same, with one GPU a process: torch's DataParallel would multiply the batch by all, unasked."""
    arguments._n_gpu = min(1, arguments.n_gpu)  # noqa: SLF001  (no public way)
    return arguments
