"""Trains an encoder with a head on labelled posts, with the Hugging Face Trainer."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import Trainer
from transformers.trainer_utils import get_last_checkpoint

from corpus_lonely import __version__, metrics
from corpus_lonely.errors import LabelsError, ModelError, SettingsError
from corpus_lonely.files import finite, output_error, write_json
from corpus_lonely.model.encoder import encoder_fingerprint, quiet
from corpus_lonely.progress import Progress, Silent
from corpus_lonely.taxonomy import Taxonomy, loneliness
from corpus_lonely.training.calibration import (
    changed_by_group,
    fit_temperatures,
    fit_thresholds,
    temper,
    without_small,
)
from corpus_lonely.training.card import model_card, public_settings
from corpus_lonely.training.checkpoints import epochs_of_stopped
from corpus_lonely.training.curve import draw_curve, draw_weights
from corpus_lonely.training.labels import LabelledPosts, check_targets, load_labels
from corpus_lonely.training.processes import world_size
from corpus_lonely.training.repeating import repeated
from corpus_lonely.training.run_folder import RunFolder
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
    score: float = float("nan")
    """Of the best checkpoint: the mean over the groups, as `metrics.selection_score` has it."""
    held_out: bool = False
    """Whether dev are posts held out of the train split."""
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
    if world_size() > 1:
        raise SettingsError(
            "`train` runs in one process, and torchrun started several",
            hint="Start it without torchrun; `adapt` can use several GPUs",
        )
    train, dev = _splits(settings, taxonomy, progress)
    fingerprint = settings.fingerprint(
        train.fingerprint, dev.fingerprint, encoder_fingerprint(settings.encoder)
    )
    folder = RunFolder(settings.out, "train", _RECORD, "a model of other settings or labels")
    done = _finished(folder, settings, fingerprint)
    if done:
        return replace(done, held_out=dev.held_out)
    checkpoints = folder.clear_checkpoints(fingerprint)
    with quiet():
        trainer = make_trainer(settings, train, dev, checkpoints, progress)
        resume = get_last_checkpoint(str(checkpoints))
        if resume:
            progress.note(f"Going on from {Path(resume).name}.")
        if resume and (epochs := epochs_of_stopped(Path(resume), settings.patience)):
            # transformers forgets, when a run goes on, that it had stopped early, and would train on
            trainer.args.num_train_epochs = epochs
        try:
            trainer.train(resume_from_checkpoint=resume)
        except OSError as error:
            raise output_error(error, checkpoints) from error
        finally:
            progress.finish()
        report = _report(settings, trainer)
        if settings.calibrate or settings.threshold:
            report = _fit_outputs(settings, trainer, report)
        sizes = {"train": len(train), "dev": len(dev)}
        report = replace(report, held_out=dev.held_out)
        card = model_card(
            settings, taxonomy, sizes, report.dev, report.best_epoch, held_out=dev.held_out
        )
        _write_model(folder, settings, trainer, fingerprint, report, card)
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
    _check_only(settings, taxonomy)
    train, dev = splits["train"], splits.get("dev")
    if dev is None:
        rows = np.random.default_rng(settings.seed).permutation(len(train)).tolist()
        held_out = max(1, round(settings.dev_share * len(rows)))
        train, dev = train.take(rows[held_out:]), train.take(rows[:held_out])
        dev = replace(dev, held_out=True)
        progress.note(f"No dev split: {held_out} of {len(rows)} training posts are held out.")
    _check_splits(settings, train, dev)
    both = len(set(train.texts) & set(dev.texts))
    if both:
        progress.note(f"Warning: {both} texts of the dev split are in the train split too.")
    return train, dev


def _check_only(settings: TrainSettings, taxonomy: Taxonomy) -> None:
    names = [group.name for group in taxonomy.groups]
    for name in settings.only:
        if name not in names:
            raise SettingsError(f"--only must be one of {', '.join(names)}, got {name}")


def _check_splits(settings: TrainSettings, train: LabelledPosts, dev: LabelledPosts) -> None:
    for name, posts in (("train", train), ("dev", dev)):
        check_targets(posts, f"{settings.labels} ({name})")
    if settings.norm == "batch":
        count = len(repeated(train, settings.repeat_rare, settings.seed))
        if count % settings.batch_size == 1:
            raise SettingsError(
                f"--batch-size must not leave a last batch of one post with --norm batch: there are "
                f"{count} posts, got {settings.batch_size}"
            )


def _finished(folder: RunFolder, settings: TrainSettings, fingerprint: str) -> TrainReport | None:
    """The report of the same run finished before."""
    found = folder.finished(fingerprint, settings.overwrite)
    if found is None:
        return None
    return TrainReport(
        folder.out,
        found["dev"],
        found["best_epoch"],
        found["epochs"],
        found["score"],
        already_there=True,
    )


def _report(settings: TrainSettings, trainer: Trainer) -> TrainReport:
    evaluations = [entry for entry in trainer.state.log_history if "eval_selection" in entry]
    if not all(math.isfinite(entry["eval_selection"]) for entry in evaluations):
        raise ModelError(
            "the training diverged: its score on dev is no number",
            where=settings.out,
            hint="Lower --learning-rate, or give --precision fp32",
        )
    best = max(evaluations, key=lambda entry: entry["eval_selection"])
    dev: dict[str, dict[str, float]] = {}
    for key, value in best.items():
        group, dot, name = key.removeprefix("eval_").partition(".")
        if dot:
            dev.setdefault(group, {})[name] = value
    epochs = evaluations[-1]["epoch"]
    return TrainReport(settings.out, dev, best["epoch"], epochs, best["eval_selection"])


def _fit_outputs(settings: TrainSettings, trainer: Trainer, report: TrainReport) -> TrainReport:
    """Sets the temperatures and thresholds of dev; the report with what dev comes to under them."""
    model: Any = trainer.model
    posts: Any = trainer.eval_dataset
    groups, taxonomy = list(model.learnt), model.taxonomy
    output = trainer.predict(posts)  # in an order of its own
    targets = metrics.Targets(taxonomy, np.asarray(output.label_ids, dtype=np.float64))
    predicted_NL = np.asarray(output.predictions, dtype=np.float64)
    if settings.calibrate:
        model.config.temperatures = fit_temperatures(targets, predicted_NL, groups)
        predicted_NL = changed_by_group(temper, targets, predicted_NL, model.config.temperatures)
    if settings.threshold:
        model.config.thresholds = fit_thresholds(targets, predicted_NL, groups)
        predicted_NL = changed_by_group(
            without_small, targets, predicted_NL, model.config.thresholds
        )
    judged = metrics.evaluate(targets, predicted_NL)
    results = {group: judged[group] for group in groups}
    return replace(report, dev=results, score=metrics.selection_score(results, taxonomy))


def _write_model(
    folder: RunFolder,
    settings: TrainSettings,
    trainer: Trainer,
    fingerprint: str,
    report: TrainReport,
    card: str,
) -> None:
    def write(draft: Path) -> None:
        trainer.save_model(str(draft))
        (draft / "training_args.bin").unlink(missing_ok=True)  # a pickle: a model folder is data
        write_json(draft / folder.record, finite(_record(settings, trainer, fingerprint, report)))
        (draft / "README.md").write_text(card, "utf-8")
        draw_curve(trainer.state.log_history, draft / "training.png")
        draw_weights([trainer.state.log_history], draft / "weights.png")

    folder.publish(write)


def _record(
    settings: TrainSettings, trainer: Trainer, fingerprint: str, report: TrainReport
) -> dict[str, Any]:
    return {
        "fingerprint": fingerprint,
        "settings": public_settings(settings.identity()),
        "versions": {
            "corpus_lonely": __version__,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "best_epoch": report.best_epoch,
        "epochs": report.epochs,
        "score": report.score,
        "dev": report.dev,
        "history": trainer.state.log_history,
    }
