"""Encoders under a masked-language-model head, and forward passes that compute masked positions alone."""

# B pieces, T tokens, M masked tokens of a batch, H hidden, V vocabulary

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from transformers import AutoModelForMaskedLM, PreTrainedModel
from transformers import PreTrainedTokenizerFast as Tokenizer

from corpus_lonely.errors import ModelError
from corpus_lonely.model.encoder import (
    check_complete,
    find_encoder,
    load_tokenizer,
    open_pretrained,
)


def load_masked_lm(
    name: str | os.PathLike[str], attention_dropout: float | None = None
) -> tuple[PreTrainedModel, Tokenizer, bool]:
    """An encoder under its masked-language-model head, in float32, its tokenizer, and whether the head is new.

    A head that was not saved starts from random numbers, with its output matrix tied to the embeddings.
    Raises ModelError in one line when there is no such encoder, when it can have no such head, and when
    anything but a whole head is missing from its weights.
    """
    model, report = open_pretrained(AutoModelForMaskedLM, name, attention_dropout)
    missing = set(report["missing_keys"])
    new_head = bool(missing) and missing >= head_parameters(model).keys()
    if new_head:
        missing = {key for key in missing if key.startswith(f"{model.base_model_prefix}.")}
    check_complete({"missing_keys": missing}, name)
    if new_head:
        _tie(model, name)
    tokenizer = load_tokenizer(find_encoder(name))
    if tokenizer.mask_token_id is None:
        raise ModelError("its tokenizer has no mask token, so it has nothing to guess", where=name)
    return model, tokenizer, new_head


def head_parameters(model: PreTrainedModel) -> dict[str, nn.Parameter]:
    """What stands above the encoder; an output matrix tied to the embeddings is the encoder's."""
    prefix = f"{model.base_model_prefix}."
    return {n: p for n, p in model.named_parameters() if not n.startswith(prefix)}


def _tie(model: PreTrainedModel, name: str | os.PathLike[str]) -> None:
    embeddings, output = model.get_input_embeddings(), model.get_output_embeddings()
    if output is None or output.weight.shape != embeddings.weight.shape:
        raise ModelError("its embeddings do not fit a new masked-language-model head", where=name)
    model.config.tie_word_embeddings = True
    output.weight = embeddings.weight


class MaskedPositions:
    """Lets the head see masked positions alone.

    Logits over the vocabulary at every token would be most of the memory, and of a small encoder's time.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._keep_BT: Tensor | None = None
        model.base_model.register_forward_hook(self._select)

    @contextmanager
    def only(self, keep_BT: Tensor) -> Iterator[None]:
        """Within the block a forward pass returns logits (1, M, V) of those positions, row after row."""
        self._keep_BT = keep_BT
        try:
            yield
        finally:
            self._keep_BT = None

    def _select(self, _module: nn.Module, _inputs: Any, output: Any) -> Any:
        if self._keep_BT is None:
            return output
        hidden_1MH = output[0][self._keep_BT][None]
        if isinstance(output, tuple):
            return (hidden_1MH, *output[1:])
        output["last_hidden_state"] = hidden_1MH
        return output
