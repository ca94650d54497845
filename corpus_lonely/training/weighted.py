"""The Hugging Face Trainer with a weighting of losses: trained beside the network, saved in checkpoints."""

# G groups

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchjd.aggregation import PCGrad
from torchjd.autojac import jac_to_grad, mtl_backward
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from corpus_lonely.model.weighting import Surgery, Weighting
from corpus_lonely.training.curve import WEIGHT

_STATE = "weighting.safetensors"


class WeightedTrainer(Trainer):
    """A Trainer that descends the loss of a weighting and judges by eq. 1, whatever the weighting."""

    def __init__(self, weighting: Weighting, **named: Any) -> None:
        super().__init__(**named)
        self.weighting = weighting.to(self.args.device)
        self.add_callback(_Course(weighting))

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The weighting's loss in training; eq. 1 in evaluation, so that runs can be compared."""
        outputs = model(**inputs)
        loss = self.weighting(outputs.losses) if model.training else outputs.loss
        return (loss, outputs) if return_outputs else loss

    def training_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """The Trainer's own step, or one with surgery on the encoder's gradients."""
        if not isinstance(self.weighting, Surgery):
            return super().training_step(model, inputs, num_items_in_batch)
        model.train()
        prepared: Any = self._prepare_inputs(inputs)
        return self._operate(self.weighting, self.accelerator.unwrap_model(model), **prepared)

    def _operate(
        self,
        surgery: Surgery,
        network: Any,
        input_ids: Tensor,
        attention_mask: Tensor,
        labels: Tensor,
    ) -> Tensor:
        """Gradients as PCGrad has them in the encoder, and summed in the head.

        Yu et al., NeurIPS 2020. A pass through the encoder backward for each group.
        """
        with self.accelerator.autocast():
            pooled_BX = network.represent(input_ids, attention_mask)
        output = network.predict(pooled_BX, labels)
        shared = [weight for weight in network.encoder.parameters() if weight.requires_grad]
        losses = surgery.losses(output.losses)
        # one group after the other: vmap over the encoder's kernels does not work everywhere
        # and the groups share the head's first layers, so its graph is gone through several times
        mtl_backward(
            losses, pooled_BX, shared_params=shared, retain_graph=True, parallel_chunk_size=1
        )
        reached = [weight for weight in shared if getattr(weight, "jac", None) is not None]
        weights_G = jac_to_grad(reached, PCGrad())
        if weights_G is not None:
            surgery.keep(weights_G.detach())
        return torch.stack(losses).sum().detach()

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Tells the weights with each loss."""
        if "loss" in logs:
            for panel, shares in self.weighting.weights().items():
                logs |= {f"{WEIGHT}{panel}.{name}": share for name, share in shares.items()}
        super().log(logs, start_time)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        # before the Trainer's state, which is written last and marks a checkpoint as whole
        super()._save_optimizer_and_scheduler(output_dir)
        if self.args.should_save and (state := self.weighting.state_dict()):
            save_file(
                {name: value.contiguous() for name, value in state.items()},
                Path(output_dir) / _STATE,
            )

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint and self.weighting.state_dict():
            self.weighting.load_state_dict(load_file(Path(checkpoint) / _STATE))


class _Course(TrainerCallback):
    """Tells a weighting of steps and epochs."""

    def __init__(self, weighting: Weighting) -> None:
        self._weighting = weighting

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **named: Any
    ) -> None:
        """The Trainer clears the gradients of its model alone; the weighting's would add up."""
        self._weighting.zero_grad()

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **named: Any
    ) -> None:
        """Called before the epoch's checkpoint is written."""
        self._weighting.end_epoch()
