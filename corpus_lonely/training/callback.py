"""The Trainer's course, told to our own progress."""

import math
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from corpus_lonely.progress import Progress


class ProgressCallback(TrainerCallback):
    """A bar over the steps, and a line after each epoch."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._loss = float("nan")

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The bar begins where a resumed run does."""
        self._progress.start("Training", state.max_steps, "steps", done=state.global_step)
        # what was logged before a resumed run was interrupted, for the bar's first lines
        self._loss = next(
            (e["loss"] for e in reversed(state.log_history) if "loss" in e), self._loss
        )

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """One step more."""
        self._progress.advance(1, f"{self._told()}epoch {state.epoch or 0:.2f}")

    def _told(self, whose: str = "") -> str:
        """The loss last logged; nothing before the first ten steps."""
        return "" if math.isnan(self._loss) else f"{whose}loss {self._loss:.3f}, "

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Remembers the loss; tells the dev scores."""
        logs = logs or {}
        self._loss = logs.get("loss", self._loss)
        if "eval_selection" in logs:
            f1 = logs.get("eval_lonely.f1")
            self._progress.note(
                f"epoch {logs['epoch']:.0f}: {self._told('train ')}dev loss "
                f"{logs['eval_loss']:.3f}, {f'dev F1 {f1:.4f}, ' if f1 is not None else ''}"
                f"dev score {logs['eval_selection']:.4f}"
            )
