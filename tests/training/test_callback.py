"""What is told while a model trains."""

from types import SimpleNamespace
from typing import Any

from corpus_lonely.training.callback import ProgressCallback


class Notes:
    def __init__(self) -> None:
        self.told: list[str] = []

    def note(self, message: str) -> None:
        self.told.append(message)

    def advance(self, _count: int, message: str = "") -> None:
        self.told.append(message)


def test_no_loss_is_told_before_one_is_known() -> None:
    notes: Any = Notes()
    callback = ProgressCallback(notes)
    nothing: Any = SimpleNamespace(epoch=1.0)
    scores = {"epoch": 1.0, "eval_loss": 2.0, "eval_selection": 0.5}
    callback.on_step_end(nothing, nothing, nothing)
    callback.on_log(nothing, nothing, nothing, logs=dict(scores))
    assert notes.told == ["epoch 1.00", "epoch 1: dev loss 2.000, dev score 0.5000"]
    callback.on_log(nothing, nothing, nothing, logs={"loss": 1.5})
    callback.on_log(nothing, nothing, nothing, logs=dict(scores))
    assert notes.told[-1] == "epoch 1: train loss 1.500, dev loss 2.000, dev score 0.5000"
