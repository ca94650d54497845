"""Texts to distributions on one device: the code behind both published metrics and scores."""

# N posts, B posts of a batch, L labels

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
import pyarrow as pa
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast as Tokenizer

from corpus_lonely.errors import ModelError, SettingsError, first_line
from corpus_lonely.inference.batching import Tokens, pad, plan_batches, tokenise
from corpus_lonely.inference.device import find_device, find_precision, keep_freed_memory
from corpus_lonely.inference.folder import model_facts
from corpus_lonely.model.encoder import (
    LOADING_ERRORS,
    check_complete,
    check_length,
    load_tokenizer,
    quiet,
)
from corpus_lonely.model.network import LonelinessModel
from corpus_lonely.tables import scores_schema
from corpus_lonely.taxonomy import Taxonomy
from corpus_lonely.text import normalise

_SMALLEST_BUDGET = 512


@dataclass(frozen=True)
class EngineSettings:
    """How texts are scored on one device."""

    max_tokens: int | None = None
    """Tokens kept per post; the rest is cut and told in `truncated`. None: as in training."""
    batch_tokens: int = 8192
    """Padded tokens in a batch."""
    precision: str = "auto"
    """`bf16`, `fp32`, or `auto`: bfloat16 where the device computes in it."""
    device: str = "auto"
    """`cpu`, `cuda`, `cuda:0`, `mps`, or `auto`."""
    threads: int | None = None
    """CPU threads of this process; None leaves torch's choice."""

    def __post_init__(self) -> None:
        if self.batch_tokens < _SMALLEST_BUDGET:
            raise SettingsError(
                f"--batch-tokens must be at least {_SMALLEST_BUDGET}, got {self.batch_tokens}"
            )
        if self.threads is not None and self.threads < 1:
            raise SettingsError(f"--threads must be at least 1, got {self.threads}")
        if self.max_tokens is not None and self.max_tokens < 8:
            raise SettingsError(f"--max-tokens must be at least 8, got {self.max_tokens}")


@dataclass(frozen=True)
class Scores:
    """The scores of N posts, in the order of their texts."""

    taxonomy: Taxonomy
    probabilities_NL: NDArray[np.float32]
    """(N, L): each group of a row sums to 1; NaN where the status is not `ok`."""
    status: list[str]
    """`ok`, `empty` (null or no text) or `error` (the model gave no number)."""
    num_tokens: NDArray[np.int32]
    truncated: NDArray[np.bool_]

    def to_arrow(self) -> pa.Table:
        """The columns of a scores table: one a label, null where there are no scores, then the facts."""
        missing = np.array([status != "ok" for status in self.status], dtype=bool)
        root = self.taxonomy.slices[self.taxonomy.root.name]
        # of the two labels of the root only the second is a column: P(lonely)
        shown = [i for i in range(self.taxonomy.num_outputs) if i != root.start]
        labels = [
            pa.array(np.ascontiguousarray(self.probabilities_NL[:, i]), mask=missing) for i in shown
        ]
        facts = [pa.array(self.status), pa.array(self.num_tokens), pa.array(self.truncated)]
        return pa.Table.from_arrays([*labels, *facts], schema=scores_schema(self.taxonomy))


class Engine:
    """A model on a device, with its tokenizer."""

    def __init__(
        self, model: LonelinessModel, tokenizer: Tokenizer, settings: EngineSettings
    ) -> None:
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        keep_freed_memory()
        self.device = find_device(settings.device)
        limit = model.config.max_tokens
        self.settings = replace(
            settings,
            device=str(self.device),
            precision=find_precision(settings.precision, self.device),
            max_tokens=settings.max_tokens or limit,
        )
        check_length(self.settings.max_tokens or limit, model.encoder.config)
        self.max_tokens: int = self.settings.max_tokens or limit
        self.batch_tokens = settings.batch_tokens
        self.model: LonelinessModel = model.train(mode=False)
        self.model.requires_grad_(requires_grad=False).to(self.device)
        self.tokenizer = tokenizer

    @property
    def taxonomy(self) -> Taxonomy:
        """The label hierarchy of the model."""
        taxonomy: Taxonomy = self.model.taxonomy
        return taxonomy

    @classmethod
    def load(cls, model: str | Path, settings: EngineSettings | None = None) -> Self:
        """Opens a folder that `corpus-lonely train` made; ModelError when it is none."""
        model_facts(model)
        try:
            with quiet():
                loaded: Any = LonelinessModel.from_pretrained(
                    model, dtype=torch.float32, output_loading_info=True
                )
        except LOADING_ERRORS as error:
            reason = first_line(error)
            raise ModelError(f"its weights cannot be loaded ({reason})", where=model) from error
        network, report = loaded
        check_complete(report, model)
        return cls(network, load_tokenizer(model), settings or EngineSettings())

    def score(
        self, texts: Sequence[str | None], progress: Callable[[int], None] | None = None
    ) -> Scores:
        """Scores texts, in whatever order is fast; gives them back in theirs.

        progress: called with the number of posts that each batch finished.
        """
        clean = [normalise(text) if text else "" for text in texts]
        rows = [row for row, text in enumerate(clean) if text]
        tokens = tokenise(self.tokenizer, [clean[row] for row in rows], self.max_tokens)
        scored_NL = self._probabilities(tokens, progress or (lambda _posts: None))

        probabilities_NL = np.full((len(clean), self.taxonomy.num_outputs), np.nan, np.float32)
        probabilities_NL[rows] = scored_NL
        num_tokens = np.zeros(len(clean), np.int32)
        num_tokens[rows] = tokens.lengths
        truncated = np.zeros(len(clean), np.bool_)
        truncated[rows] = tokens.truncated
        return Scores(
            self.taxonomy, probabilities_NL, _status(clean, probabilities_NL), num_tokens, truncated
        )

    def _probabilities(
        self, tokens: Tokens, progress: Callable[[int], None]
    ) -> NDArray[np.float32]:
        scored_NL = np.empty((len(tokens.ids), self.taxonomy.num_outputs), np.float32)
        for posts, padded in plan_batches(tokens.lengths, self.batch_tokens, self.max_tokens):
            scored_NL[posts] = self._batch([tokens.ids[post] for post in posts], padded)
            progress(len(posts))
        return scored_NL

    def _batch(self, ids: list[list[int]], padded: int) -> NDArray[np.float32]:
        if len(ids) * padded > self.batch_tokens and len(ids) > 1:
            return self._halves(ids, padded)  # planned before the budget was halved
        try:
            return self._forward(ids, padded)
        except RuntimeError as error:
            if not _out_of_memory(error) or len(ids) == 1:
                raise
        # outside the handler, so that the failed batch's tensors are let go before the halves run
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self.batch_tokens = max(_SMALLEST_BUDGET, self.batch_tokens // 2)
        return self._halves(ids, padded)

    def _halves(self, ids: list[list[int]], padded: int) -> NDArray[np.float32]:
        middle = len(ids) // 2
        return np.concatenate([self._batch(half, padded) for half in (ids[:middle], ids[middle:])])

    @torch.inference_mode()
    def _forward(self, ids: list[list[int]], padded: int) -> NDArray[np.float32]:
        ids_BT, mask_BT = pad(ids, padded, self.tokenizer.pad_token_id or 0, self.device)
        bf16 = self.settings.precision == "bf16"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=bf16):
            probabilities_BL = self.model(input_ids=ids_BT, attention_mask=mask_BT).probabilities
        scored: NDArray[np.float32] = probabilities_BL.float().cpu().numpy()
        return scored


def _status(texts: Sequence[str], probabilities_NL: NDArray[np.float32]) -> list[str]:
    finite = [bool(np.isfinite(row_L).all()) for row_L in probabilities_NL]
    return [
        "ok" if good else ("error" if text else "empty")
        for text, good in zip(texts, finite, strict=True)
    ]


def _out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


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
