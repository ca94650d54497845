"""The course of an adaptation, told to our own progress, and the epoch told to the sampler."""

from typing import Any

from transformers import TrainerControl, TrainerState, TrainingArguments

from corpus_lonely.progress import Progress
from corpus_lonely.training.adaptation.sampler import LengthGrouped
from corpus_lonely.training.callback import ProgressCallback


class AdaptationCallback(ProgressCallback):
    """A bar over the steps, and a line after each measurement."""

    def __init__(self, progress: Progress, sampler: LengthGrouped) -> None:
        super().__init__(progress)
        self._sampler = sampler

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The epoch that begins, or that a resumed run is in.

        accelerate tells it to the sampler as well, but not of several processes that skip batches.
        """
        self._sampler.set_epoch(int(state.epoch or 0))

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Remembers the loss; tells the perplexity."""
        super().on_log(args, state, control, logs, **kwargs)
        if logs and "eval_perplexity" in logs:
            course = (
                f"epoch {state.epoch or 0:.2f}, train loss {self._loss:.3f}"
                if state.global_step
                else "before training"
            )
            self._progress.note(f"{course}: perplexity {logs['eval_perplexity']:.2f}")
