"""Where a run of training computes, and how precisely, as the Trainer is told."""

from typing import Any

from transformers import TrainingArguments

from corpus_lonely.inference.device import computes_bf16
from corpus_lonely.training.processes import training_device


def device_arguments(name: str, precision: str) -> dict[str, Any]:
    """Arguments of the Trainer; SettingsError when it cannot be told of such a device."""
    device = training_device(name)
    return {
        "bf16": precision == "bf16" or (precision == "auto" and computes_bf16(device)),
        "use_cpu": device.type == "cpu",
        "dataloader_pin_memory": device.type == "cuda",
    }


def on_one_gpu(arguments: TrainingArguments) -> TrainingArguments:
    """The same, with one GPU a process: torch's DataParallel would multiply the batch by all, unasked."""
    arguments._n_gpu = min(1, arguments.n_gpu)  # noqa: SLF001  (no public way)
    return arguments
