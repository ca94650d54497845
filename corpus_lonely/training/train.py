"""Trains an encoder with a head on labelled posts, with the Hugging Face Trainer."""

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import Trainer
from transformers.trainer_utils import get_last_checkpoint

from corpus_lonely import __version__, metrics
from corpus_lonely.errors import ModelError
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
from corpus_lonely.training.claim import claimed
from corpus_lonely.training.curve import draw_curve, draw_weights
from corpus_lonely.training.devices import Computing, computing_on
from corpus_lonely.training.processes import one_process
from corpus_lonely.training.run_folder import RunFolder
from corpus_lonely.training.settings import TrainSettings
from corpus_lonely.training.splits import training_splits
from corpus_lonely.training.trainer import make_trainer

RECORD = "training.json"


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
    one_process("train")
    run = _Run(settings, taxonomy or loneliness(), progress or Silent())
    done = run.finished()
    if done:
        return done
    with claimed(settings.out), quiet():
        return run.finished() or run.to_the_end()  # another process may have ended it just now


def trained_before(settings: TrainSettings, taxonomy: Taxonomy | None = None) -> TrainReport | None:
    """What `train_model` would find already there; trains nothing.

    Raises OutputError when the folder holds anything else.
    """
    return _Run(settings, taxonomy or loneliness(), Silent()).finished()


class _Run:
    """A run with its posts read."""

    def __init__(self, settings: TrainSettings, taxonomy: Taxonomy, progress: Progress) -> None:
        self._settings, self._taxonomy, self._progress = settings, taxonomy, progress
        self._train, self._dev = training_splits(settings, taxonomy, progress)
        self._fingerprint = settings.fingerprint(
            self._train.fingerprint, self._dev.fingerprint, encoder_fingerprint(settings.encoder)
        )
        self._folder = RunFolder(
            settings.out, "train", RECORD, "a model of other settings or labels"
        )

    def finished(self) -> TrainReport | None:
        """The report of the same run finished before."""
        found = self._folder.finished(self._fingerprint, self._settings.overwrite)
        if found is None:
            return None
        return TrainReport(
            self._folder.out,
            found["dev"],
            found["best_epoch"],
            found["epochs"],
            found["score"],
            already_there=True,
            held_out=self._dev.held_out,
        )

    def to_the_end(self) -> TrainReport:
        """From the last checkpoint, if there is one, to the model in its place."""
        settings = self._settings
        computing = self._folder.begin(
            self._fingerprint,
            public_settings(settings.identity()),
            computing_on(settings.device, settings.precision),
            overwrite=settings.overwrite,
            progress=self._progress,
        )
        checkpoints = self._folder.checkpoints_of(self._fingerprint)
        exact = replace(settings, precision=computing.precision)
        trainer = make_trainer(exact, self._train, self._dev, checkpoints, self._progress)
        self._train_from(trainer, checkpoints)
        report = replace(_report(settings, trainer), held_out=self._dev.held_out)
        if settings.calibrate or settings.threshold:
            report = _fit_outputs(settings, trainer, report)
        sizes = {"train": len(self._train), "dev": len(self._dev)}
        card = model_card(
            settings,
            self._taxonomy,
            sizes,
            report.dev,
            report.best_epoch,
            held_out=report.held_out,
        )
        record = _record(settings, trainer, self._fingerprint, computing, report)
        _write_model(self._folder, trainer, record, card)
        return report

    def _train_from(self, trainer: Trainer, checkpoints: Path) -> None:
        resume = get_last_checkpoint(str(checkpoints))
        if resume:
            self._progress.note(f"Going on from {Path(resume).name}.")
        if resume and (epochs := epochs_of_stopped(Path(resume), self._settings.patience)):
            # transformers forgets, when a run goes on, that it had stopped early, and would train on
            trainer.args.num_train_epochs = epochs
        try:
            trainer.train(resume_from_checkpoint=resume)
        except OSError as error:
            raise output_error(error, checkpoints) from error
        finally:
            self._progress.finish()


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


def _write_model(folder: RunFolder, trainer: Trainer, record: dict[str, Any], card: str) -> None:
    def write(draft: Path) -> None:
        trainer.save_model(str(draft))
        (draft / "training_args.bin").unlink(missing_ok=True)  # a pickle: a model folder is data
        write_json(draft / folder.record, finite(record))
        (draft / "README.md").write_text(card, "utf-8")
        draw_curve(trainer.state.log_history, draft / "training.png")
        draw_weights([trainer.state.log_history], draft / "weights.png")

    folder.publish(write)


def _record(
    settings: TrainSettings,
    trainer: Trainer,
    fingerprint: str,
    computing: Computing,
    report: TrainReport,
) -> dict[str, Any]:
    return {
        "fingerprint": fingerprint,
        "settings": public_settings(settings.identity()),
        "computed": asdict(computing),
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
