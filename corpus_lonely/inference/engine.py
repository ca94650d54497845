"""Texts to distributions on one device: the code behind both published metrics and scores."""

# N posts, B posts of a batch, L labels

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerFast as Tokenizer

from corpus_lonely.errors import ModelError, SettingsError, first_line
from corpus_lonely.inference.batching import Tokens, tokenise
from corpus_lonely.inference.budget import SMALLEST_BATCH_TOKENS, default_batch_tokens
from corpus_lonely.inference.device import (
    exact_products,
    find_device,
    find_precision,
    use_threads,
)
from corpus_lonely.inference.faults import useless
from corpus_lonely.inference.folder import model_facts
from corpus_lonely.inference.forward import Forward, Ids
from corpus_lonely.inference.scores import Scores, statuses
from corpus_lonely.inference.sweep import Sweep
from corpus_lonely.memory import keep_freed_memory
from corpus_lonely.model.encoder import (
    LOADING_ERRORS,
    check_complete,
    check_length,
    load_tokenizer,
    quiet,
)
from corpus_lonely.model.ensemble import EnsembleModel, Network
from corpus_lonely.model.network import LonelinessModel
from corpus_lonely.taxonomy import Taxonomy
from corpus_lonely.text import normalise

_SURE = 0.9
"""With `mixed`, posts whose root is less sure than this are scored once more in float32."""


@dataclass(frozen=True)
class EngineSettings:
    """How texts are scored on one device."""

    max_tokens: int | None = None
    """Tokens kept per post; the rest is cut and told in `truncated`. None: as in training."""
    batch_tokens: int | None = None
    """Padded tokens in a batch; None: `budget.default_batch_tokens`."""
    precision: str = "auto"
    """`fp32`, `mixed`, `bf16`, `fp16`, or `auto`: see `device.find_precision`."""
    device: str = "auto"
    """`cpu`, `cuda`, `cuda:0`, `mps`, or `auto`."""
    threads: int | None = None
    """CPU threads of this process; None leaves torch's choice."""

    def __post_init__(self) -> None:
        if self.batch_tokens is not None and self.batch_tokens < SMALLEST_BATCH_TOKENS:
            raise SettingsError(
                f"--batch-tokens must be at least {SMALLEST_BATCH_TOKENS}, got {self.batch_tokens}"
            )
        if self.threads is not None and self.threads < 1:
            raise SettingsError(f"--threads must be at least 1, got {self.threads}")
        if self.max_tokens is not None and self.max_tokens < 8:
            raise SettingsError(f"--max-tokens must be at least 8, got {self.max_tokens}")


class Engine:
    """A model on a device, with its tokenizer."""

    def __init__(self, model: Network, tokenizer: Tokenizer, settings: EngineSettings) -> None:
        use_threads(settings.threads)
        keep_freed_memory()
        self.device = find_device(settings.device)
        limit = model.config.max_tokens
        budget = settings.batch_tokens or default_batch_tokens(self.device.type == "cuda")
        self.settings = replace(
            settings,
            device=str(self.device),
            precision=find_precision(settings.precision, self.device),
            batch_tokens=budget,
            max_tokens=settings.max_tokens or limit,
        )
        for encoder in model.encoders:
            check_length(self.settings.max_tokens or limit, encoder.config)
        self.max_tokens: int = self.settings.max_tokens or limit
        self._device_free, self._telling = threading.Lock(), threading.Lock()
        self._told_halvings = 0
        self.sweep = Sweep(self.device, budget)
        self.tokenizer = tokenizer
        try:
            self.forward = self._placed(model)
        except RuntimeError as error:
            if told := useless(error, self.device):
                raise told from error
            raise

    def _placed(self, model: Network) -> Forward:
        """The model on its device, in the fastest way that agrees with the plain one."""
        pad_id = self.tokenizer.pad_token_id or 0
        forward = Forward(model, self.device, self.settings.precision, pad_id)
        if self.device.type == "cuda":
            exact_products()
        if self.device.type in ("cuda", "cpu") and self.settings.precision != "fp32":
            forward.round_products()
            forward.pack()
        return forward

    @property
    def batch_tokens(self) -> int:
        """Padded tokens in a batch, now: halved each time that memory runs out."""
        return self.sweep.batch_tokens

    @property
    def halvings(self) -> int:
        """How often memory ran out."""
        return self.sweep.halvings

    def new_halvings(self) -> int:
        """How often memory ran out since somebody asked: threads that share an engine hear of each once."""
        with self._telling:  # not the device's: that may be busy for long
            new = self.sweep.halvings - self._told_halvings
            self._told_halvings += new
        return new

    @property
    def model(self) -> Network:
        """The network on its device."""
        return self.forward.model

    @property
    def taxonomy(self) -> Taxonomy:
        """The label hierarchy of the model."""
        taxonomy: Taxonomy = self.model.taxonomy
        return taxonomy

    @classmethod
    def load(cls, model: str | Path, settings: EngineSettings | None = None) -> Self:
        """Opens a folder that `corpus-lonely train` or `ensemble` made; ModelError when it is none."""
        return cls(open_network(model), load_tokenizer(model), settings or EngineSettings())

    def score(
        self, texts: Sequence[str | None], progress: Callable[[int], None] | None = None
    ) -> Scores:
        """Scores texts, in whatever order is fast; gives them back in theirs.

        Texts that are equal once they are normalised are scored once. Threads may share an engine: the
        device works for one of them at a time.
        progress: called with the number of texts that each batch finished.
        """
        clean = [normalise(text) if text else "" for text in texts]
        rows = np.array([row for row, text in enumerate(clean) if text], dtype=np.int64)
        distinct: dict[str, int] = {}
        post_of_row = np.fromiter(
            (distinct.setdefault(clean[row], len(distinct)) for row in rows), np.int64, len(rows)
        )
        tokens = tokenise(self.tokenizer, list(distinct), self.max_tokens, self.model.config.cut)
        copies_N = np.bincount(post_of_row, minlength=len(distinct))
        with self._device_free:  # another thread may read, cut and write its posts meanwhile
            use_threads(self.settings.threads)  # torch keeps a count for each thread that asks
            scored_NL = self._probabilities(tokens, copies_N, progress or (lambda _posts: None))

        probabilities_NL = np.full((len(clean), self.taxonomy.num_outputs), np.nan, np.float32)
        probabilities_NL[rows] = scored_NL[post_of_row]
        num_tokens = np.zeros(len(clean), np.int32)
        num_tokens[rows] = tokens.lengths[post_of_row]
        truncated = np.zeros(len(clean), np.bool_)
        truncated[rows] = tokens.truncated[post_of_row]
        status = statuses(clean, probabilities_NL)
        return Scores(self.taxonomy, probabilities_NL, status, num_tokens, truncated)

    def _probabilities(
        self, tokens: Tokens, copies_N: NDArray[np.int64], progress: Callable[[int], None]
    ) -> NDArray[np.float32]:
        scored_NL = np.full((len(copies_N), self.taxonomy.num_outputs), np.nan, np.float32)
        for posts, scored_BL in self.sweep(self._forward, np.arange(len(copies_N)), tokens):
            scored_NL[posts] = scored_BL
            progress(int(copies_N[posts].sum()))
        again = np.flatnonzero(self._in_doubt(scored_NL))
        for posts, scored_BL in self.sweep(self._exactly, again, tokens):
            scored_NL[posts] = scored_BL
        return scored_NL

    def _in_doubt(self, scored_NL: NDArray[np.float32]) -> NDArray[np.bool_]:
        """(N): the posts to score once more, in float32.

        Those whose numbers overflowed, and with `mixed` those that the root is not sure of: half
        precision moves a probability most where it is near a half, there the softmax is steepest.
        """
        if self.settings.precision == "fp32":
            return np.zeros(len(scored_NL), np.bool_)
        overflowed_N: NDArray[np.bool_] = np.isnan(scored_NL.sum(axis=1))
        if self.settings.precision != "mixed":
            return overflowed_N
        root_NK = scored_NL[:, self.taxonomy.slices[self.taxonomy.root.name]]
        doubtful_N: NDArray[np.bool_] = overflowed_N | (root_NK.max(axis=1) < _SURE)
        return doubtful_N

    def _forward(self, ids: Ids) -> Tensor:
        return self.forward(ids)

    def _exactly(self, ids: Ids) -> Tensor:
        return self.forward.exactly(ids)


def open_network(folder: str | Path) -> Network:
    """The network of a model folder, on the CPU, in float32; ModelError when it is none."""
    kind: Any = EnsembleModel if model_facts(folder).members > 1 else LonelinessModel
    try:
        with quiet():
            network, report = kind.from_pretrained(
                folder, dtype=torch.float32, output_loading_info=True
            )
    except LOADING_ERRORS as error:
        reason = first_line(error)
        raise ModelError(f"its weights cannot be loaded ({reason})", where=folder) from error
    check_complete(report, folder)
    found: Network = network
    return found


def load_model(folder: str | Path, **settings: int | str | None) -> Engine:
    """A model on the best device here, ready for `score_texts`.

    settings: those of EngineSettings, such as `precision="fp32"` or `device="cpu"`.

    >>> model = load_model("model/")  # doctest: +SKIP
    >>> score_texts(model, ["Nobody has called me in weeks."])  # doctest: +SKIP
    """
    return Engine.load(folder, EngineSettings(**settings))  # type: ignore[arg-type]


def score_texts(model: Engine, texts: Sequence[str | None]) -> pl.DataFrame:
    """One row a text: P(lonely), P(label | lonely) for each label, status, num_tokens, truncated."""
    frame = pl.from_arrow(model.score(texts).to_arrow())
    assert isinstance(frame, pl.DataFrame)  # noqa: S101  (narrows the type: a table is a frame)
    return frame
