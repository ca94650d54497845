"""What an adaptation is told, with the paper's values where it gives them."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from corpus_lonely.errors import SettingsError
from corpus_lonely.training.rules import (
    ABOVE_0,
    PROPER_SHARE,
    SEED,
    SHARE,
    at_least,
    check_choices,
    check_ranges,
    check_types,
)
from corpus_lonely.training.settings import PRECISIONS

LOCAL = ("inputs", "exclude", "dev", "encoder", "out", "overwrite", "threads", "micro_batch")
"""Settings that decide nothing by themselves: paths, whose contents count, and how numbers are rounded."""

_RANGES = {
    "held_out": PROPER_SHARE,
    "max_posts": at_least(2),
    "epochs": at_least(1),
    "batch_size": at_least(1),
    "micro_batch": at_least(1),
    "learning_rate": ABOVE_0,
    "weight_decay": at_least(0),
    "warmup": SHARE,
    "mask_probability": PROPER_SHARE,
    "max_tokens": at_least(8),
    "attention_dropout": SHARE,
    "seed": SEED,
    "threads": at_least(1),
}


@dataclass(frozen=True)
class AdaptSettings:
    """One adaptation. "Paper" marks what Jiang gives; the rest is silent there and our choice."""

    inputs: tuple[str, ...]
    """Parquet files, folders or globs, and folders that `save_to_disk` wrote (their train split)."""
    encoder: str
    """A model folder, a hub id (paper: bert-base-cased), or `minilm`."""
    out: Path
    text_column: str = "text"
    exclude: tuple[str, ...] = ()
    """Labelled sets whose dev and test posts are left out, by id and by text."""
    dev: str | None = None
    """Posts to measure perplexity on, instead of a held-out share: Parquet, or a labelled folder."""
    held_out: float = 0.02
    """Share of the posts to measure perplexity on; at least one post, at most 2,000."""
    max_posts: int | None = None
    """Posts taken, held-out ones included; None: all."""
    epochs: int = 3
    """Paper."""
    batch_size: int = 16
    """Pieces of a step, over all processes; paper."""
    micro_batch: int | None = None
    """Pieces that a process computes at once; None: its whole share of a step."""
    learning_rate: float = 5e-5
    """At its highest; paper."""
    weight_decay: float = 0.01
    warmup: float = 0.06
    """Share of the steps over which the learning rate rises; then it falls on a cosine (paper)."""
    mask_probability: float = 0.15
    """Share of the tokens to guess; paper."""
    whole_word_masking: bool = False
    """Hide all pieces of a word together, always behind the mask token."""
    max_tokens: int = 512
    """Longer posts are cut into several pieces of at most so many tokens; nothing is lost."""
    attention_dropout: float = 0.0
    """In training. At the usual 0.1 a CPU takes three times as long and twice the memory."""
    head_only: bool = False
    """Leave the encoder as it is and train the head alone: what adaptation has to beat."""
    seed: int = 0
    precision: str = "auto"
    """`bf16` (autocast), `fp32`, or `auto`: bfloat16 where the device computes in it."""
    device: str = "auto"
    threads: int | None = None
    overwrite: bool = False
    """Replace an encoder that is there."""

    def __post_init__(self) -> None:
        check_types(self)
        if not self.inputs:
            raise SettingsError("--input must be given, got none")
        check_choices(self, {"precision": PRECISIONS})
        check_ranges(self, _RANGES)

    def per_process(self, processes: int) -> tuple[int, int]:
        """Pieces that a process computes at once, and how often before a step: batch = all multiplied.

        Raises SettingsError when the batch cannot be shared out evenly.
        """
        share, rest = divmod(self.batch_size, processes)
        if rest or not share:
            raise SettingsError(
                f"--batch-size must be a multiple of the {processes} processes, got {self.batch_size}"
            )
        micro = self.micro_batch or share
        if share % micro:
            raise SettingsError(
                f"--micro-batch must divide the {share} pieces that a process has of a batch, got {micro}"
            )
        return micro, share // micro

    def told(self) -> dict[str, Any]:
        """All settings as plain content for JSON, but those of this call alone."""
        settings = asdict(self)
        for name in ("out", "overwrite", "threads"):
            del settings[name]
        plain: dict[str, Any] = json.loads(json.dumps(settings, default=str))
        return plain

    def identity(self) -> dict[str, Any]:
        """The settings that decide the weights; posts and encoder by their contents do too."""
        settings = asdict(self)
        for name in LOCAL:
            del settings[name]
        return settings

    def fingerprint(self, *contents: str) -> str:
        """Sixteen hex digits over what decides the weights: settings, and what tells posts and encoder."""
        told = json.dumps([self.identity(), *contents], sort_keys=True, default=str)
        return hashlib.sha256(told.encode()).hexdigest()[:16]
