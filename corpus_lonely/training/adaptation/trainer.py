"""The Hugging Face Trainer as an adaptation sets it up: loss and perplexity over masked tokens alone."""

# B pieces, T tokens, M masked tokens of a batch, V vocabulary

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from accelerate.utils import gather_object
from torch import Tensor, nn
from transformers import PreTrainedModel, Trainer, TrainingArguments
from transformers import PreTrainedTokenizerFast as Tokenizer
from transformers.trainer_callback import PrinterCallback

from corpus_lonely.errors import SettingsError
from corpus_lonely.inference.batching import plan_batches
from corpus_lonely.memory import keep_freed_memory
from corpus_lonely.model.encoder import check_length
from corpus_lonely.model.masked_lm import MaskedPositions, head_parameters, load_masked_lm
from corpus_lonely.progress import Progress
from corpus_lonely.training.adaptation.callback import AdaptationCallback
from corpus_lonely.training.adaptation.masking import IGNORED, MaskedPieces, Masking, Padder
from corpus_lonely.training.adaptation.sampler import LengthGrouped
from corpus_lonely.training.adaptation.settings import AdaptSettings
from corpus_lonely.training.adaptation.tokens import TokenStore
from corpus_lonely.training.checkpoints import WholeCheckpoints
from corpus_lonely.training.devices import device_arguments, on_one_gpu
from corpus_lonely.training.processes import world_size

_LOGS, _CHECKPOINTS, _MEASUREMENTS = 200, 20, 10
"""Of a run, about, where it has so many steps."""
_HELD_OUT_SEED = 15
"""Of the masks to measure by: the same whatever the run's seed, so that runs can be compared."""
_MEASURED_TOKENS = 4096
"""In a batch, padding included."""


class AdaptationTrainer(Trainer):
    """A Trainer whose loss is the mean over all masked tokens of a step, on all processes together."""

    def __init__(
        self, held_out: MaskedPieces, sampler: LengthGrouped, padder: Padder, **arguments: Any
    ) -> None:
        super().__init__(data_collator=padder, eval_dataset=held_out, **arguments)
        self._held_out, self._sampler, self._padder = held_out, sampler, padder
        assert isinstance(self.model, PreTrainedModel)  # noqa: S101  (narrows the type)
        self._positions = MaskedPositions(self.model)
        # our loss divides by the masked tokens of the whole step. BERT's own takes the mean of a batch
        # and ignores their number, which the Trainer does not know: it would scale the loss by the
        # number of processes and of batches accumulated
        self.model_accepts_loss_kwargs = True
        self.loss_is_scaled_for_ga = True

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthGrouped:
        return self._sampler

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Nats, summed over this batch, by the masked tokens of the step; times the processes, whose mean DDP takes."""
        summed, outputs = self._summed(model, inputs)
        masked = num_items_in_batch
        if masked is None:
            masked = int((inputs["labels"] != IGNORED).sum())
        count = masked.clamp(min=1) if isinstance(masked, Tensor) else max(1, masked)
        loss = summed / count * self.accelerator.num_processes
        return (loss, outputs) if return_outputs else loss

    def _summed(self, model: nn.Module, inputs: dict[str, Any]) -> tuple[Tensor, Any]:
        labels_BT = inputs["labels"]
        keep_BT = labels_BT != IGNORED
        with self._positions.only(keep_BT):
            outputs = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
        logits_MV = outputs.logits[0].float()
        return nn.functional.cross_entropy(logits_MV, labels_BT[keep_BT], reduction="sum"), outputs

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Perplexity on the held-out posts: exp of the mean over masked tokens of their nats."""
        nats, tokens = self._measure()
        if not tokens:
            raise SettingsError(
                "--held-out must leave posts long enough to hide a token in", hint="Raise it"
            )
        loss = nats / tokens
        metrics = {"loss": loss, "perplexity": math.exp(min(loss, 700.0)), "masked_tokens": tokens}
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in metrics.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    @torch.no_grad()
    def _measure(self) -> tuple[float, int]:
        """Nats and masked tokens, of all processes together."""
        model = self.accelerator.unwrap_model(self.model)
        model.eval()
        device = self.args.device
        nats, tokens = 0.0, 0
        lengths = self._held_out.pieces.lengths(np.arange(len(self._held_out)))
        batches = list(plan_batches(lengths, _MEASURED_TOKENS))
        for batch in batches[self.args.process_index :: self.args.world_size]:
            inputs = self._padder([self._held_out[int(piece), 0] for piece in batch])
            inputs = {name: value.to(device) for name, value in inputs.items()}
            with torch.autocast(device.type, torch.bfloat16, enabled=self.args.bf16):
                summed, _ = self._summed(model, inputs)
            nats += float(summed)
            tokens += int((inputs["labels"] != IGNORED).sum())
        parts = gather_object([(nats, tokens)])
        return sum(part[0] for part in parts), sum(part[1] for part in parts)


def make_model(settings: AdaptSettings) -> tuple[PreTrainedModel, Tokenizer, bool]:
    """The encoder under its head, what is to stay as it is frozen; its tokenizer; whether the head is new."""
    transformers.set_seed(settings.seed)  # a new head
    model, tokenizer, new_head = load_masked_lm(settings.encoder, settings.attention_dropout)
    check_length(settings.max_tokens, model.config)
    if settings.head_only:
        model.requires_grad_(False)
        for parameter in head_parameters(model).values():
            parameter.requires_grad_(True)
    return model, tokenizer, new_head


def make_trainer(
    settings: AdaptSettings,
    model: PreTrainedModel,
    tokenizer: Tokenizer,
    store: TokenStore,
    checkpoints: Path,
    progress: Progress,
) -> AdaptationTrainer:
    """A Trainer for these pieces that writes its checkpoints there and tells its course to `progress`."""
    keep_freed_memory()
    masking = Masking(settings.mask_probability, settings.whole_word_masking, settings.seed)
    measuring = Masking(settings.mask_probability, settings.whole_word_masking, _HELD_OUT_SEED)
    sampler = LengthGrouped(store.train, settings.batch_size, settings.seed)
    trainer = AdaptationTrainer(
        model=model,
        args=_arguments(settings, store, checkpoints),
        train_dataset=MaskedPieces(store.train, tokenizer, masking),
        held_out=MaskedPieces(store.held_out, tokenizer, measuring),
        sampler=sampler,
        padder=Padder(tokenizer.pad_token_id or 0, settings.max_tokens),
        processing_class=tokenizer,
        optimizers=(_optimizer(settings, model), None),
        callbacks=[AdaptationCallback(progress, sampler), WholeCheckpoints()],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _arguments(settings: AdaptSettings, store: TokenStore, checkpoints: Path) -> TrainingArguments:
    device = device_arguments(settings.device, settings.precision)
    micro, accumulated = settings.per_process(world_size())
    steps = settings.epochs * math.ceil(len(store.train) / settings.batch_size)
    logged = max(1, steps // _LOGS)
    saved = (
        max(1, steps // logged // _CHECKPOINTS) * logged
    )  # else a resumed run would log otherwise
    arguments = TrainingArguments(
        **device,
        output_dir=str(checkpoints),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=accumulated,
        average_tokens_across_devices=True,
        lr_scheduler_type="cosine",
        warmup_steps=settings.warmup,  # below 1 it is a share of the steps
        ddp_backend="gloo" if device["use_cpu"] and world_size() > 1 else None,
        ddp_find_unused_parameters=False,
        eval_strategy="steps",
        eval_steps=math.ceil(steps / _measurements(settings, store)),
        save_strategy="steps",
        save_steps=saved,
        save_total_limit=None,  # WholeCheckpoints lets the older go
        remove_unused_columns=False,
        logging_steps=logged,
        disable_tqdm=True,
        report_to=[],
        seed=settings.seed,
        data_seed=settings.seed,
    )
    return on_one_gpu(arguments)


def _measurements(settings: AdaptSettings, store: TokenStore) -> int:
    """As many as take a small part of the time, where more is measured than learnt."""
    read = settings.epochs * len(store.train)
    return max(1, min(_MEASUREMENTS, read // (4 * len(store.held_out))))


def _optimizer(settings: AdaptSettings, model: PreTrainedModel) -> torch.optim.Optimizer:
    """AdamW on what is not frozen, with no weight decay on biases and norms."""
    free = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in free if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in free if p.ndim <= 1], "weight_decay": 0.0},
    ]
    # fused: one pass over memory for each tensor, a quarter of the time on a CPU
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)
