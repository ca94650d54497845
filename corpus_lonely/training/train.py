"""Trains an encoder with a head on labelled posts, with the Hugging Face Trainer."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import Trainer
from transformers.trainer_utils import get_last_checkpoint

from corpus_lonely import __version__
from corpus_lonely.errors import LabelsError, OutputError, SettingsError
from corpus_lonely.files import about_folder, output_error, read_json, write_json
from corpus_lonely.model.encoder import encoder_fingerprint, quiet
from corpus_lonely.progress import Progress, Silent
from corpus_lonely.taxonomy import Taxonomy, loneliness
from corpus_lonely.training.curve import draw_curve
from corpus_lonely.training.labels import LabelledPosts, check_targets, load_labels
from corpus_lonely.training.settings import TrainSettings
from corpus_lonely.training.trainer import make_trainer

_RECORD = "training.json"


@dataclass(frozen=True)
class TrainReport:
    """What a run came to."""

    out: Path
    dev: dict[str, dict[str, float]]
    """The metrics of the best checkpoint on dev, as `metrics.evaluate` gives them."""
    best_epoch: float
    epochs: float
    """Epochs run, until patience ended."""
    already_there: bool = False
    """The same model had been trained before, and nothing was done."""


def train_model(
    settings: TrainSettings,
    progress: Progress | None = None,
    taxonomy: Taxonomy | None = None,
) -> TrainReport:
    """Trains, keeps the checkpoint with the best dev score, and writes a model folder.

    Interrupted and called again with the same settings, it goes on from the last finished epoch.
    Raises LabelsError, ModelError, OutputError or SettingsError in one line.
    """
    progress = progress or Silent()
    taxonomy = taxonomy or loneliness()
    train, dev = _splits(settings, taxonomy, progress)
    fingerprint = settings.fingerprint(
        train.fingerprint, dev.fingerprint, encoder_fingerprint(settings.encoder)
    )
    done = _finished(settings, fingerprint)
    if done:
        return done
    checkpoints = _checkpoint_folder(settings, fingerprint)
    with quiet():
        trainer = make_trainer(settings, train, dev, checkpoints, progress)
        resume = get_last_checkpoint(str(checkpoints))
        if resume:
            progress.note(f"Going on from {Path(resume).name}.")
        try:
            trainer.train(resume_from_checkpoint=resume)
        except OSError as error:
            raise output_error(error, checkpoints) from error
        finally:
            progress.finish()
        report = _report(settings, trainer)
        _write_model(settings, trainer, fingerprint, report)
    return report


def _splits(
    settings: TrainSettings, taxonomy: Taxonomy, progress: Progress
) -> tuple[LabelledPosts, LabelledPosts]:
    splits = load_labels(settings.labels, taxonomy)
    if "train" not in splits:
        raise LabelsError(
            f"has no train split; it has {', '.join(splits)}",
            where=settings.labels,
            hint="Name it train_set or train",
        )
    train, dev = splits["train"], splits.get("dev")
    if dev is None:
        rows = np.random.default_rng(settings.seed).permutation(len(train)).tolist()
        held_out = max(1, round(settings.dev_share * len(rows)))
        train, dev = train.take(rows[held_out:]), train.take(rows[:held_out])
        progress.note(f"No dev split: {held_out} of {len(rows)} training posts are held out.")
    _check_splits(settings, train, dev)
    both = len(set(train.texts) & set(dev.texts))
    if both:
        progress.note(f"Warning: {both} texts of the dev split are in the train split too.")
    return train, dev


def _check_splits(settings: TrainSettings, train: LabelledPosts, dev: LabelledPosts) -> None:
    for name, posts in (("train", train), ("dev", dev)):
        check_targets(posts, f"{settings.labels} ({name})")
    if settings.norm == "batch" and len(train) % settings.batch_size == 1:
        raise SettingsError(
            f"--batch-size must not leave a last batch of one post with --norm batch: there are "
            f"{len(train)} posts, got {settings.batch_size}"
        )


def _finished(settings: TrainSettings, fingerprint: str) -> TrainReport | None:
    """The report of the same run finished before; OutputError when `out` holds anything else."""
    out = settings.out
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    record = out / _RECORD
    if not record.is_file():
        what = (
            "was not made by `corpus-lonely train`"
            if settings.overwrite
            else "exists and is not empty"
        )
        raise OutputError(what, where=out, hint="Give another --out")
    if settings.overwrite:
        return None
    found = read_json(record)
    if found.get("fingerprint") != fingerprint:
        raise OutputError(
            "holds a model of other settings or labels",
            where=out,
            hint="Give another --out, or --overwrite to replace it",
        )
    return TrainReport(out, found["dev"], found["best_epoch"], found["epochs"], already_there=True)


def _checkpoint_folder(settings: TrainSettings, fingerprint: str) -> Path:
    """Where this run's checkpoints go; those of another run are cleared away."""
    folder = about_folder(settings.out) / "checkpoints"
    ours = folder / fingerprint
    try:
        if folder.is_dir():
            for other in folder.iterdir():
                if other != ours:
                    shutil.rmtree(other)
        ours.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(error, folder) from error
    for checkpoint in ours.glob("checkpoint-*"):
        # the Trainer writes this file last: without it the checkpoint is torn
        if not (checkpoint / "trainer_state.json").is_file():
            shutil.rmtree(checkpoint)
    return ours


def _report(settings: TrainSettings, trainer: Trainer) -> TrainReport:
    evaluations = [entry for entry in trainer.state.log_history if "eval_selection" in entry]
    best = max(evaluations, key=lambda entry: entry["eval_selection"])
    dev: dict[str, dict[str, float]] = {}
    for key, value in best.items():
        group, dot, name = key.removeprefix("eval_").partition(".")
        if dot:
            dev.setdefault(group, {})[name] = value
    return TrainReport(settings.out, dev, best["epoch"], evaluations[-1]["epoch"])


def _write_model(
    settings: TrainSettings, trainer: Trainer, fingerprint: str, report: TrainReport
) -> None:
    """The model folder, made beside and renamed into place; then the checkpoints are let go."""
    about = about_folder(settings.out)
    draft = about / "model"
    try:
        shutil.rmtree(draft, ignore_errors=True)
        trainer.save_model(str(draft))
        (draft / "training_args.bin").unlink(missing_ok=True)  # a pickle: a model folder is data
        write_json(draft / _RECORD, _record(settings, trainer, fingerprint, report))
        draw_curve(trainer.state.log_history, draft / "training.png")
        for path in draft.iterdir():
            path.chmod(0o644)  # some writers leave files to their owner alone; a lab shares models
        if settings.out.exists():
            shutil.rmtree(settings.out)
        settings.out.parent.mkdir(parents=True, exist_ok=True)
        draft.rename(settings.out)
        shutil.rmtree(about / "checkpoints")
        if not any(about.iterdir()):
            about.rmdir()
    except OSError as error:
        raise output_error(error, settings.out) from error


def _record(
    settings: TrainSettings, trainer: Trainer, fingerprint: str, report: TrainReport
) -> dict[str, Any]:
    return {
        "fingerprint": fingerprint,
        "settings": json.loads(json.dumps(settings.identity(), default=str)),
        "versions": {
            "corpus_lonely": __version__,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "best_epoch": report.best_epoch,
        "epochs": report.epochs,
        "dev": report.dev,
        "history": trainer.state.log_history,
    }
