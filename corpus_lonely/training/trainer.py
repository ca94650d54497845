"""The Hugging Face Trainer as a run sets it up: network, optimiser, arguments, metrics."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import EarlyStoppingCallback, EvalPrediction, Trainer, TrainingArguments
from transformers import PreTrainedTokenizerFast as Tokenizer
from transformers.trainer_callback import PrinterCallback

from corpus_lonely import metrics
from corpus_lonely.memory import keep_freed_memory
from corpus_lonely.model.encoder import check_length, load_pretrained
from corpus_lonely.model.heads import LOSSES_OF
from corpus_lonely.model.network import LonelinessConfig, LonelinessModel
from corpus_lonely.model.weighting import make_weighting
from corpus_lonely.progress import Progress
from corpus_lonely.taxonomy import Taxonomy
from corpus_lonely.training.callback import ProgressCallback
from corpus_lonely.training.checkpoints import WholeCheckpoints
from corpus_lonely.training.dataset import Collator, TokenisedPosts
from corpus_lonely.training.devices import device_arguments, on_one_gpu
from corpus_lonely.training.labels import LabelledPosts
from corpus_lonely.training.optimizer import make_optimizer
from corpus_lonely.training.repeating import repeated
from corpus_lonely.training.settings import TrainSettings
from corpus_lonely.training.weighted import WeightedTrainer


def make_trainer(
    settings: TrainSettings,
    train: LabelledPosts,
    dev: LabelledPosts,
    checkpoints: Path,
    progress: Progress,
) -> Trainer:
    """A Trainer for these posts that writes its checkpoints there and tells its course to `progress`.

    Raises ModelError or SettingsError when encoder, device or lengths do not fit.
    """
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    keep_freed_memory()
    model, tokenizer = make_network(settings, train)
    config: Any = model.config
    trained_on = repeated(train, settings.repeat_rare, settings.seed)
    groups = list(model.learnt)
    weighting = make_weighting(
        settings.weighting,
        LOSSES_OF[settings.head],
        groups,
        model.taxonomy.root.name,
        settings.entropy,
    )
    trainer = WeightedTrainer(
        weighting,
        model=model,
        args=_arguments(settings, checkpoints),
        train_dataset=TokenisedPosts(trained_on, tokenizer, config),
        eval_dataset=TokenisedPosts(dev, tokenizer, config),
        data_collator=Collator(tokenizer.pad_token_id or 0, settings.max_tokens),
        processing_class=tokenizer,
        optimizers=(make_optimizer(settings, model, weighting), None),
        compute_metrics=_compute_metrics(dev.targets.taxonomy, groups),
        callbacks=[
            EarlyStoppingCallback(early_stopping_patience=settings.patience),
            ProgressCallback(progress),
            WholeCheckpoints(),
        ],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def make_network(
    settings: TrainSettings, train: LabelledPosts
) -> tuple[LonelinessModel, Tokenizer]:
    """The pretrained encoder under a new head, and its tokenizer."""
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
        output=settings.output,
        loss=settings.loss,
        max_tokens=settings.max_tokens,
        cut=settings.cut,
        label_means=metrics.mean_targets(train.targets).tolist(),
        only=settings.only,
    )
    return LonelinessModel(config, encoder), tokenizer


def _arguments(settings: TrainSettings, checkpoints: Path) -> TrainingArguments:
    arguments = TrainingArguments(
        **device_arguments(settings.device, settings.precision),
        output_dir=str(checkpoints),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=max(32, settings.batch_size),
        lr_scheduler_type="cosine",
        warmup_steps=settings.warmup,  # below 1 it is a share of the steps
        train_sampling_strategy="group_by_length",
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=None,  # WholeCheckpoints lets the older go
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
    return on_one_gpu(arguments)


def _compute_metrics(
    taxonomy: Taxonomy, groups: Sequence[str]
) -> Callable[[EvalPrediction], dict[str, float]]:
    def compute(prediction: EvalPrediction) -> dict[str, float]:
        targets = metrics.Targets(taxonomy, np.asarray(prediction.label_ids, dtype=np.float64))
        judged = metrics.evaluate(targets, np.asarray(prediction.predictions))
        results = {group: judged[group] for group in groups}
        flat = {f"{group}.{name}": x for group, row in results.items() for name, x in row.items()}
        return {"selection": metrics.selection_score(results, taxonomy), **flat}

    return compute
