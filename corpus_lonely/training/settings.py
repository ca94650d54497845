"""What a training run is told, with the paper's values where it gives them."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from corpus_lonely.errors import SettingsError


@dataclass(frozen=True)
class TrainSettings:
    """One training run. "Paper" marks what Jiang gives; the rest is silent there and our choice."""

    labels: str
    """A folder of FIG-Loneliness's layout, or a data set's id on the hub."""
    encoder: str
    """A model folder, a hub id (paper: bert-base-cased), or `minilm`."""
    out: Path
    head: Literal["hdln", "mlp"] = "hdln"
    """Hierarchical head or flat one; the paper has both."""
    loss: str = "kl"
    """`kl`, `cross-entropy` or `hellinger`; the paper names all three and not which it used."""
    beta: float = 0.5
    """Weight of HDLN's local classifiers in the final distribution; HMCN's value."""
    pooling: Literal["mean", "cls"] = "mean"
    """How token vectors become one: their mean, or the first."""
    head_size: int = 384
    """Hidden units of the head; HMCN's value."""
    norm: Literal["batch", "layer", "none"] = "layer"
    """Normalisation in the head; HMCN has batch, which depends on a small batch's company."""
    head_dropout: float = 0.1
    attention_dropout: float = 0.0
    """In the encoder. At the usual 0.1 a CPU takes three times as long and twice the memory."""
    rejoin: bool = False
    """Join the encoder's output once more before HDLN's global classifier."""
    epochs: int = 20
    """At most; paper."""
    patience: int = 3
    """Epochs without a better dev score before training stops."""
    batch_size: int = 16
    """Posts; paper."""
    learning_rate: float = 2e-5
    """Of the encoder; paper."""
    head_learning_rate: float = 3e-4
    """Of the head, which starts from nothing; the paper may have used one rate for all."""
    weight_decay: float = 0.01
    warmup: float = 0.06
    """Share of the steps over which the learning rate rises; then it falls on a cosine."""
    max_tokens: int = 512
    """Tokens kept per post; the rest is cut."""
    dev_share: float = 0.1
    """Share of the training posts held out where the labels have no dev split."""
    seed: int = 0
    precision: str = "auto"
    """`bf16` (autocast), `fp32`, or `auto`: bfloat16 where the device computes in it."""
    device: str = "auto"
    threads: int | None = None
    overwrite: bool = False
    """Replace a model that is there."""

    def __post_init__(self) -> None:
        rules = [
            ("--beta must be from 0 to 1", self.beta, 0 <= self.beta <= 1),
            ("--epochs must be at least 1", self.epochs, self.epochs >= 1),
            ("--patience must be at least 1", self.patience, self.patience >= 1),
            ("--batch-size must be at least 1", self.batch_size, self.batch_size >= 1),
            ("--learning-rate must be above 0", self.learning_rate, self.learning_rate > 0),
            (
                "--head-learning-rate must be above 0",
                self.head_learning_rate,
                self.head_learning_rate > 0,
            ),
            ("--warmup must be from 0 to below 1", self.warmup, 0 <= self.warmup < 1),
            (
                "--head-dropout must be from 0 to below 1",
                self.head_dropout,
                0 <= self.head_dropout < 1,
            ),
            (
                "--attention-dropout must be from 0 to below 1",
                self.attention_dropout,
                0 <= self.attention_dropout < 1,
            ),
            (
                "--dev-share must be above 0 and below 1",
                self.dev_share,
                0 < self.dev_share < 1,
            ),
            ("--weight-decay must be at least 0", self.weight_decay, self.weight_decay >= 0),
            ("--seed must be from 0 to 2^32 - 1", self.seed, 0 <= self.seed < 2**32),
            (
                "--threads must be at least 1",
                self.threads,
                self.threads is None or self.threads >= 1,
            ),
            (
                "--batch-size must be at least 2 with --norm batch",
                self.batch_size,
                self.norm != "batch" or self.batch_size >= 2,
            ),
            ("--head-size must be at least 1", self.head_size, self.head_size >= 1),
            ("--max-tokens must be at least 8", self.max_tokens, self.max_tokens >= 8),
        ]
        for rule, value, holds in rules:
            if not holds:
                raise SettingsError(f"{rule}, got {value}")

    def identity(self) -> dict[str, Any]:
        """What decides the weights: all but where they go and how many threads round them."""
        settings = asdict(self)
        for name in ("out", "overwrite", "threads"):
            del settings[name]
        return settings

    def fingerprint(self, *contents: str) -> str:
        """Sixteen hex digits over the settings and the fingerprints of labels and encoder.

        Their contents count and not their paths, behind which other files may come to lie.
        """
        settings = self.identity()
        del settings["labels"], settings["encoder"]
        told = json.dumps([settings, *contents], sort_keys=True, default=str)
        return hashlib.sha256(told.encode()).hexdigest()[:16]
