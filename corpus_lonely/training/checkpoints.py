"""Checkpoints that neither a kill nor a power cut leaves half-written and taken for whole."""

import shutil
from pathlib import Path
from typing import Any

from torch import distributed
from transformers import (
    EarlyStoppingCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, rotate_checkpoints

from corpus_lonely.files import sync

_WHOLE = "whole"
"""The empty file that a checkpoint gets last."""


class WholeCheckpoints(TrainerCallback):
    """Marks a checkpoint once it is on the disk, and only then lets older ones go.

    The Trainer writes in place and lets the older go before the disk has the new one, so it must be
    told to keep all of them (`save_total_limit=None`).
    """

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The checkpoint of this step is written; with it, of each process, its random state."""
        if distributed.is_available() and distributed.is_initialized():
            distributed.barrier()  # the others may be writing theirs
        if not state.is_world_process_zero:
            return
        folder = Path(str(args.output_dir))
        checkpoint = folder / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
        for path in [*checkpoint.rglob("*"), checkpoint, folder]:
            sync(path)
        (checkpoint / _WHOLE).touch()
        sync(checkpoint)
        rotate_checkpoints(str(folder), 1, state.best_model_checkpoint)


def epochs_of_stopped(checkpoint: Path, patience: int) -> float | None:
    """The epochs of a run that had stopped early when it wrote this checkpoint; None of one that had not."""
    state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
    told = state.stateful_callbacks.get(EarlyStoppingCallback.__name__)
    if not isinstance(told, dict):
        return None
    waited = told["attributes"]["early_stopping_patience_counter"]
    return state.epoch if waited >= patience else None


def whole(checkpoints: Path) -> list[Path]:
    """The checkpoints of that folder that were written to their end."""
    return [mark.parent for mark in checkpoints.glob(f"{PREFIX_CHECKPOINT_DIR}-*/{_WHOLE}")]


def clear_torn(checkpoints: Path) -> None:
    """Removes the checkpoints of that folder that were not written to their end."""
    for checkpoint in {*checkpoints.glob(f"{PREFIX_CHECKPOINT_DIR}-*")} - {*whole(checkpoints)}:
        shutil.rmtree(checkpoint)
