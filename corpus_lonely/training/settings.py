"""What a training run is told, with the paper's values where it gives them."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from corpus_lonely.errors import SettingsError
from corpus_lonely.taxonomy import Taxonomy
from corpus_lonely.training.rules import (
    ABOVE_0,
    PROPER_SHARE,
    SEED,
    SHARE,
    Range,
    at_least,
    check_choices,
    check_ranges,
    check_types,
)

PRECISIONS = ("auto", "bf16", "fp32")
"""Of a model that is trained."""
WEIGHTINGS = ("equal", "learned", "learned-entropy", "uncertainty", "imtl-l", "dwa", "pcgrad")
_CHOICES = {
    "head": ("hdln", "mlp"),
    "output": ("softmax", "entmax15", "sparsemax"),
    "loss": ("kl", "cross-entropy", "hellinger"),
    "weighting": WEIGHTINGS,
    "pooling": ("mean", "cls"),
    "norm": ("batch", "layer", "none"),
    "cut": ("head", "head-tail"),
    "precision": PRECISIONS,
}
_RANGES = {
    "weighting_learning_rate": ABOVE_0,
    "entropy": ABOVE_0,
    "beta": Range("from 0 to 1", lambda x: 0 <= x <= 1),
    "head_size": at_least(1),
    "head_dropout": SHARE,
    "attention_dropout": SHARE,
    "epochs": at_least(1),
    "patience": at_least(1),
    "batch_size": at_least(1),
    "learning_rate": ABOVE_0,
    "layer_decay": Range("above 0 and at most 1", lambda x: 0 < x <= 1),
    "head_learning_rate": ABOVE_0,
    "weight_decay": at_least(0),
    "warmup": SHARE,
    "repeat_rare": SHARE,
    "max_tokens": at_least(8),
    "dev_share": PROPER_SHARE,
    "seed": SEED,
    "threads": at_least(1),
}
_LATER = {
    "output": "softmax",
    "layer_decay": 1.0,
    "repeat_rare": 0.0,
    "cut": "head",
    "threshold": False,
}
"""Settings that came later, where they change nothing: so a model that was made before is known again."""


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
    output: Literal["softmax", "entmax15", "sparsemax"] = "softmax"
    """Scores of labels to probabilities. Votes are sparse and a softmax is never 0; the others can be
    (Peters et al., ACL 2019; Martins and Astudillo, ICML 2016)."""
    loss: str = "kl"
    """`kl`, `cross-entropy` or `hellinger`; the paper names all three and not which it used. The first two have
    one gradient in the network's weights, and not in those of a weighting that looks at the losses themselves:
    KL's floor is 0 in every group, cross-entropy's the entropy of the votes."""
    weighting: str = "equal"
    """How the groups' losses become one: eq. 1 (`equal`), the paper's `learned`, `learned-entropy`, or
    `uncertainty`, `imtl-l`, `dwa`, `pcgrad`. All but `equal` and `pcgrad` depend on the losses' sizes, so on `loss`."""
    weighting_learning_rate: float = 1e-2
    """Of what a weighting learns; the paper is silent."""
    entropy: float = 0.5
    """Nats of loss that a nat of the weights' entropy is worth under `learned-entropy`."""
    only: tuple[str, ...] = ()
    """Groups to learn, such as `duration`, where not all: what a group gains from the others' company."""
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
    layer_decay: float = 1.0
    """The learning rate of each layer of the encoder, as a share of that of the layer above; 1: all learn
    alike. Howard and Ruder, ACL 2018."""
    head_learning_rate: float = 3e-4
    """Of the head, which starts from nothing; the paper may have used one rate for all."""
    weight_decay: float = 0.01
    warmup: float = 0.06
    """Share of the steps over which the learning rate rises; then it falls on a cosine."""
    max_tokens: int = 512
    """Tokens kept per post; the rest is cut."""
    cut: Literal["head", "head-tail"] = "head"
    """What is kept of a post that is too long: its beginning, or a quarter of that and its end (Sun et al.,
    CCL 2019)."""
    repeat_rare: float = 0.0
    """Posts with a label that fewer training posts have than this share are repeated, by the root of how
    much fewer: repeat-factor sampling (Gupta et al., CVPR 2019). 0: none is."""
    calibrate: bool = False
    """Fit a temperature a group to the votes of the dev split, when training is over."""
    threshold: bool = False
    """Fit a threshold a category to the dev split, below which a probability becomes exactly 0."""
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
        check_types(self)
        check_choices(self, _CHOICES)
        check_ranges(self, _RANGES)
        for rule, value, holds in self._together():
            if not holds:
                raise SettingsError(f"{rule}, got {value}")

    def _together(self) -> list[tuple[str, Any, bool]]:
        """Rules over several settings."""
        softmax, kl = self.output == "softmax", self.loss == "kl"
        batch_norm = self.norm == "batch"
        return [
            (
                "--batch-size must be at least 2 with --norm batch",
                self.batch_size,
                not batch_norm or self.batch_size >= 2,
            ),
            (f"--loss must be kl with --output {self.output}", self.loss, softmax or kl),
        ]

    def identity(self) -> dict[str, Any]:
        """What decides the weights: all but where they go, and what computes and rounds them."""
        settings = asdict(self)
        for name in ("out", "overwrite", "threads", "device"):
            del settings[name]
        for name, nothing in _LATER.items():
            if settings[name] == nothing:
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


def check_only(settings: TrainSettings, taxonomy: Taxonomy) -> None:
    """SettingsError when a group is to be learnt that the taxonomy does not have."""
    names = [group.name for group in taxonomy.groups]
    for name in settings.only:
        if name not in names:
            raise SettingsError(f"--only must be one of {', '.join(names)}, got {name}")
