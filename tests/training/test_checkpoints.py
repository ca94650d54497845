"""A run that dies while it writes a checkpoint goes on from the one before, to the same weights."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import Trainer, TrainerState

from corpus_lonely.errors import ModelError
from corpus_lonely.files import about_folder
from corpus_lonely.training import checkpoints
from corpus_lonely.training.adaptation.run import adapt_encoder
from corpus_lonely.training.run_folder import RunFolder
from corpus_lonely.training.train import train_model
from tests.training.adaptation import made
from tests.training.test_train import same_weights, settings


class Death(BaseException):
    """What a kill is to the code it strikes: nothing after it is done."""


def die(*_: object) -> None:
    raise Death


def dies_at_its_second_call(
    patch: pytest.MonkeyPatch, where: Any, name: str, leaving: Callable[..., None] | None = None
) -> None:
    done = getattr(where, name)
    calls: list[Any] = []

    def strike(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        if len(calls) != 2:
            return done(*args, **kwargs)
        if leaving:
            leaving(*args)
        raise Death

    patch.setattr(where, name, strike)


def half_written(state: TrainerState, path: str) -> None:
    Path(path).touch()  # opened, and not a byte in it yet


MOMENTS: list[tuple[Any, str, Callable[..., None] | None, int]] = [
    (Trainer, "_save_optimizer_and_scheduler", None, 3),
    (TrainerState, "save_to_json", half_written, 3),
    (checkpoints.WholeCheckpoints, "on_save", None, 3),
    (checkpoints, "rotate_checkpoints", None, 6),
]
"""Each with the step that the run goes on from: the first epoch's last or the second's."""


@pytest.mark.parametrize(("where", "name", "leaving", "step"), MOMENTS)
def test_training(
    tiny_labels: Path, tiny_encoder: Path, tmp_path: Path, where: Any, name: str,
    leaving: Callable[..., None] | None, step: int,
) -> None:  # fmt: skip
    train_model(settings(tiny_labels, tiny_encoder, tmp_path / "whole"))
    broken = settings(tiny_labels, tiny_encoder, tmp_path / "broken")
    with pytest.MonkeyPatch.context() as patch:
        dies_at_its_second_call(patch, where, name, leaving)
        with pytest.raises(Death):
            train_model(broken)
    (folder,) = (about_folder(broken.out) / "checkpoints").iterdir()
    assert (folder / "checkpoint-6").is_dir()
    notes = made.Notes()
    train_model(broken, progress=notes)
    assert f"Going on from checkpoint-{step}." in notes.lines
    assert same_weights(tmp_path / "whole", tmp_path / "broken")
    assert not about_folder(broken.out).exists()


def test_adaptation(tiny_encoder: Path, tmp_path: Path) -> None:
    posts = made.write_posts(tmp_path / "p.parquet", made.made_texts(60))
    adapt_encoder(made.settings(posts, tiny_encoder, tmp_path / "whole"))
    broken = made.settings(posts, tiny_encoder, tmp_path / "broken")
    with pytest.MonkeyPatch.context() as patch:
        dies_at_its_second_call(patch, TrainerState, "save_to_json", half_written)
        with pytest.raises(Death):
            adapt_encoder(broken)
    notes = made.Notes()
    adapt_encoder(broken, notes)
    assert any(line.startswith("Going on from checkpoint-") for line in notes.lines)
    assert same_weights(tmp_path / "whole", tmp_path / "broken")


def test_a_run_that_stopped_early_trains_no_further(
    tiny_labels: Path, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    courses = {name: [0.5, 0.4, 0.9, 0.3] for name in ("whole", "broken")}
    name = "whole"
    monkeypatch.setattr("corpus_lonely.metrics.selection_score", lambda *_: courses[name].pop(0))
    whole = train_model(settings(tiny_labels, tiny_encoder, tmp_path / name, epochs=4, patience=1))
    name = "broken"
    run = settings(tiny_labels, tiny_encoder, tmp_path / name, epochs=4, patience=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "publish", die)
        with pytest.raises(Death):
            train_model(run)
    broken = train_model(run)
    assert (broken.epochs, broken.best_epoch, broken.score) == (2, 1, 0.5)
    assert (whole.epochs, whole.best_epoch, whole.score) == (2, 1, 0.5)
    assert same_weights(tmp_path / "whole", tmp_path / "broken")


def test_a_run_that_was_killed_before_its_model_was_in_place(
    tiny_labels: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    train_model(settings(tiny_labels, tiny_encoder, tmp_path / "whole"))
    run = settings(tiny_labels, tiny_encoder, tmp_path / "broken")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "publish", die)
        with pytest.raises(Death):
            train_model(run)
    train_model(run)
    assert same_weights(tmp_path / "whole", tmp_path / "broken")


def test_a_training_that_diverges_makes_no_model(
    tiny_labels: Path, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corpus_lonely.metrics.selection_score", lambda *_: float("nan"))
    with pytest.raises(ModelError, match="m: the training diverged: its score on dev is no number"):
        train_model(settings(tiny_labels, tiny_encoder, tmp_path / "m", epochs=1))
    assert not (tmp_path / "m").exists()


def test_a_model_is_replaced_whole_or_not_at_all(
    tiny_labels: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "m"
    train_model(settings(tiny_labels, tiny_encoder, out, epochs=1))
    other = settings(tiny_labels, tiny_encoder, out, epochs=1, seed=1, overwrite=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("corpus_lonely.training.run_folder.sync", die)
        with pytest.raises(Death):
            train_model(other)
    assert (out / "training.json").is_file()
    remove = shutil.rmtree

    def half(path: Path, *rest: Any, **named: Any) -> None:
        if path.name in ("m", "replaced") and path.exists():
            (path / "training.json").unlink()
            raise Death
        remove(path, *rest, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("corpus_lonely.training.run_folder.shutil.rmtree", half)
        with pytest.raises(Death):
            train_model(other)
    train_model(other)
    train_model(settings(tiny_labels, tiny_encoder, tmp_path / "whole", epochs=1, seed=1))
    assert same_weights(out, tmp_path / "whole")
    assert not about_folder(out).exists()
