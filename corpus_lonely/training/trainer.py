"""The Hugging Face Trainer as a run sets it up: network, optimiser, arguments, metrics."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import EarlyStoppingCallback, EvalPrediction, Trainer, TrainingArguments
from transformers import PreTrainedTokenizerFast as Tokenizer
from transformers.trainer_callback import PrinterCallback

from corpus_lonely import metrics
from corpus_lonely.errors import SettingsError
from corpus_lonely.inference.device import computes_bf16, find_device, keep_freed_memory
from corpus_lonely.model.encoder import check_length, load_pretrained
from corpus_lonely.model.network import LonelinessConfig, LonelinessModel
from corpus_lonely.progress import Progress
from corpus_lonely.taxonomy import Taxonomy
from corpus_lonely.training.callback import ProgressCallback
from corpus_lonely.training.dataset import Collator, TokenisedPosts
from corpus_lonely.training.labels import LabelledPosts
from corpus_lonely.training.settings import TrainSettings


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
    trainer = Trainer(
        model=model,
        args=_arguments(settings, checkpoints),
        train_dataset=TokenisedPosts(train, tokenizer, settings.max_tokens),
        eval_dataset=TokenisedPosts(dev, tokenizer, settings.max_tokens),
        data_collator=Collator(tokenizer.pad_token_id or 0, settings.max_tokens),
        processing_class=tokenizer,
        optimizers=(make_optimizer(settings, model), None),
        compute_metrics=_compute_metrics(dev.targets.taxonomy),
        callbacks=[
            EarlyStoppingCallback(early_stopping_patience=settings.patience),
            ProgressCallback(progress),
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
        loss=settings.loss,
        max_tokens=settings.max_tokens,
        label_means=metrics.mean_targets(train.targets).tolist(),
    )
    return LonelinessModel(config, encoder), tokenizer


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
        bf16=settings.precision == "bf16"
        or (settings.precision == "auto" and computes_bf16(device)),
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


def make_optimizer(settings: TrainSettings, model: LonelinessModel) -> torch.optim.Optimizer:
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
