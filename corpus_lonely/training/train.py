"""Trains an encoder with a head on labelled posts, with the Hugging Face Trainer."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import EarlyStoppingCallback, EvalPrediction, Trainer, TrainingArguments
from transformers import PreTrainedTokenizerFast as Tokenizer
from transformers.trainer_callback import PrinterCallback
from transformers.trainer_utils import get_last_checkpoint

from corpus_lonely import __version__, metrics
from corpus_lonely.errors import LabelsError, OutputError, SettingsError
from corpus_lonely.files import about_folder, output_error, read_json, write_json
from corpus_lonely.inference.device import find_device, find_precision, keep_freed_memory
from corpus_lonely.model.encoder import (
    check_length,
    encoder_fingerprint,
    load_pretrained,
    quiet,
)
from corpus_lonely.model.network import LonelinessConfig, LonelinessModel
from corpus_lonely.progress import Progress, Silent
from corpus_lonely.taxonomy import Taxonomy, loneliness
from corpus_lonely.training.callback import ProgressCallback
from corpus_lonely.training.curve import draw_curve
from corpus_lonely.training.dataset import Collator, TokenisedPosts
from corpus_lonely.training.labels import LabelledPosts, check_targets, load_labels
from corpus_lonely.training.settings import TrainSettings

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
        trainer = _trainer(settings, train, dev, checkpoints, progress)
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


def _network(settings: TrainSettings, train: LabelledPosts) -> tuple[LonelinessModel, Tokenizer]:
    encoder, tokenizer = load_pretrained(settings.encoder, settings.attention_dropout)
    check_length(settings.max_tokens, encoder.config)
    encoder_config = encoder.config.to_dict()
    encoder_config.pop("_name_or_path", None)  # a path of this machine
    transformers.set_seed(settings.seed)
    config = LonelinessConfig(
        encoder_config=encoder_config,
        taxonomy=train.targets.taxonomy.to_dict(),
        head=settings.head,
        pooling=settings.pooling,
        head_size=settings.head_size,
        norm=settings.norm,
        head_dropout=settings.head_dropout,
        beta=settings.beta,
        rejoin=settings.rejoin,
        loss=settings.loss,
        max_tokens=settings.max_tokens,
        label_means=metrics.mean_targets(train.targets).tolist(),
    )
    return LonelinessModel(config, encoder), tokenizer


def _trainer(
    settings: TrainSettings,
    train: LabelledPosts,
    dev: LabelledPosts,
    checkpoints: Path,
    progress: Progress,
) -> Trainer:
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    keep_freed_memory()
    model, tokenizer = _network(settings, train)
    trainer = Trainer(
        model=model,
        args=_arguments(settings, checkpoints),
        train_dataset=TokenisedPosts(train, tokenizer, settings.max_tokens),
        eval_dataset=TokenisedPosts(dev, tokenizer, settings.max_tokens),
        data_collator=Collator(tokenizer.pad_token_id or 0, settings.max_tokens),
        processing_class=tokenizer,
        optimizers=(_optimizer(settings, model), None),
        compute_metrics=_compute_metrics(dev.targets.taxonomy),
        callbacks=[
            EarlyStoppingCallback(early_stopping_patience=settings.patience),
            ProgressCallback(progress),
        ],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _arguments(settings: TrainSettings, checkpoints: Path) -> TrainingArguments:
    device = find_device(settings.device)
    if device.type == "cuda" and device.index:
        raise SettingsError(
            f"--device must be cuda or cuda:0 for training, got {device}",
            hint=f"Set CUDA_VISIBLE_DEVICES={device.index} and give --device cuda",
        )
    arguments = TrainingArguments(
        output_dir=str(checkpoints),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=max(32, settings.batch_size),
        lr_scheduler_type="cosine",
        warmup_steps=settings.warmup,  # below 1 it is a share of the steps
        train_sampling_strategy="group_by_length",
        bf16=find_precision(settings.precision, device) == "bf16",
        use_cpu=device.type == "cpu",
        dataloader_pin_memory=device.type == "cuda",
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,  # beside the best one
        load_best_model_at_end=True,
        restore_callback_states_from_checkpoint=True,  # how long dev has not got better
        metric_for_best_model="selection",
        greater_is_better=True,
        label_names=["labels"],
        remove_unused_columns=False,
        logging_steps=10,
        disable_tqdm=True,
        report_to=[],
        seed=settings.seed,
        data_seed=settings.seed,
    )
    # else torch's DataParallel multiplies the batch by the number of GPUs, unasked
    arguments._n_gpu = min(1, arguments.n_gpu)  # noqa: SLF001  (no public way)
    return arguments


def _optimizer(settings: TrainSettings, model: LonelinessModel) -> torch.optim.Optimizer:
    """AdamW with the head's own learning rate, and no weight decay on biases and norms."""
    groups = []
    for part, rate in (
        (model.encoder, settings.learning_rate),
        (model.head, settings.head_learning_rate),
    ):
        for decays in (True, False):
            chosen = [p for p in part.parameters() if (p.ndim > 1) == decays]
            decay = settings.weight_decay if decays else 0.0
            groups.append({"params": chosen, "lr": rate, "weight_decay": decay})
    # fused: one pass over memory for each tensor, a quarter of the time on a CPU
    return torch.optim.AdamW(groups, fused=True)


def _compute_metrics(taxonomy: Taxonomy) -> Callable[[EvalPrediction], dict[str, float]]:
    def compute(prediction: EvalPrediction) -> dict[str, float]:
        targets = metrics.Targets(taxonomy, np.asarray(prediction.label_ids, dtype=np.float64))
        results = metrics.evaluate(targets, np.asarray(prediction.predictions))
        flat = {f"{group}.{name}": x for group, row in results.items() for name, x in row.items()}
        return {"selection": metrics.selection_score(results, taxonomy), **flat}

    return compute


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
